#pragma once

// Several models side by side on one set of images.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "client/session/local.h"
#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

struct Compared {
  std::filesystem::path file;
  ModelSpec spec;
  Scores scores;
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;             // of its file
  std::uint64_t flops = 0;             // for one image, see client/nn/cost.h
  double latency_seconds = 0;          // of one image alone, the median of some
  double train_images_per_second = 0;  // of a few steps on these images, batches of 16
};

// Scores each model on one split of the site's data and measures what it costs on the site's
// device. The files stay as they are.
StatusOr<std::vector<Compared>> CompareModels(const std::vector<std::filesystem::path>& files,
                                              const v1::SiteConfig& site, const std::string& split,
                                              const std::stop_token& stop);

}  // namespace consilium
