#pragma once

// What a hospital's folder tells of the hospital, for its commands and its page.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "client/link/plan_book.h"
#include "client/link/site_trail.h"
#include "client/web/house.h"
#include "common/base/status.h"
#include "consilium/v1/signed.pb.h"

namespace consilium {

nlohmann::ordered_json ToJson(const std::vector<PlanEntry>& plans);
nlohmann::ordered_json ToJson(const std::vector<Sending>& outbox);
nlohmann::ordered_json ToJson(const v1::SiteScore& score);

// Of the folder, and of how the model that it uses does on its validation images.
// The model that is used is the one with the digest: once another was pulled, nothing is said of
// it.
House HouseOf(const std::filesystem::path& dir, const std::string& digest);

}  // namespace consilium
