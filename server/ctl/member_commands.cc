// Who belongs to the federation.

#include "certs/home.h"
#include "common/cli/cli.h"
#include "common/crypto/issue.h"
#include "server/ctl/connection.h"

namespace consilium {
namespace {

constexpr std::chrono::days kSoon{60};  // for a certificate to end

// " (29 days left)", where it is time to think of it.
std::string EndsSoon(const v1::Site& site, TimePoint now) {
  const auto left = std::chrono::floor<std::chrono::days>(
      FromUnixMillis(site.certificate_expires_unix_ms()) - now);
  if (site.status() == "revoked" || left > kSoon) return "";
  return left.count() < 0 ? " (ended)" : fmt::format(" ({} days left)", left.count());
}

}  // namespace

Status Ctl::Parts::Renew() {
  CSL_ASSIGN_OR_RETURN(HomeRenewal renewal, HomeRenewal::Begin(home));
  v1::RenewRequest request;
  CSL_ASSIGN_OR_RETURN(*request.mutable_request_pem(), SigningRequest::Create(renewal.key()));
  CSL_ASSIGN_OR_RETURN(const v1::RenewResponse response,
                       Call(&v1::MembershipService::Stub::Renew, *membership, request));
  return renewal.Finish(response.certificate_pem());
}

Status Ctl::Invite(const std::string& site, const std::string& role) {
  v1::InviteRequest request;
  request.set_site(site);
  request.set_role(role);
  CSL_ASSIGN_OR_RETURN(const v1::InviteResponse invite,
                       parts_->Call(&v1::AdminService::Stub::Invite, *parts_->admin, request));
  const std::string command =
      fmt::format("consilium-client join {} --token {} --ca-sha256 {} --dir {}",
                  invite.enrol_endpoint(), invite.token(), invite.ca_sha256(), site);
  if (parts_->json) {
    fmt::print("{}\n", Json{{"site", site},
                            {"endpoint", invite.enrol_endpoint()},
                            {"token", invite.token()},
                            {"ca_sha256", invite.ca_sha256()},
                            {"expires_unix_ms", invite.expires_unix_ms()},
                            {"command", command}}
                           .dump(2));
    return OkStatus();
  }
  fmt::print("{}\n", command);
  fmt::print(stderr, "Send this line to {} on a channel you trust. It works once, until {} UTC.\n",
             site, FormatTime(invite.expires_unix_ms()));
  return OkStatus();
}

Status Ctl::ListSites() {
  CSL_ASSIGN_OR_RETURN(
      const v1::ListSitesResponse response,
      parts_->Ask(&v1::AdminService::Stub::ListSites, *parts_->admin, v1::ListSitesRequest()));
  const TimePoint now = SystemClock().Now();
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"site", "role", "status", "joined", "last seen", "certificate until"}};
  for (const v1::Site& site : response.sites()) {
    list.push_back({{"site", site.name()},
                    {"role", site.role()},
                    {"status", site.status()},
                    {"joined_unix_ms", site.joined_unix_ms()},
                    {"last_seen_unix_ms", site.last_seen_unix_ms()},
                    {"certificate_expires_unix_ms", site.certificate_expires_unix_ms()}});
    rows.push_back({site.name(), site.role(), site.status(), FormatTime(site.joined_unix_ms()),
                    FormatTime(site.last_seen_unix_ms()),
                    FormatTime(site.certificate_expires_unix_ms()) + EndsSoon(site, now)});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

Status Ctl::RevokeSite(const std::string& site) {
  v1::RevokeSiteRequest request;
  request.set_site(site);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::RevokeSite, *parts_->admin, request));
  fmt::print("revoked {}\n", site);
  return OkStatus();
}

Status Ctl::Renew() {
  CSL_RETURN_IF_ERROR(parts_->Renew());
  fmt::print("{} has another key and certificate\n", parts_->home.string());
  return OkStatus();
}

}  // namespace consilium
