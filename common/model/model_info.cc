#include "common/model/model_info.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

namespace consilium {
namespace {

constexpr char kFormat[] = "consilium-model-1";
constexpr int kMaxInputSize = 4096;
constexpr std::size_t kMaxClasses = 64;
constexpr std::size_t kMaxLocalTensors = 64;
constexpr int kUnetStride = 16;  // it halves its pictures four times

StatusOr<std::string> Find(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return InvalidArgument("metadata has no '{}'", key);
  return found->second;
}

template <typename T>
StatusOr<T> FindNumber(const Metadata& metadata, const std::string& key) {
  CSL_ASSIGN_OR_RETURN(const std::string text, Find(metadata, key));
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return InvalidArgument("metadata '{}': '{}' is not a number in range", key, text);
  }
  return value;
}

StatusOr<std::vector<std::string>> FindNames(const Metadata& metadata, const std::string& key) {
  CSL_ASSIGN_OR_RETURN(const std::string text, Find(metadata, key));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return InvalidArgument("metadata '{}' is not a JSON list", key);
  std::vector<std::string> names;
  for (const auto& item : json) {
    if (!item.is_string()) {
      return InvalidArgument("metadata '{}' holds something not a name", key);
    }
    names.push_back(item.get<std::string>());
  }
  return names;
}

// People read these fields, and other files are found by them.
Status CheckProvenance(const Provenance& provenance) {
  constexpr std::size_t kMaxRunName = 64;
  constexpr std::size_t kDigestLength = 64;
  const auto is_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const std::string& run = provenance.run;
  if (run.size() > kMaxRunName || !std::all_of(run.begin(), run.end(), is_name)) {
    return InvalidArgument("metadata 'run' is not the name of a run");
  }
  if (provenance.round < 0) {
    return InvalidArgument("metadata 'round' is {}, want 0 or more", provenance.round);
  }
  if (provenance.training_sites < 0) {
    return InvalidArgument("metadata 'training_sites' is {}, want 0 or more",
                           provenance.training_sites);
  }
  const std::string& parent = provenance.parent_digest;
  if (!parent.empty() &&
      (parent.size() != kDigestLength || !std::all_of(parent.begin(), parent.end(), is_hex))) {
    return InvalidArgument("metadata 'parent' is not a SHA-256");
  }
  return OkStatus();
}

}  // namespace

bool LabelsPixels(const ModelSpec& spec) { return spec.architecture == "unet"; }

Status CheckModelSpec(const ModelSpec& spec) {
  if (spec.architecture.empty()) return InvalidArgument("architecture is empty");
  if (spec.channels != 1 && spec.channels != 3) {
    return InvalidArgument("channels is {}, want 1 or 3", spec.channels);
  }
  if (spec.input_size < 16 || spec.input_size > kMaxInputSize) {
    return InvalidArgument("input_size is {}, want 16 to {}", spec.input_size, kMaxInputSize);
  }
  if (spec.classes.size() < 2 || spec.classes.size() > kMaxClasses) {
    return InvalidArgument("classes has {} names, want 2 to {}", spec.classes.size(), kMaxClasses);
  }
  const std::set<std::string> distinct(spec.classes.begin(), spec.classes.end());
  if (distinct.size() != spec.classes.size() || distinct.contains("")) {
    return InvalidArgument("classes has an empty or repeated name");
  }
  if (LabelsPixels(spec)) {
    if (!std::ranges::equal(spec.classes, kTissues)) {
      return InvalidArgument("the classes of a unet are {}, not {}", fmt::join(kTissues, ", "),
                             fmt::join(spec.classes, ", "));
    }
    if (spec.input_size % kUnetStride != 0) {
      return InvalidArgument("input_size is {}, a unet wants a multiple of {}", spec.input_size,
                             kUnetStride);
    }
  }
  if (!(spec.stddev > 0) || !std::isfinite(spec.stddev) || !std::isfinite(spec.mean)) {
    return InvalidArgument("mean {} and stddev {} do not normalise anything", spec.mean,
                           spec.stddev);
  }
  if (!(spec.dropout >= 0 && spec.dropout < 1)) {
    return InvalidArgument("dropout is {}, want 0 or more and below 1", spec.dropout);
  }
  constexpr double kMaxWindow = 1e6;
  if (!(spec.window_width >= 0 && spec.window_width <= kMaxWindow) ||
      !(std::abs(spec.window_center) <= kMaxWindow)) {
    return InvalidArgument("window_width {} about window_center {} is no window", spec.window_width,
                           spec.window_center);
  }
  if (spec.local_tensors.size() > kMaxLocalTensors ||
      std::ranges::count(spec.local_tensors, "") > 0) {
    return InvalidArgument("local_tensors has an empty name or more than {}", kMaxLocalTensors);
  }
  return OkStatus();
}

