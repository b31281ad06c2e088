#include "server/registry/registry.h"

#include <algorithm>

#include "common/crypto/digest.h"

namespace consilium {
namespace {

constexpr std::size_t kTokenBytes = 24;
constexpr std::size_t kMaxReadings = 1024;
// How often, at most, a member's calls write when it was last seen.
constexpr std::chrono::minutes kLastSeenResolution{1};

bool IsActive(const MemberRecord& member, TimePoint now) {
  return !member.revoked && now < member.certificate_expires;
}

// Whether a name is taken. One that enrolled but never called may lack the answer: it can be
// invited, and joined, again; so can one that was revoked, or whose certificate has ended.
bool IsTaken(const std::optional<MemberRecord>& member, TimePoint now) {
  return member && IsActive(*member, now) && member->last_seen != TimePoint();
}

// For the trail, with the certificate: what the member signs can then be checked later.
AuditFields FieldsOf(const Identity& member, const Certificate& certificate,
                     const std::string& chain_pem) {
  return {{"member", member.name},
          {"role", RoleName(member.role)},
          {"serial", certificate.Serial()},
          {"certificate", chain_pem}};
}

CertificateRecord RecordOf(const Certificate& certificate, const std::string& member,
                           TimePoint now) {
  return {.serial = certificate.Serial(),
          .member = member,
          .issued = now,
          .expires = certificate.NotAfter()};
}

}  // namespace

StatusOr<Invitation> Registry::Invite(const std::string& name, Role role, const std::string& by) {
  CSL_RETURN_IF_ERROR(CheckName("site", name));
  if (role == Role::kCoordinator) return InvalidArgument("nobody is invited as coordinator");
  CSL_ASSIGN_OR_RETURN(const auto existing, store_.FindMember(name));
  const TimePoint now = clock_.Now();
  if (IsTaken(existing, now)) {
    return AlreadyExists("{} '{}' has joined", RoleName(existing->role), name);
  }
  CSL_RETURN_IF_ERROR(
      trail_.Append("invited", {{"member", name}, {"role", RoleName(role)}, {"by", by}}));
  Invitation invitation{.token = RandomHex(kTokenBytes), .expires = now + kInvitationValidity};
  CSL_RETURN_IF_ERROR(store_.AddToken({.hash = Sha256Of(invitation.token),
                                       .member = name,
                                       .role = role,
                                       .expires = invitation.expires}));
  return invitation;
}

StatusOr<Enrolment> Registry::Join(const std::string& token, const std::string& request_pem,
                                   const std::string& peer) {
  MutexLock lock(join_mu_);
  const std::string hash = Sha256Of(token);
  CSL_ASSIGN_OR_RETURN(const auto record, store_.FindToken(hash));
  if (!record || !ConstantTimeEqual(record->hash, hash)) {
    return PermissionDenied("this token is not known; ask for a new invitation");
  }
  if (record->used) {
    return PermissionDenied("this token was used already; ask for a new invitation");
  }
  const TimePoint now = clock_.Now();
  CSL_ASSIGN_OR_RETURN(const auto existing, store_.FindMember(record->member));
  if (IsTaken(existing, now)) {
    return PermissionDenied("site '{}' has joined already", record->member);
  }
  if (now >= record->expires) {
    return PermissionDenied("this token has expired; ask for a new invitation");
  }
  Enrolment enrolment{.identity = {federation_, record->role, record->member}};
  CSL_ASSIGN_OR_RETURN(enrolment.certificate_pem,
                       authority().IssueFromRequest(request_pem, enrolment.identity, now));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate,
                       Certificate::FromPem(enrolment.certificate_pem));
  AuditFields fields = FieldsOf(enrolment.identity, certificate, enrolment.certificate_pem);
  fields["peer"] = peer;
  CSL_RETURN_IF_ERROR(trail_.Append("joined", fields));
  CSL_RETURN_IF_ERROR(store_.Enrol({.name = record->member, .role = record->role, .joined = now},
                                   RecordOf(certificate, record->member, now)));
  return enrolment;
}

StatusOr<std::string> Registry::Renew(const std::string& certificate_pem,
                                      const std::string& request_pem) {
  MutexLock lock(join_mu_);
  CSL_ASSIGN_OR_RETURN(const Identity member, Authenticate(certificate_pem));
  const TimePoint now = clock_.Now();
  CSL_ASSIGN_OR_RETURN(const auto last, store_.LastRenewed(member.name));
  if (last && now - *last < kMinRenewalInterval) {
    return Unavailable("'{}' got a certificate a moment ago; try again in {} s", member.name,
                       kMinRenewalInterval.count());
  }
  CSL_ASSIGN_OR_RETURN(std::string pem, authority().IssueFromRequest(request_pem, member, now));
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(pem));
  CSL_RETURN_IF_ERROR(trail_.Append("renewed", FieldsOf(member, certificate, pem)));
  CSL_RETURN_IF_ERROR(store_.AddCertificate(RecordOf(certificate, member.name, now)));
  return pem;
}

Status Registry::AdoptAdmin(const std::string& certificate_pem) {
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(certificate_pem));
  CSL_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(certificate));
  if (identity.role != Role::kAdmin) return InvalidArgument("'{}' is no admin", identity.name);
  CSL_ASSIGN_OR_RETURN(const auto known, store_.FindCertificate(certificate.Serial()));
  if (known) return OkStatus();
  const TimePoint now = clock_.Now();
  CSL_RETURN_IF_ERROR(
      trail_.Append("admin_adopted", FieldsOf(identity, certificate, certificate_pem)));
  return store_.Enrol({.name = identity.name, .role = identity.role, .joined = now},
                      RecordOf(certificate, identity.name, now));
}

