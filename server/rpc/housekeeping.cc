#include "server/rpc/housekeeping.h"

#include <spdlog/spdlog.h>

#include "common/base/file.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kLookInterval{10};
constexpr std::chrono::days kPublishInterval{1};
constexpr std::chrono::hours kWarnInterval{1};

}  // namespace

void Housekeeping::Work(TimePoint now) {
  Report("renewal", identity_.Refresh(now));
  Report("the key that signs models", signer_.Refresh(now));
  if (now - looked_ >= kLookInterval) {
    looked_ = now;
    Report("the revocation list", PublishRevocationList(now));
  }
  if (now - warned_ >= kWarnInterval) {
    warned_ = now;
    Report("warnings", WarnOfExpiry(now));
  }
}

void Housekeeping::Report(const std::string& step, const Status& status) {
  std::string& complaint = complaints_[step];
  if (!status.ok() && complaint != status.message()) {
    spdlog::error("certificates, {}: {}", step, std::string(status.message()));
  }
  complaint = std::string(status.message());
}

Status Housekeeping::PublishRevocationList(TimePoint now) {
  CSL_ASSIGN_OR_RETURN(auto revocations, registry_.Revocations());
  if (revocations == listed_ && now - published_ < kPublishInterval) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const std::string list, registry_.RevocationList());
  CSL_RETURN_IF_ERROR(WriteFileAtomically(list_file_, list));
  listed_ = std::move(revocations);
  published_ = now;
  return OkStatus();
}

Status Housekeeping::WarnOfExpiry(TimePoint now) {
  const auto warn = [&](const std::string& whose, TimePoint ends) {
    const std::string warning = warnings_.Next(whose, ends, now);
    if (!warning.empty()) spdlog::warn("{}", warning);
  };
  const Authority authority = registry_.authority();
  warn("the root CA", authority.root().NotAfter());
  warn("the issuing CA", authority.issuing().NotAfter());
  CSL_ASSIGN_OR_RETURN(const auto members, registry_.ListMembers());
  for (const MemberRecord& member : members) {
    if (member.revoked) continue;
    warn(fmt::format("{} '{}'", RoleName(member.role), member.name), member.certificate_expires);
  }
  return OkStatus();
}

}  // namespace consilium
