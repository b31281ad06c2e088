#include "client/link/site_trail.h"

#include <set>
#include <utility>

#include "certs/trail_head.h"

namespace consilium {
namespace {

constexpr char kSendingEvent[] = "sending";

}  // namespace

Status NoteSending(AuditTrail& trail, const Sending& sending) {
  return trail.Append(kSendingEvent, {{"task", sending.task_id},
                                      {"digest", sending.digest},
                                      {"bytes", sending.bytes},
                                      {"train_examples", sending.train_examples},
                                      {"norm", sending.norm}});
}

StatusOr<std::vector<Sending>> ReadOutbox(const std::filesystem::path& folder) {
  std::vector<Sending> outbox;
  std::set<std::pair<std::string, std::string>> seen;
  const auto read = [&](const nlohmann::ordered_json& entry) {
    if (entry.value("event", "") != kSendingEvent) return;
    Sending sending{.time = entry.value("time", ""),
                    .task_id = entry.value("task", ""),
                    .digest = entry.value("digest", ""),
                    .bytes = entry.value("bytes", std::uint64_t{0}),
                    .train_examples = entry.value("train_examples", std::uint64_t{0}),
                    .norm = entry.value("norm", 0.0)};
    if (seen.emplace(sending.task_id, sending.digest).second) outbox.push_back(std::move(sending));
  };
  CSL_RETURN_IF_ERROR(VerifyTrail(folder / kTrailFile, read));
  return outbox;
}

Status CoordinatorHeads::Keep(const v1::SignedHead& head, const std::string& task_id,
                              TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const auto chain, Certificate::ChainFromPem(head.certificate_pem()));
  CSL_RETURN_IF_ERROR(VerifyChain(chain, root_, Purpose::kSigning, now));
  CSL_ASSIGN_OR_RETURN(const TrailHead checked, CheckHead(head, chain.front()));
  const std::string serial = chain.front().Serial();
  AuditFields fields = {{"task", task_id},
                        {"entries", checked.entries},
                        {"head", checked.hash},
                        {"serial", serial},
                        {"signature", head.signature()}};
  if (serial != kept_serial_) fields["certificate"] = head.certificate_pem();
  CSL_RETURN_IF_ERROR(trail_.Append("coordinator_head", fields));
  kept_serial_ = serial;
  return OkStatus();
}

}  // namespace consilium
