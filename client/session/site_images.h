#pragma once

// A hospital's images for a network: which of them, and decoded.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "client/data/image_set.h"
#include "client/data/manifest.h"
#include "common/base/status.h"
#include "common/model/model_info.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

// Where decoded images lie that memory has no room for, in the place of a hospital's own folder.
inline constexpr char kScratchFolder[] = "/tmp";

// The examples of "train", "val", "test" or "all". INVALID_ARGUMENT for another name.
StatusOr<Manifest> SelectSplit(const Manifest& manifest, const std::string& split);

// Decodes them as the network wants them. For one that labels pixels those with a mask of their
// lungs, with what the site knows of their pixels; the classes are then the examples' own labels.
// See ImageSet::Build.
StatusOr<ImageSet> DecodeFor(
    const ModelSpec& spec, Manifest examples, const v1::SiteConfig& site,
    const std::filesystem::path& cache_folder, const std::stop_token& stop,
    const std::function<void(std::size_t done, std::size_t total)>& on_image = {});

}  // namespace consilium