Metadata EncodeModelInfo(const ModelInfo& info) {
  Metadata metadata = {{"format", kFormat},
                       {"architecture", info.spec.architecture},
                       {"channels", fmt::format("{}", info.spec.channels)},
                       {"input_size", fmt::format("{}", info.spec.input_size)},
                       {"classes", nlohmann::json(info.spec.classes).dump()},
                       {"mean", fmt::format("{}", info.spec.mean)},
                       {"stddev", fmt::format("{}", info.spec.stddev)},
                       {"dropout", fmt::format("{}", info.spec.dropout)},
                       {"run", info.provenance.run},
                       {"round", fmt::format("{}", info.provenance.round)},
                       {"training_sites", fmt::format("{}", info.provenance.training_sites)},
                       {"parent", info.provenance.parent_digest}};
  if (info.spec.window_width > 0) {
    metadata["window_center"] = fmt::format("{}", info.spec.window_center);
    metadata["window_width"] = fmt::format("{}", info.spec.window_width);
  }
  if (!info.spec.local_tensors.empty()) {
    metadata["local_tensors"] = nlohmann::json(info.spec.local_tensors).dump();
  }
  return metadata;
}

StatusOr<ModelInfo> DecodeModelInfo(const Metadata& metadata) {
  CSL_ASSIGN_OR_RETURN(const std::string format, Find(metadata, "format"));
  if (format != kFormat) {
    return InvalidArgument("metadata 'format' is '{}', this build reads '{}'", format, kFormat);
  }
  ModelInfo info;
  CSL_ASSIGN_OR_RETURN(info.spec.architecture, Find(metadata, "architecture"));
  CSL_ASSIGN_OR_RETURN(info.spec.channels, FindNumber<int>(metadata, "channels"));
  CSL_ASSIGN_OR_RETURN(info.spec.input_size, FindNumber<int>(metadata, "input_size"));
  CSL_ASSIGN_OR_RETURN(info.spec.classes, FindNames(metadata, "classes"));
  CSL_ASSIGN_OR_RETURN(info.spec.mean, FindNumber<double>(metadata, "mean"));
  CSL_ASSIGN_OR_RETURN(info.spec.stddev, FindNumber<double>(metadata, "stddev"));
  CSL_ASSIGN_OR_RETURN(info.spec.dropout, FindNumber<double>(metadata, "dropout"));
  if (metadata.contains("window_width")) {
    CSL_ASSIGN_OR_RETURN(info.spec.window_center, FindNumber<double>(metadata, "window_center"));
    CSL_ASSIGN_OR_RETURN(info.spec.window_width, FindNumber<double>(metadata, "window_width"));
  }
  if (metadata.contains("local_tensors")) {
    CSL_ASSIGN_OR_RETURN(info.spec.local_tensors, FindNames(metadata, "local_tensors"));
  }
  CSL_ASSIGN_OR_RETURN(info.provenance.run, Find(metadata, "run"));
  CSL_ASSIGN_OR_RETURN(info.provenance.round, FindNumber<int>(metadata, "round"));
  CSL_ASSIGN_OR_RETURN(info.provenance.training_sites, FindNumber<int>(metadata, "training_sites"));
  CSL_ASSIGN_OR_RETURN(info.provenance.parent_digest, Find(metadata, "parent"));
  CSL_RETURN_IF_ERROR(CheckModelSpec(info.spec));
  CSL_RETURN_IF_ERROR(CheckProvenance(info.provenance));
  return info;
}

}  // namespace consilium
