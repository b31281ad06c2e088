#include "client/link/plan_book.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMinPrefix = 8;
constexpr char kExtension[] = ".json";
constexpr std::array<std::string_view, 3> kDecisionNames = {"pending", "approved", "rejected"};

StatusOr<std::string> ToJsonText(const v1::RunPlan& plan) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(plan, &text, options).ok()) {
    return Internal("a plan cannot be written as JSON");
  }
  return text;
}

StatusOr<PlanEntry> FromText(const std::string& text, const fs::path& path) {
  const Status damaged =
      DataLoss("{}: damaged; remove it, and the plan is asked for again", path.string());
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged;
  try {
    PlanEntry entry{.hash = path.stem().string(),
                    .run_id = json.at("run"),
                    .name = json.at("name"),
                    .plan = json.at("plan").dump(),
                    .by = json.at("by"),
                    .first_seen = FromUnixMillis(json.at("first_seen_unix_ms")),
                    .decided = FromUnixMillis(json.at("decided_unix_ms"))};
    const auto decision = std::ranges::find(kDecisionNames, json.at("decision").get<std::string>());
    if (decision == kDecisionNames.end()) return damaged;
    entry.decision = static_cast<PlanDecision>(decision - kDecisionNames.begin());
    return entry;
  } catch (const Json::exception&) {
    return damaged;
  }
}

}  // namespace

std::string_view PlanDecisionName(PlanDecision decision) {
  return kDecisionNames[static_cast<std::size_t>(decision)];
}

std::string PlanHash(const v1::RunPlan& plan) { return Sha256Of(plan.SerializeAsString()); }

StatusOr<PlanEntry> PlanBook::Note(const v1::RunPlan& plan, const std::string& run_id,
                                   TimePoint now) const {
  const std::string hash = PlanHash(plan);
  auto known = Find(hash);
  if (!absl::IsNotFound(known.status())) return known;
  PlanEntry entry{.hash = hash, .run_id = run_id, .name = plan.name(), .first_seen = now};
  CSL_ASSIGN_OR_RETURN(entry.plan, ToJsonText(plan));
  CSL_RETURN_IF_ERROR(Write(entry));
  return entry;
}

StatusOr<PlanEntry> PlanBook::Find(const std::string& hash) const {
  const fs::path path = PathOf(hash);
  if (!IsDigest(hash) || !fs::exists(path)) return NotFound("no plan '{}' was asked for", hash);
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return FromText(text, path);
}

StatusOr<PlanEntry> PlanBook::FindByPrefix(const std::string& prefix) const {
  if (prefix.size() < kMinPrefix) {
    return InvalidArgument("'{}': want at least {} characters of a plan's hash", prefix,
                           kMinPrefix);
  }
  CSL_ASSIGN_OR_RETURN(auto entries, List());
  std::erase_if(entries, [&](const PlanEntry& entry) { return !entry.hash.starts_with(prefix); });
  if (entries.empty()) return NotFound("no plan '{}' was asked for; see: plans", prefix);
  if (entries.size() > 1) return InvalidArgument("several plans begin with '{}'", prefix);
  return entries.front();
}

Status PlanBook::Decide(const std::string& hash, PlanDecision decision, const std::string& by,
                        TimePoint now) const {
  if (by.empty()) return InvalidArgument("say who decides: --by NAME");
  CSL_ASSIGN_OR_RETURN(PlanEntry entry, Find(hash));
  entry.decision = decision;
  entry.by = by;
  entry.decided = now;
  return Write(entry);
}

StatusOr<std::vector<PlanEntry>> PlanBook::List() const {
  std::vector<PlanEntry> entries;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    if (file.path().extension() != kExtension) continue;
    CSL_ASSIGN_OR_RETURN(entries.emplace_back(), Find(file.path().stem().string()));
  }
  std::ranges::sort(entries, {}, &PlanEntry::first_seen);
  return entries;
}

fs::path PlanBook::PathOf(const std::string& hash) const { return folder_ / (hash + kExtension); }

Status PlanBook::Write(const PlanEntry& entry) const {
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  const Json json = {{"name", entry.name},
                     {"run", entry.run_id},
                     {"decision", PlanDecisionName(entry.decision)},
                     {"by", entry.by},
                     {"first_seen_unix_ms", ToUnixMillis(entry.first_seen)},
                     {"decided_unix_ms", ToUnixMillis(entry.decided)},
                     {"plan", Json::parse(entry.plan, nullptr, /*allow_exceptions=*/false)}};
  return WriteFileAtomically(PathOf(entry.hash),
                             json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n",
                             kPrivateMode);
}

}  // namespace consilium
