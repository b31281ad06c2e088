#include "common/config/site.h"

#include "common/base/file.h"
#include "common/config/plan.h"
#include "common/config/yaml_message.h"

namespace consilium {
namespace {

Status CheckPolicyFields(const v1::SitePolicy& policy) {
  if (!(policy.max_task_hours() >= 0 && policy.max_task_hours() <= 1e5)) {
    return InvalidArgument("policy.max_task_hours is {}, want 0 to 100000",
                           policy.max_task_hours());
  }
  // Below it the coordinator takes a transfer for one that does not move.
  const double rate = policy.max_megabits();
  if (!(rate == 0 || (rate >= 0.2 && rate <= 1e6))) {
    return InvalidArgument("policy.max_megabits is {}, want 0 or 0.2 to 1000000", rate);
  }
  if (!(policy.min_balanced_accuracy() >= 0 && policy.min_balanced_accuracy() <= 1)) {
    return InvalidArgument("policy.min_balanced_accuracy is {}, want 0 to 1",
                           policy.min_balanced_accuracy());
  }
  for (const std::string& hours : policy.transfer_hours()) {
    CSL_RETURN_IF_ERROR(Annotate(ParseHours(hours).status(), "policy.transfer_hours"));
  }
  for (const std::string& setting : policy.required_privacy()) {
    if (setting != kPseudonyms) {
      return InvalidArgument("policy.required_privacy names '{}', which no plan has; want {}",
                             setting, kPseudonyms);
    }
  }
  return OkStatus();
}

Status CheckSite(const v1::SiteConfig& site) {
  const v1::SiteData& data = site.data();
  if (!(data.validation_fraction() > 0 && data.validation_fraction() < 1)) {
    return InvalidArgument("data.validation_fraction is {}, want above 0 and below 1",
                           data.validation_fraction());
  }
  if (!(data.max_unreadable() >= 0 && data.max_unreadable() <= 1)) {
    return InvalidArgument("data.max_unreadable is {}, want 0 to 1", data.max_unreadable());
  }
  if (site.device() != "cpu" && site.device() != "cuda" && site.device() != "auto") {
    return InvalidArgument("device is '{}', want one of: cpu, cuda, auto", site.device());
  }
  const std::string& precision = site.precision();
  if (precision != "auto" && precision != "float32" && precision != "bfloat16") {
    return InvalidArgument("precision is '{}', want one of: auto, float32, bfloat16", precision);
  }
  if (site.threads() > 1024 || data.workers() > 1024) {
    return InvalidArgument("threads and data.workers are at most 1024");
  }
  if (site.replicas() > 64) return InvalidArgument("replicas is {}, want 0 to 64", site.replicas());
  return CheckPolicyFields(site.policy());
}

// Between double quotes in YAML (YAML 1.2, section 7.3.1).
std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

StatusOr<std::pair<int, int>> ParseHours(std::string_view text) {
  const auto minute_at = [&](std::size_t at) {
    const auto digit = [&](std::size_t i) {
      const char c = text[at + i];
      return c >= '0' && c <= '9' ? c - '0' : 100;
    };
    const int hour = digit(0) * 10 + digit(1);
    const int minute = digit(3) * 10 + digit(4);
    return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
  };
  if (text.size() == 11 && text[2] == ':' && text[5] == '-' && text[8] == ':') {
    const std::pair<int, int> span{minute_at(0), minute_at(6)};
    if (span.first >= 0 && span.second >= 0) return span;
  }
  return InvalidArgument("'{}': want hours as 22:00-06:00", text);
}

v1::SiteConfig DefaultSite() {
  v1::SiteConfig site;
  site.set_device("auto");
  site.set_precision("auto");
  site.set_replicas(1);
  site.set_checkpoint_seconds(60);
  site.mutable_data()->set_validation_fraction(0.2);
  site.mutable_data()->set_max_unreadable(0.05);
  site.mutable_data()->set_cache_memory_mb(4096);
  return site;
}

StatusOr<v1::SiteConfig> ReadSite(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  v1::SiteConfig site = DefaultSite();
  CSL_RETURN_IF_ERROR(MergeYaml(path.string(), text, &site));
  if (const Status status = CheckSite(site); !status.ok()) return Annotate(status, path.string());
  return site;
}

StatusOr<v1::SiteConfig> ReadSiteOfFolder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSiteFile;
  return std::filesystem::exists(path) ? ReadSite(path) : DefaultSite();
}

std::string NewSiteYaml(const std::string& data, int threads) {
  return fmt::format(
      "# This hospital's settings. `consilium-client start --help` explains each.\n"
      "data:\n"
      "  path: \"{}\"   # a CSV manifest (path,label[,patient_id][,split]) or a folder per class\n"
      "device: auto   # cpu | cuda | auto\n"
      "threads: {}     # 0: all cores\n"
      "architectures: []   # that this hospital agrees to train; empty: any\n",
      Escape(data), threads);
}

}  // namespace consilium
