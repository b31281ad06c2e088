#include "server/rpc/access.h"

#include <algorithm>
#include <cstdint>

namespace consilium {
namespace {

using Roles = std::uint8_t;  // a bit each

constexpr Roles Bit(Role role) { return static_cast<Roles>(1U << static_cast<unsigned>(role)); }

constexpr Roles kHospital = Bit(Role::kHospital);
constexpr Roles kAdmin = Bit(Role::kAdmin);
constexpr Roles kObserver = Bit(Role::kObserver);
constexpr Roles kInference = Bit(Role::kInference);
constexpr Roles kMembers = kHospital | kAdmin | kObserver | kInference;
constexpr Roles kNoCertificate = 1U << kRoles;

struct Row {
  std::string_view rpc;
  Roles roles;
};

constexpr Row kTable[] = {
    {"AdminService/Invite", kAdmin},
    {"AdminService/ListSites", kAdmin | kObserver},
    {"AdminService/RevokeSite", kAdmin},
    {"AdminService/SubmitRun", kAdmin},
    {"AdminService/ListRuns", kAdmin | kObserver},
    {"AdminService/GetRun", kAdmin | kObserver},
    {"AdminService/CancelRun", kAdmin},
    {"AdminService/PauseRun", kAdmin},
    {"AdminService/ResumeRun", kAdmin},
    {"AdminService/ReleaseModel", kAdmin},
    {"AdminService/WithdrawModel", kAdmin},
    {"AdminService/ListReleases", kAdmin | kObserver},
    {"AdminService/ReadAudit", kAdmin | kObserver},
    {"BlobService/StatUpload", kHospital | kAdmin},  // of a task of its own, or of an initial model
    {"BlobService/Upload", kHospital | kAdmin},      // likewise
    // Global models; for inference those that are released.
    {"BlobService/Download", kHospital | kAdmin | kInference},
    {"CoordinatorService/NextTask", kHospital},
    {"CoordinatorService/ReportTask", kHospital},  // a task of its own
    {"EnrolmentService/Join", kNoCertificate},     // with a token
    {"MembershipService/GetRevocationList", kMembers},
    {"MembershipService/Renew", kMembers},  // its own certificate
    {"ModelService/ListModels", kHospital | kAdmin | kObserver},
    {"ModelService/GetManifest", kHospital | kAdmin | kObserver},
    {"ModelService/GetRelease", kMembers},
};

Roles RolesOf(std::string_view rpc) {
  const auto* row = std::find_if(std::begin(kTable), std::end(kTable),
                                 [&](const Row& r) { return r.rpc == rpc; });
  return row == std::end(kTable) ? 0 : row->roles;
}

}  // namespace

bool MayCall(Role role, std::string_view rpc) { return (RolesOf(rpc) & Bit(role)) != 0; }

bool IsOpenToAll(std::string_view rpc) { return (RolesOf(rpc) & kNoCertificate) != 0; }

}  // namespace consilium
