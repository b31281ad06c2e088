#include "client/data/pixel_labels.h"

#include <libfccp/csv.h>

#include <charconv>
#include <cmath>

#include "client/batch/batch.h"
#include "client/preprocess/mask.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr double kGreatestExtent = 8;
constexpr double kGreatestOpacity = 6;
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

StatusOr<double> ParseScore(const char* column, const std::string& text, double greatest) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= 0 && value <= greatest)) {
    return InvalidArgument("{} '{}', want a number of 0 to {}", column, text, greatest);
  }
  return value;
}

// A line of the severity file.
struct SeverityLine {
  std::string path;
  std::string geographic_extent;
  std::string opacity;  // empty where the file does not have it
};

StatusOr<std::vector<SeverityLine>> ReadLines(const fs::path& csv) {
  auto read = CatchAsStatus(csv.string(), [&] {
    io::CSVReader<3, io::trim_chars<' ', '\t', '\r'>, io::double_quote_escape<',', '"'>> reader(
        csv.string());
    reader.read_header(io::ignore_extra_column | io::ignore_missing_column, "path",
                       "geographic_extent", "opacity");
    for (const char* column : {"path", "geographic_extent"}) {
      if (!reader.has_column(column)) {
        throw std::invalid_argument(fmt::format("no column '{}'", column));
      }
    }
    std::vector<SeverityLine> lines;
    for (SeverityLine line; reader.read_row(line.path, line.geographic_extent, line.opacity);) {
      lines.push_back(line);
    }
    return lines;
  });
  if (!read.ok()) return InvalidArgument("{}", std::string(read.status().message()));
  return *std::move(read);
}

StatusOr<SeverityScore> Parse(const SeverityLine& line) {
  SeverityScore score;
  CSL_ASSIGN_OR_RETURN(score.geographic_extent,
                       ParseScore("geographic_extent", line.geographic_extent, kGreatestExtent));
  if (!line.opacity.empty()) {
    CSL_ASSIGN_OR_RETURN(score.opacity, ParseScore("opacity", line.opacity, kGreatestOpacity));
  }
  return score;
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
  CSL_ASSIGN_OR_RETURN(const std::vector<SeverityLine> lines, ReadLines(severity));
  for (const SeverityLine& line : lines) {
    const auto score = Parse(line);
    if (!score.ok()) return Annotate(score.status(), severity.string());
    labeller.severities_[fs::path(line.path).filename().string()] = *score;
  }
  return labeller;
}

bool PixelLabeller::Knows(const Example& example) const {
  return FindMask(sources_.lungs, example.path).has_value();
}

std::optional<SeverityScore> PixelLabeller::Severity(const Example& example) const {
  const auto found = severities_.find(example.path.filename().string());
  if (found == severities_.end()) return std::nullopt;
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
  } else if (const auto severity = Severity(example)) {
    in_lung = static_cast<std::uint8_t>(
        kLungOfExtent + std::lround(100 * severity->geographic_extent / kGreatestExtent));
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
