#include "server/registry/registry.h"

#include "common/crypto/digest.h"

namespace consilium {
namespace {

constexpr std::size_t kTokenBytes = 24;
// How often, at most, a hospital's calls write when it was last seen.
constexpr std::chrono::minutes kLastSeenResolution{1};

// Whether a site's place is taken. One that enrolled but never called may lack the answer: its name
// can be invited, and joined, again.
bool IsTaken(const std::optional<SiteRecord>& site) {
  return site && (site->revoked || site->last_seen != TimePoint());
}

}  // namespace

StatusOr<Invitation> Registry::Invite(const std::string& site) {
  CSL_RETURN_IF_ERROR(CheckName("site", site));
  CSL_ASSIGN_OR_RETURN(const auto existing, store_.FindSite(site));
  if (IsTaken(existing)) {
    return AlreadyExists("site '{}' has joined{}", site,
                         existing->revoked ? " and was revoked" : "");
  }
  Invitation invitation{.token = RandomHex(kTokenBytes),
                        .expires = clock_.Now() + kInvitationValidity};
  CSL_RETURN_IF_ERROR(store_.AddToken(
      {.hash = Sha256Of(invitation.token), .site = site, .expires = invitation.expires}));
  return invitation;
}

StatusOr<Enrolment> Registry::Join(const std::string& token, const std::string& request_pem) {
  MutexLock lock(join_mu_);
  const std::string hash = Sha256Of(token);
  CSL_ASSIGN_OR_RETURN(const auto record, store_.FindToken(hash));
  if (!record) return PermissionDenied("this token is not known; ask for a new invitation");
  if (record->used) {
    return PermissionDenied("this token was used already; ask for a new invitation");
  }
  CSL_ASSIGN_OR_RETURN(const auto existing, store_.FindSite(record->site));
  if (IsTaken(existing)) {
    return PermissionDenied("site '{}' has joined already", record->site);
  }
  const TimePoint now = clock_.Now();
  if (now >= record->expires) {
    return PermissionDenied("this token has expired; ask for a new invitation");
  }
  Enrolment enrolment{.identity = {federation_, Role::kHospital, record->site}};
  CSL_ASSIGN_OR_RETURN(enrolment.certificate_pem,
                       authority_.IssueFromRequest(request_pem, enrolment.identity, now));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       Certificate::FromPem(enrolment.certificate_pem));
  CSL_RETURN_IF_ERROR(store_.Enrol(hash, {.name = record->site,
                                          .certificate_serial = certificate.Serial(),
                                          .joined = now,
                                          .certificate_expires = certificate.NotAfter()}));
  return enrolment;
}

Status Registry::Revoke(const std::string& site) {
  CSL_ASSIGN_OR_RETURN(const auto record, store_.FindSite(site));
  if (!record) return NotFound("no site '{}' has joined", site);
  return store_.RevokeSite(site);
}

StatusOr<std::vector<std::string>> Registry::ActiveSites() {
  CSL_ASSIGN_OR_RETURN(const auto sites, store_.ListSites());
  std::vector<std::string> names;
  for (const SiteRecord& site : sites) {
    if (!site.revoked) names.push_back(site.name);
  }
  return names;
}

StatusOr<Identity> Registry::Authenticate(const std::string& certificate_pem) {
  const auto certificate = Certificate::FromPem(certificate_pem);
  if (!certificate.ok()) return Unauthenticated("this call needs a client certificate");
  const auto identity = IdentityOf(*certificate);
  if (!identity.ok()) return Unauthenticated("{}", std::string(identity.status().message()));
  if (identity->federation != federation_) {
    return Unauthenticated("the certificate is of federation '{}', not '{}'", identity->federation,
                           federation_);
  }
  if (identity->role == Role::kHospital) {
    CSL_RETURN_IF_ERROR(CheckHospital(identity->name, *certificate));
  }
  return identity;
}

Status Registry::CheckHospital(const std::string& site, const Certificate& certificate) {
  CSL_ASSIGN_OR_RETURN(const auto record, store_.FindSite(site));
  if (!record) return PermissionDenied("site '{}' is not of this federation", site);
  if (record->revoked) return PermissionDenied("site '{}' was revoked", site);
  if (record->certificate_serial != certificate.Serial()) {
    return PermissionDenied("site '{}' has another certificate now", site);
  }
  const TimePoint now = clock_.Now();
  if (now - record->last_seen < kLastSeenResolution) return OkStatus();
  // A full disk must not shut a hospital out.
  (void)store_.SetLastSeen(site, now);
  return OkStatus();
}

}  // namespace consilium
