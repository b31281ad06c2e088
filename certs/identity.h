#pragma once

// Who a certificate speaks for: spiffe://FEDERATION/ROLE/NAME in its URI subject alternative name.

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/certificate.h"

namespace consilium {

enum class Role { kHospital, kCoordinator, kAdmin };

std::string_view RoleName(Role role);

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
