// The coordinator's audit trail, read from afar.

#include "common/audit/trail.h"
#include "server/ctl/connection.h"

namespace consilium {

StatusOr<std::vector<std::string>> Ctl::Parts::ReadAudit() {
  std::vector<std::string> lines;
  while (true) {
    v1::ReadAuditRequest request;
    request.set_after_entry(lines.size());
    CSL_ASSIGN_OR_RETURN(const v1::ReadAuditResponse response,
                         Ask(&v1::AdminService::Stub::ReadAudit, *admin, request));
    if (response.lines().empty()) return lines;
    lines.insert(lines.end(), response.lines().begin(), response.lines().end());
  }
}

Status Ctl::ShowAudit() {
  CSL_ASSIGN_OR_RETURN(const auto lines, parts_->ReadAudit());
  for (const std::string& line : lines) fmt::print("{}\n", line);
  return OkStatus();
}

Status Ctl::PullAudit(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return AlreadyExists("{} exists already", path.string());
  CSL_ASSIGN_OR_RETURN(const auto lines, parts_->ReadAudit());
  CSL_ASSIGN_OR_RETURN(const TrailHead head, WriteTrailCopy(path, lines));
  fmt::print("{}: {} entries, whole; head {}\n", path.string(), head.entries, head.hash);
  return OkStatus();
}

Status Ctl::VerifyAudit() {
  CSL_ASSIGN_OR_RETURN(const auto lines, parts_->ReadAudit());
  TrailChecker checker;
  for (const std::string& line : lines) {
    const Status checked = checker.Next(line).status();
    if (!checked.ok())
      return Annotate(checked, fmt::format("entry {}", checker.head().entries + 1));
  }
  fmt::print("{} entries, whole; head {}\n", checker.head().entries, checker.head().hash);
  return OkStatus();
}

}  // namespace consilium
