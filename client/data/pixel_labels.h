#pragma once

// What a hospital knows of its pictures' pixels: where the lungs are, where opacities are, or at
// least how much of the lungs is affected.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/data/manifest.h"
#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

// Masks are image files of their pictures' width and height, white where there is lung or opacity,
// named as their pictures, or the same with the ending .png. Of several folders the first that has
// one counts.
struct PixelSources {
  std::vector<std::filesystem::path> lungs;
  std::vector<std::filesystem::path> opacities;
  // A CSV with the columns path, of which the file name counts, geographic_extent, and where it is
  // known opacity. Empty: none.
  std::filesystem::path severity;
};

// As experts score a picture (Cohen et al., Cureus 2020), both lungs together.
struct SeverityScore {
  double geographic_extent = 0;   // 0 (nothing) to 8 (more than three quarters of each)
  std::optional<double> opacity;  // 0 (none) to 6 (both white)
};

// A picture without findings, as its label says: nothing of its lungs is affected.
inline constexpr char kHealthyLabel[] = "normal";

// Thread-safe.
class PixelLabeller {
 public:
  // NOT_FOUND for a folder that is none; INVALID_ARGUMENT for a severity file that is none, or
  // whose scores are not numbers in their ranges. An empty opacity is not known.
  static StatusOr<PixelLabeller> Create(PixelSources sources);

  // Whether the picture has a mask of its lungs. Without one nothing is known of its pixels.
  bool Knows(const Example& example) const;
  // Empty: not known.
  std::optional<SeverityScore> Severity(const Example& example) const;
  // Labels as in client/batch/batch.h of the picture, cropped and resized to side x side: opacity
  // where its mask is; where there is none, its lungs have the extent that is known, or are healthy
  // by the picture's label, or one does not know. INVALID_ARGUMENT for a mask of another size.
  StatusOr<std::vector<std::uint8_t>> Label(const Example& example, const Image& picture,
                                            int side) const;

 private:
  explicit PixelLabeller(PixelSources sources) : sources_(std::move(sources)) {}

  PixelSources sources_;
  std::map<std::string, SeverityScore> severities_;  // by file name
};

}  // namespace consilium
