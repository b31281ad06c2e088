#pragma once

// A hospital's settings, site.yaml: their defaults and what makes them valid.

#include <filesystem>
#include <string_view>
#include <utility>

#include "common/base/status.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

inline constexpr char kSiteFile[] = "site.yaml";

// The one place of every default.
v1::SiteConfig DefaultSite();

// Defaults, then the file's fields over them, checked.
StatusOr<v1::SiteConfig> ReadSite(const std::filesystem::path& path);

// Of a member's folder: its site.yaml, or the defaults where it has none, as one of the role
// inference.
StatusOr<v1::SiteConfig> ReadSiteOfFolder(const std::filesystem::path& folder);

// "22:00-06:00" as minutes of the day. INVALID_ARGUMENT for what is no such span.
StatusOr<std::pair<int, int>> ParseHours(std::string_view text);

// The text of a new site.yaml whose data lie at `data`.
std::string NewSiteYaml(const std::string& data, int threads);

}  // namespace consilium
