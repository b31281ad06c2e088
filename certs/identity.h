#pragma once

// Who a certificate speaks for: spiffe://FEDERATION/ROLE/NAME in its URI subject alternative name.

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/certificate.h"

namespace consilium {

// Their numbers stand in the coordinator's database.
enum class Role {
  kHospital,     // trains, and pulls the models
  kCoordinator,  // the server itself: answers, and calls nothing
  kAdmin,        // invites, revokes, launches runs
  kObserver,     // reads what admins read: who takes part, runs and their results
  kInference,    // pulls the models that are released, and nothing else
};
inline constexpr std::size_t kRoles = 5;

std::string_view RoleName(Role role);
// INVALID_ARGUMENT with the names there are.
StatusOr<Role> ParseRole(std::string_view name);

struct Identity {
  std::string federation;
  Role role = Role::kHospital;
  std::string name;

  std::string ToUri() const;
  bool operator==(const Identity&) const = default;
};

// INVALID_ARGUMENT unless it is exactly one such URI with a known role and proper names.
StatusOr<Identity> ParseIdentity(std::string_view uri);
// The identity in a certificate; one with no URI, or several, has none.
StatusOr<Identity> IdentityOf(const Certificate& certificate);

// Names of federations, hospitals and people: 1 to 63 of a-z, 0-9, '-' and '.', beginning and
// ending with a letter or digit. `what` is for the message.
Status CheckName(std::string_view what, std::string_view name);

}  // namespace consilium
