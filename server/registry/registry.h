#pragma once

// Who belongs to the federation: invitations, joining, revocation, and whether a caller may call.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "certs/authority.h"
#include "certs/identity.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "server/store/store.h"

namespace consilium {

struct Invitation {
  std::string token;  // a secret: shown once, kept only as its hash
  TimePoint expires;
};

struct Enrolment {
  std::string certificate_pem;
  Identity identity;
};

// Thread-safe. Outlived by its store and clock.
class Registry {
 public:
  static constexpr std::chrono::hours kInvitationValidity{24};

  Registry(Store& store, const Clock& clock, Authority authority, std::string federation)
      : store_(store),
        clock_(clock),
        authority_(std::move(authority)),
        federation_(std::move(federation)) {}

  // A single-use token with which the site can join once, within kInvitationValidity.
  // ALREADY_EXISTS for a site that has joined and called since; one that joined and was never seen
  // may have lost the answer, so it may be invited again, and its first certificate is then void.
  StatusOr<Invitation> Invite(const std::string& site);

  // Trades a token and a signing request for a certificate. PERMISSION_DENIED for a token that is
  // unknown, expired or used: one line that says which.
  StatusOr<Enrolment> Join(const std::string& token, const std::string& request_pem);

  // Takes effect on the site's next call. NOT_FOUND for a site that never joined.
  Status Revoke(const std::string& site);

  StatusOr<std::vector<SiteRecord>> ListSites() { return store_.ListSites(); }
  // Names of the sites that may take part, in order.
  StatusOr<std::vector<std::string>> ActiveSites();

  // The identity behind a certificate that the TLS handshake has accepted. UNAUTHENTICATED for
  // another federation or no identity; PERMISSION_DENIED for a hospital that is unknown, revoked,
  // or that shows a certificate other than the one it joined with. Notes when a hospital was last
  // seen.
  StatusOr<Identity> Authenticate(const std::string& certificate_pem);

  const std::string& federation() const { return federation_; }
  const Authority& authority() const { return authority_; }

 private:
  Status CheckHospital(const std::string& site, const Certificate& certificate);

  Store& store_;
  const Clock& clock_;
  const Authority authority_;
  const std::string federation_;
  // One token cannot be used twice at the same moment.
  Mutex join_mu_;
};

}  // namespace consilium
