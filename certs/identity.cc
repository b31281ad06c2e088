#include "certs/identity.h"

#include <algorithm>
#include <array>
#include <vector>

namespace consilium {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kMaxName = 63;
constexpr std::array<std::string_view, kRoles> kRoleNames = {"hospital", "coordinator", "admin",
                                                             "observer", "inference"};

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

std::string_view RoleName(Role role) { return kRoleNames[static_cast<std::size_t>(role)]; }

StatusOr<Role> ParseRole(std::string_view name) {
  const auto found = std::find(kRoleNames.begin(), kRoleNames.end(), name);
  if (found == kRoleNames.end()) {
    return InvalidArgument("unknown role '{}', want one of {}", name, fmt::join(kRoleNames, ", "));
  }
  return static_cast<Role>(found - kRoleNames.begin());
}

std::string Identity::ToUri() const {
  return fmt::format("{}{}/{}/{}", kScheme, federation, RoleName(role), name);
}

StatusOr<Identity> ParseIdentity(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return InvalidArgument("'{}' is not a SPIFFE identity", uri);
  std::vector<std::string_view> parts;
  for (std::string_view rest = uri.substr(kScheme.size());;) {
    const std::size_t slash = rest.find('/');
    parts.push_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts.size() != 3) return InvalidArgument("'{}' is not FEDERATION/ROLE/NAME", uri);
  CSL_RETURN_IF_ERROR(CheckName("federation", parts[0]));
  CSL_ASSIGN_OR_RETURN(const Role role, ParseRole(parts[1]));
  CSL_RETURN_IF_ERROR(CheckName("name", parts[2]));
  return Identity{std::string(parts[0]), role, std::string(parts[2])};
}

StatusOr<Identity> IdentityOf(const Certificate& certificate) {
  const std::vector<std::string> uris = certificate.Uris();
  if (uris.size() != 1) return InvalidArgument("the certificate names {} identities", uris.size());
  return ParseIdentity(uris.front());
}

Status CheckName(std::string_view what, std::string_view name) {
  const bool proper = !name.empty() && name.size() <= kMaxName && IsAlphanumeric(name.front()) &&
                      IsAlphanumeric(name.back()) && name.find("..") == std::string_view::npos &&
                      std::all_of(name.begin(), name.end(),
                                  [](char c) { return IsAlphanumeric(c) || c == '-' || c == '.'; });
  if (!proper) {
    return InvalidArgument("{} '{}': want 1 to {} of a-z, 0-9, '-' and '.'", what, name, kMaxName);
  }
  return OkStatus();
}

}  // namespace consilium
