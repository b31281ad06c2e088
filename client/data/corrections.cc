#include "client/data/corrections.h"

#include <utf8.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kStateNames = {"pending", "accepted", "rejected"};
constexpr std::size_t kIdLength = 16;

// What its reader knows a picture's file by.
std::string ExtensionOf(std::string_view picture) {
  if (picture.starts_with("\x89PNG")) return ".png";
  return picture.starts_with("\xff\xd8") ? ".jpg" : ".dcm";
}

bool IsId(const std::string& id) {
  return id.size() == kIdLength && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string_view CorrectionStateName(CorrectionState state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

StatusOr<Correction> CorrectionBook::Note(Correction correction, const std::string& picture,
                                          TimePoint now) const {
  constexpr std::size_t kLongestName = 100;
  const std::string& reader = correction.reader;
  if (reader.empty() || reader.size() > kLongestName ||
      !utf8::is_valid(reader.begin(), reader.end())) {
    return InvalidArgument("want the reader's name, of 1 to {} bytes", kLongestName);
  }
  // Lengths between the parts: no two of them run into another two.
  correction.id = Sha256Of(fmt::format("{}:{}:{}:{}{}", correction.label.size(), correction.label,
                                       reader.size(), reader, picture))
                      .substr(0, kIdLength);
  if (fs::exists(PathOf(correction.id))) return Read(PathOf(correction.id));
  CSL_ASSIGN_OR_RETURN(const std::vector<Correction> held, List());
  const auto waits = [](const Correction& one) { return one.state == CorrectionState::kPending; };
  if (static_cast<std::size_t>(std::ranges::count_if(held, waits)) >= kMostPending) {
    return absl::ResourceExhaustedError(
        "too many corrections wait for a decision: consilium-client feedback");
  }
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  correction.picture = folder_ / (correction.id + ExtensionOf(picture));
  correction.made = now;
  CSL_RETURN_IF_ERROR(WriteFileAtomically(correction.picture, picture, kPrivateMode));
  CSL_RETURN_IF_ERROR(Write(correction));
  return correction;
}

Status CorrectionBook::Decide(const std::string& id, CorrectionState state, const std::string& by,
                              TimePoint now) const {
  if (!IsId(id) || !fs::exists(PathOf(id))) return NotFound("no correction is called '{}'", id);
  CSL_ASSIGN_OR_RETURN(Correction correction, Read(PathOf(id)));
  correction.state = state;
  correction.by = by;
  correction.decided = now;
  return Write(correction);
}

StatusOr<std::vector<Correction>> CorrectionBook::List() const {
  std::vector<Correction> corrections;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() != ".json") continue;
    CSL_ASSIGN_OR_RETURN(corrections.emplace_back(), Read(entry.path()));
  }
  std::ranges::sort(corrections, {},
                    [](const Correction& one) { return std::pair(one.made, one.id); });
  return corrections;
}

StatusOr<Correction> CorrectionBook::Read(const fs::path& path) const {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto word = [&](const char* key) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto time = [&](const char* key) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    return FromUnixMillis(
        found != json.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0);
  };
  Correction correction{.id = path.stem().string(),
                        .picture = folder_ / fs::path(word("picture")).filename(),
                        .label = word("label"),
                        .reader = word("reader"),
                        .model_digest = word("model"),
                        .predicted = word("predicted"),
                        .made = time("made_unix_ms"),
                        .by = word("by"),
                        .decided = time("decided_unix_ms")};
  const auto state = std::ranges::find(kStateNames, word("state"));
  if (state == kStateNames.end() || correction.label.empty() || word("picture").empty()) {
    return DataLoss("{}: not a correction, or a damaged one", path.string());
  }
  correction.state = static_cast<CorrectionState>(state - kStateNames.begin());
  return correction;
}

Status CorrectionBook::Write(const Correction& correction) const {
  const Json json = {{"picture", correction.picture.filename().string()},
                     {"label", correction.label},
                     {"reader", correction.reader},
                     {"model", correction.model_digest},
                     {"predicted", correction.predicted},
                     {"made_unix_ms", ToUnixMillis(correction.made)},
                     {"state", CorrectionStateName(correction.state)},
                     {"by", correction.by},
                     {"decided_unix_ms", ToUnixMillis(correction.decided)}};
  return WriteFileAtomically(PathOf(correction.id),
                             json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n",
                             kPrivateMode);
}

Manifest AcceptedExamples(const std::vector<Correction>& corrections) {
  Manifest examples;
  for (const Correction& correction : corrections) {
    if (correction.state != CorrectionState::kAccepted) continue;
    examples.push_back(
        {.path = correction.picture, .label = correction.label, .split = Split::kTrain});
  }
  return examples;
}

}  // namespace consilium
