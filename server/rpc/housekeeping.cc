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
  Status status = identity_.Refresh(now);
  if (status.ok() && now - looked_ >= kLookInterval) {
    looked_ = now;
    status = PublishRevocationList(now);
  }
  if (status.ok() && now - warned_ >= kWarnInterval) {
    warned_ = now;
    status = WarnOfExpiry(now);
  }
  std::string complaint(status.message());
  if (!status.ok() && complaint != complaint_) spdlog::error("certificates: {}", complaint);
  complaint_ = std::move(complaint);
}

Status Housekeeping::PublishRevocationList(TimePoint now) {
  CSL_ASSIGN_OR_RETURN(auto ended, registry_.EndedCertificates());
  if (ended == listed_ && now - published_ < kPublishInterval) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const std::string list, registry_.RevocationList());
  CSL_RETURN_IF_ERROR(WriteFileAtomically(list_file_, list));
  listed_ = std::move(ended);
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