Status Registry::Revoke(const std::string& name, const std::string& by) {
  MutexLock lock(join_mu_);
  CSL_ASSIGN_OR_RETURN(const auto members, store_.ListMembers());
  const TimePoint now = clock_.Now();
  const auto member = std::find_if(members.begin(), members.end(),
                                   [&](const MemberRecord& m) { return m.name == name; });
  if (member == members.end()) return NotFound("no site '{}' has joined", name);
  const auto is_other_admin = [&](const MemberRecord& m) {
    return m.role == Role::kAdmin && m.name != name && IsTaken(m, now);
  };
  if (member->role == Role::kAdmin &&
      std::none_of(members.begin(), members.end(), is_other_admin)) {
    return FailedPrecondition("'{}' is the last admin: invite another one first", name);
  }
  CSL_RETURN_IF_ERROR(trail_.Append("revoked", {{"member", name}, {"by", by}}));
  return store_.RevokeMember(name, now);
}

StatusOr<std::vector<Revocation>> Registry::Revocations() {
  CSL_ASSIGN_OR_RETURN(const auto ended, store_.EndedCertificates(clock_.Now()));
  std::vector<Revocation> revocations;
  for (const CertificateRecord& certificate : ended) {
    revocations.push_back({certificate.serial, certificate.ends});
  }
  return revocations;
}

StatusOr<bool> Registry::HasActiveAdmin() {
  CSL_ASSIGN_OR_RETURN(const auto members, store_.ListMembers());
  return std::any_of(members.begin(), members.end(), [&](const MemberRecord& m) {
    return m.role == Role::kAdmin && IsActive(m, clock_.Now());
  });
}

StatusOr<std::string> Registry::RevocationList() {
  CSL_ASSIGN_OR_RETURN(const auto revocations, Revocations());
  return authority().IssueRevocationList(revocations, clock_.Now());
}

StatusOr<std::vector<std::string>> Registry::ActiveSites() {
  const TimePoint now = clock_.Now();
  const std::uint64_t version = store_.members_version();
  MutexLock lock(active_mu_);
  if (active_.version == version && active_.from <= now && now < active_.until) {
    return active_.names;
  }
  CSL_ASSIGN_OR_RETURN(const auto members, store_.ListMembers());
  ActiveNames active{.names = {}, .version = version, .from = now, .until = TimePoint::max()};
  for (const MemberRecord& member : members) {
    if (member.role != Role::kHospital || !IsActive(member, now)) continue;
    active.names.push_back(member.name);
    active.until = std::min(active.until, member.certificate_expires);
  }
  active_ = std::move(active);
  return active_.names;
}

StatusOr<Registry::Reading> Registry::Read(const std::string& certificate_pem) {
  {
    MutexLock lock(readings_mu_);
    const auto known = readings_.find(certificate_pem);
    if (known != readings_.end()) return known->second;
  }
  const auto certificate = Certificate::FromPem(certificate_pem);
  if (!certificate.ok()) return Unauthenticated("this call needs a client certificate");
  const auto identity = IdentityOf(*certificate);
  if (!identity.ok()) return Unauthenticated("{}", std::string(identity.status().message()));
  Reading reading{*identity, certificate->Serial()};
  MutexLock lock(readings_mu_);
  if (readings_.size() >= kMaxReadings) readings_.clear();
  readings_.emplace(certificate_pem, reading);
  return reading;
}

StatusOr<Identity> Registry::Authenticate(const std::string& certificate_pem) {
  CSL_ASSIGN_OR_RETURN(const Reading caller, Read(certificate_pem));
  if (caller.identity.federation != federation_) {
    return Unauthenticated("the certificate is of federation '{}', not '{}'",
                           caller.identity.federation, federation_);
  }
  CSL_RETURN_IF_ERROR(CheckMember(caller));
  return caller.identity;
}

Status Registry::CheckMember(const Reading& caller) {
  const Identity& identity = caller.identity;
  CSL_ASSIGN_OR_RETURN(const auto member, store_.FindMember(identity.name));
  if (!member || member->role != identity.role) {
    return PermissionDenied("{} '{}' is not of this federation", RoleName(identity.role),
                            identity.name);
  }
  if (member->revoked) {
    return PermissionDenied("{} '{}' was revoked", RoleName(identity.role), identity.name);
  }
  const TimePoint now = clock_.Now();
  CSL_ASSIGN_OR_RETURN(const auto record, store_.FindCertificate(caller.serial));
  if (!record || record->member != identity.name ||
      (record->ends != TimePoint() && now >= record->ends)) {
    return PermissionDenied("{} '{}' has another certificate now", RoleName(identity.role),
                            identity.name);
  }
  if (now >= record->expires) {  // since its connection was made
    return Unauthenticated("the certificate of '{}' has expired", identity.name);
  }
  // A full disk must not shut a member out.
  if (!record->used) (void)store_.UseCertificate(*record, now + kReplacedValidity);
  if (now - member->last_seen >= kLastSeenResolution) {
    (void)store_.SetLastSeen(identity.name, now);
  }
  return OkStatus();
}

Authority Registry::authority() const {
  MutexLock lock(authority_mu_);
  return authority_;
}

void Registry::SetAuthority(Authority authority) {
  MutexLock lock(authority_mu_);
  authority_ = std::move(authority);
}

}  // namespace consilium
