#pragma once

// Who belongs to the federation: invitations, joining, renewal, revocation, and whether a caller
// may call. What changes stands in the audit trail before it does.

#include <map>
#include <string>
#include <vector>

#include "certs/authority.h"
#include "certs/identity.h"
#include "common/audit/trail.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "server/store/store.h"

namespace consilium {

struct Invitation {
  std::string token;  // a secret: shown once, kept only as its hash
  TimePoint expires;
};

struct Enrolment {
  std::string certificate_pem;  // the certificate, then its issuer's
  Identity identity;
};

// Thread-safe. Outlived by what it is given.
class Registry {
 public:
  static constexpr std::chrono::hours kInvitationValidity{24};
  // For how long a certificate stays good once the one that replaces it is in use: for calls that
  // are under way.
  static constexpr std::chrono::minutes kReplacedValidity{10};
  static constexpr std::chrono::seconds kMinRenewalInterval{10};

  Registry(Store& store, AuditTrail& trail, const Clock& clock, Authority authority,
           std::string federation)
      : store_(store),
        trail_(trail),
        clock_(clock),
        federation_(std::move(federation)),
        authority_(std::move(authority)) {}

  // A single-use token with which the member can join once, within kInvitationValidity.
  // ALREADY_EXISTS for one whose certificate is good and has been used: one that joined and was
  // never seen may have lost the answer, so it may be invited again, and its first certificate is
  // then void. INVALID_ARGUMENT for a role that nobody is
  // invited to.
  StatusOr<Invitation> Invite(const std::string& name, Role role, const std::string& by);

  // Trades a token and a signing request for a certificate. PERMISSION_DENIED for a token that is
  // unknown, expired or used: one line that says which.
  // `peer`: where the call comes from, for the trail.
  StatusOr<Enrolment> Join(const std::string& token, const std::string& request_pem,
                           const std::string& peer = {});

  // Another certificate for the member that has this one, for the key in the request. Its other
  // certificates stay good until kReplacedValidity after the first call with the new one: should
  // someone else have renewed with a stolen key, the member itself is shut out, and it shows.
  // UNAVAILABLE within kMinRenewalInterval of the last; as Authenticate for a certificate that is
  // not good any more.
  StatusOr<std::string> Renew(const std::string& certificate_pem, const std::string& request_pem);

  // Whether anybody is left who can invite.
  StatusOr<bool> HasActiveAdmin();
  // Writes an admin down whose certificate was issued on the coordinator's own machine. Nothing
  // where it is written down, INVALID_ARGUMENT where it is no admin's.
  Status AdoptAdmin(const std::string& certificate_pem);

  // Takes effect on the member's next call. NOT_FOUND for a member that never joined,
  // FAILED_PRECONDITION for an admin where no other one has ever called.
  Status Revoke(const std::string& name, const std::string& by);
  // The certificates that are not good any more, before their time.
  StatusOr<std::vector<Revocation>> Revocations();
  // They, as a revocation list in PEM.
  StatusOr<std::string> RevocationList();

  StatusOr<std::vector<MemberRecord>> ListMembers() { return store_.ListMembers(); }
  // Names of the hospitals that may take part, in order.
  StatusOr<std::vector<std::string>> ActiveSites();

  // The identity behind a certificate that the TLS handshake has accepted. UNAUTHENTICATED for
  // another federation, no identity or a certificate that has expired since; PERMISSION_DENIED for
  // a member that is unknown, revoked, or that shows a certificate which is not its own any more.
  // Notes when a member was last seen.
  StatusOr<Identity> Authenticate(const std::string& certificate_pem);

  const std::string& federation() const { return federation_; }
  Authority authority() const;
  // From now on certificates are issued by this one, of the same root.
  void SetAuthority(Authority authority);

 private:
  // What a certificate says. It is read once, and not again at each of a member's calls.
  struct Reading {
    Identity identity;
    std::string serial;
  };
  // What ActiveSites gave, of this version of the members and between these times.
  struct ActiveNames {
    std::vector<std::string> names;
    std::uint64_t version = 0;
    TimePoint from;
    TimePoint until;
  };
  StatusOr<Reading> Read(const std::string& certificate_pem);
  Status CheckMember(const Reading& caller);

  Store& store_;
  AuditTrail& trail_;
  const Clock& clock_;
  const std::string federation_;
  // One token cannot be used twice at the same moment.
  Mutex join_mu_;
  Mutex readings_mu_;
  std::map<std::string, Reading> readings_ ABSL_GUARDED_BY(readings_mu_);  // by the PEM
  Mutex active_mu_;
  ActiveNames active_ ABSL_GUARDED_BY(active_mu_);
  mutable Mutex authority_mu_;
  Authority authority_ ABSL_GUARDED_BY(authority_mu_);
};

}  // namespace consilium
