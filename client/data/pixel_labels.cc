#include "client/data/pixel_labels.h"

#include <charconv>
#include <cmath>

#include "client/batch/batch.h"
#include "client/preprocess/mask.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr double kGreatestExtent = 8;
enum Tissue : std::uint8_t { kElsewhere, kLung, kOpacity };

std::optional<fs::path> FindMask(const std::vector<fs::path>& folders, const fs::path& picture) {
  std::error_code ignored;
  for (const fs::path& folder : folders) {
    for (const fs::path& name : {picture.filename(), fs::path(picture.stem()) += ".png"}) {
      if (fs::is_regular_file(folder / name, ignored)) return folder / name;
    }
  }
  return std::nullopt;
}

StatusOr<double> ParseExtent(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= 0 && value <= kGreatestExtent)) {
    return InvalidArgument("geographic_extent '{}', want a number of 0 to {}", text,
                           kGreatestExtent);
  }
  return value;
}

}  // namespace

StatusOr<PixelLabeller> PixelLabeller::Create(PixelSources sources) {
  for (const auto* folders : {&sources.lungs, &sources.opacities}) {
    for (const fs::path& folder : *folders) {
      if (!fs::is_directory(folder)) return NotFound("{}: no folder of masks", folder.string());
    }
  }
  PixelLabeller labeller(std::move(sources));
  const fs::path& severity = labeller.sources_.severity;
  if (severity.empty()) return labeller;
  CSL_ASSIGN_OR_RETURN(const std::vector<std::string> paths, ReadColumn(severity, "path"));
  CSL_ASSIGN_OR_RETURN(const std::vector<std::string> extents,
                       ReadColumn(severity, "geographic_extent"));
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto extent = ParseExtent(extents[i]);
    if (!extent.ok()) return Annotate(extent.status(), severity.string());
    labeller.extents_[fs::path(paths[i]).filename().string()] = *extent;
  }
  return labeller;
}

bool PixelLabeller::Knows(const Example& example) const {
  return FindMask(sources_.lungs, example.path).has_value();
}

std::optional<double> PixelLabeller::GeographicExtent(const Example& example) const {
  const auto found = extents_.find(example.path.filename().string());
  if (found == extents_.end()) return std::nullopt;
  return found->second;
}

StatusOr<std::vector<std::uint8_t>> PixelLabeller::Label(const Example& example,
                                                         const Image& picture, int side) const {
  const auto lung_file = FindMask(sources_.lungs, example.path);
  if (!lung_file) return NotFound("{}: no mask of its lungs", example.path.string());
  CSL_ASSIGN_OR_RETURN(const std::vector<bool> lung, ReadMask(*lung_file, picture, side));
  std::vector<bool> opacity(lung.size());
  std::uint8_t in_lung = kLung;
  if (const auto file = FindMask(sources_.opacities, example.path)) {
    CSL_ASSIGN_OR_RETURN(opacity, ReadMask(*file, picture, side));
  } else if (const auto extent = GeographicExtent(example)) {
    in_lung =
        static_cast<std::uint8_t>(kLungOfExtent + std::lround(100 * *extent / kGreatestExtent));
  } else if (example.label != kHealthyLabel) {
    in_lung = kSomeLung;
  }
  std::vector<std::uint8_t> labels(lung.size(), kElsewhere);
  for (std::size_t i = 0; i < lung.size(); ++i) {
    if (lung[i]) labels[i] = in_lung;
    if (opacity[i]) labels[i] = kOpacity;
  }
  return labels;
}

}  // namespace consilium
