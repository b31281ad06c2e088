#include "client/data/synth.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "client/preprocess/picture_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr int kNormal = 0;
constexpr int kPneumonia = 1;
// Phantoms are drawn on a canvas of this side and then resized to the site's picture size.
constexpr int kCanvas = 256;
constexpr char kReadme[] =
    "Synthetic chest phantoms, drawn by `consilium-client data synth`. No patient, no anatomy, no\n"
    "clinical meaning: they exist to try the software. masks/lungs and masks/opacities hold the "
    "ground\n"
    "truth of each picture under the same name.\n";

using Canvas = cv::Mat_<float>;

cv::Point At(double x, double y) {
  return {static_cast<int>(std::lround(x * kCanvas)), static_cast<int>(std::lround(y * kCanvas))};
}
cv::Size Extent(double x, double y) {
  return {std::max(1, static_cast<int>(std::lround(x * kCanvas))),
          std::max(1, static_cast<int>(std::lround(y * kCanvas)))};
}

void Soften(Canvas& canvas, double sigma) {
  cv::GaussianBlur(canvas, canvas, {}, sigma, sigma, cv::BORDER_REPLICATE);
}

Canvas Ellipse(double x, double y, double rx, double ry, double angle, double sigma) {
  Canvas mask(kCanvas, kCanvas, 0.0F);
  cv::ellipse(mask, At(x, y), Extent(rx, ry), angle, 0, 360, 1.0, cv::FILLED);
  Soften(mask, sigma);
  return mask;
}

// The larger of both, in place.
void Overlay(Canvas& canvas, const cv::Mat& mask) {
  cv::Mat out = canvas;
  cv::max(canvas, mask, out);
}

// canvas + strength * mask, in place.
void Add(Canvas& canvas, const Canvas& mask, double strength) {
  canvas += static_cast<float>(strength) * mask;
}

// Where a patient's parts are; drawn once a phantom.
struct Anatomy {
  double centre = 0.5;  // of the spine, in x
  double lung_rx = 0;
  double lung_ry = 0;
  double lung_y = 0;

  static Anatomy Draw(Random& random) {
    return {.centre = random.Uniform(0.48, 0.52),
            .lung_rx = random.Uniform(0.145, 0.175),
            .lung_ry = random.Uniform(0.29, 0.34),
            .lung_y = random.Uniform(0.45, 0.50)};
  }
  // side: -1 for the picture's left, +1 for its right.
  double LungX(int side) const { return centre + side * (lung_rx + 0.065); }
};

Canvas DrawLungs(const Anatomy& anatomy, Random& random) {
  Canvas lungs(kCanvas, kCanvas, 0.0F);
  for (const int side : {-1, 1}) {
    const double tilt = -side * random.Uniform(2, 7);
    Overlay(lungs, Ellipse(anatomy.LungX(side), anatomy.lung_y, anatomy.lung_rx, anatomy.lung_ry,
                           tilt, 2));
  }
  // The heart lies over the lung on the picture's right, as on a frontal radiograph.
  const Canvas heart = Ellipse(anatomy.centre + 0.07, anatomy.lung_y + 0.17, 0.12, 0.14, 30, 2);
  lungs -= heart;
  Overlay(lungs, Canvas(kCanvas, kCanvas, 0.0F));
  return lungs;
}

void DrawRibs(Canvas& canvas, const Anatomy& anatomy, Random& random) {
  Canvas ribs(kCanvas, kCanvas, 0.0F);
  const double spacing = random.Uniform(0.065, 0.08);
  for (int rib = 0; rib < 9; ++rib) {
    for (const int side : {-1, 1}) {
      const double y = anatomy.lung_y - 0.30 + rib * spacing;
      cv::ellipse(ribs, At(anatomy.centre + side * 0.13, y + 0.06), Extent(0.19, 0.10), side * 14.0,
                  side > 0 ? -110 : 170, side > 0 ? 10 : 290, 1.0, 4, cv::LINE_AA);
    }
  }
  Soften(ribs, 1.2);
  Add(canvas, ribs, 0.10);
}

// A blotch with a ragged edge: an ellipse, thresholded after smooth noise was added.
Canvas DrawBlotch(double x, double y, double rx, double ry, double edge, Random& random) {
  Canvas noise(kCanvas, kCanvas);
  for (float& value : noise) value = static_cast<float>(random.Normal());
  Soften(noise, 6);
  Canvas blotch = Ellipse(x, y, rx, ry, random.Uniform(-40, 40), 8);
  Add(blotch, noise, 3);
  cv::threshold(blotch, blotch, 0.5, 1, cv::THRESH_BINARY);
  cv::multiply(blotch, Ellipse(x, y, rx * 1.4, ry * 1.4, 0, 2), blotch);
  Soften(blotch, edge);
  return blotch;
}

// One dense opacity in the upper or lower part of one lung.
Canvas DrawPneumonia(const Anatomy& anatomy, Random& random) {
  const int side = random.Below(2) == 0 ? -1 : 1;
  const double up = random.Below(3) == 0 ? -0.14 : 0.12;
  Canvas blotch = DrawBlotch(anatomy.LungX(side) + random.Uniform(-0.03, 0.03), anatomy.lung_y + up,
                             random.Uniform(0.09, 0.14), random.Uniform(0.08, 0.13), 2.5, random);
  blotch *= random.Uniform(0.26, 0.40);
  return blotch;
}

// Several faint opacities in both lungs, outward and downward.
Canvas DrawCovid(const Anatomy& anatomy, Random& random) {
  Canvas sum(kCanvas, kCanvas, 0.0F);
  for (const int side : {-1, 1}) {
    const int patches = 2 + static_cast<int>(random.Below(3));
    for (int i = 0; i < patches; ++i) {
      const double outward = anatomy.lung_rx * random.Uniform(0.35, 0.8);
      const double down = anatomy.lung_ry * random.Uniform(-0.35, 0.7);
      Canvas blotch =
          DrawBlotch(anatomy.LungX(side) + side * outward, anatomy.lung_y + down,
                     random.Uniform(0.04, 0.075), random.Uniform(0.05, 0.09), 4, random);
      blotch *= random.Uniform(0.14, 0.24);
      Overlay(sum, blotch);
    }
  }
  return sum;
}

Canvas DrawBody(const Anatomy& anatomy, const Canvas& lungs, Random& random) {
  Canvas canvas(kCanvas, kCanvas, 0.04F);
  Add(canvas, Ellipse(anatomy.centre, 0.58, 0.46, 0.56, 0, 5), random.Uniform(0.50, 0.56));
  Add(canvas, lungs, -random.Uniform(0.32, 0.38));
  Canvas spine(kCanvas, kCanvas, 0.0F);
  cv::rectangle(spine, At(anatomy.centre - 0.035, 0), At(anatomy.centre + 0.035, 1), 1.0,
                cv::FILLED);
  Soften(spine, 5);
  Add(canvas, spine, 0.16);
  Add(canvas, Ellipse(anatomy.centre + 0.07, anatomy.lung_y + 0.17, 0.12, 0.14, 30, 5), 0.15);
  for (const int side : {-1, 1}) {  // the domes of the diaphragm, and the collar bones
    Add(canvas,
        Ellipse(anatomy.LungX(side), anatomy.lung_y + anatomy.lung_ry + 0.07, 0.2, 0.12, 0, 6),
        0.12);
    cv::line(canvas, At(anatomy.centre + side * 0.05, anatomy.lung_y - 0.27),
             At(anatomy.centre + side * 0.33, anatomy.lung_y - 0.34), 0.66, 6, cv::LINE_AA);
  }
  DrawRibs(canvas, anatomy, random);
  return canvas;
}

// What the hospital's detector makes of it.
void ApplyStyle(Canvas& canvas, const SynthStyle& style, Random& random) {
  cv::resize(canvas, canvas, {style.width, style.height}, 0, 0, cv::INTER_AREA);
  if (style.blur > 0) Soften(canvas, style.blur);
  for (float& value : canvas) {
    const double exposed = 0.5 + style.contrast * (value - 0.5) + style.noise * random.Normal();
    value = static_cast<float>(std::pow(std::clamp(exposed, 0.0, 1.0), style.gamma));
  }
  if (!style.marker.empty()) {
    cv::putText(canvas, style.marker, {style.width / 24, style.height / 10},
                cv::FONT_HERSHEY_SIMPLEX, style.height / 400.0, 1.0, 1, cv::LINE_AA);
  }
}

Image ToImage(const Canvas& canvas) {
  Image image{.width = canvas.cols, .height = canvas.rows, .pixels = {}};
  image.pixels.reserve(canvas.total());
  for (const float value : canvas) {
    image.pixels.push_back(
        static_cast<std::uint16_t>(std::lround(std::clamp(value, 0.0F, 1.0F) * 65535.0F)));
  }
  return image;
}

Image ToMask(const Canvas& canvas, double threshold, const SynthStyle& style) {
  Canvas mask;
  cv::threshold(canvas, mask, threshold, 1, cv::THRESH_BINARY);
  cv::resize(mask, mask, {style.width, style.height}, 0, 0, cv::INTER_NEAREST);
  return ToImage(mask);
}

int DrawLabel(const SynthStyle& style, Random& random) {
  double u = random.Uniform();
  for (int label = 0; label < 2; ++label) {
    u -= style.balance[static_cast<std::size_t>(label)];
    if (u < 0) return label;
  }
  return 2;
}

}  // namespace

SynthStyle StyleOfSite(int site) {
  // Three hospitals that share nothing; further ones lie between and around them.
  switch (site) {
    case 0:
      return {.gamma = 1.0,
              .contrast = 1.0,
              .noise = 0.015,
              .marker = "L",
              .balance = {0.40, 0.35, 0.25}};
    case 1:
      return {.width = 320,
              .height = 272,
              .gamma = 0.75,
              .contrast = 0.8,
              .noise = 0.035,
              .blur = 0.8,
              .marker = "PORTABLE",
              .balance = {0.20, 0.25, 0.55}};
    case 2:
      return {.width = 240,
              .height = 288,
              .gamma = 1.35,
              .contrast = 1.2,
              .noise = 0.02,
              .balance = {0.60, 0.30, 0.10}};
    default:
      break;
  }
  Random random = Random::For(0x5e7e, site);
  SynthStyle style{.width = 224 + 16 * static_cast<int>(random.Below(8)),
                   .height = 224 + 16 * static_cast<int>(random.Below(8)),
                   .gamma = random.Uniform(0.75, 1.35),
                   .contrast = random.Uniform(0.8, 1.2),
                   .noise = random.Uniform(0.01, 0.04),
                   .blur = random.Uniform(0, 1)};
  const double covid = random.Uniform(0.1, 0.5);
  const double pneumonia = random.Uniform(0.2, 0.8) * (1 - covid);
  style.balance = {1 - covid - pneumonia, pneumonia, covid};
  return style;
}

Phantom DrawPhantom(const SynthStyle& style, int label, Random& random) {
  const Anatomy anatomy = Anatomy::Draw(random);
  const Canvas lungs = DrawLungs(anatomy, random);
  Canvas canvas = DrawBody(anatomy, lungs, random);
  Canvas opacity(kCanvas, kCanvas, 0.0F);
  if (label == kPneumonia) opacity = DrawPneumonia(anatomy, random);
  if (label > kPneumonia) opacity = DrawCovid(anatomy, random);
  cv::multiply(opacity, lungs, opacity);
  canvas += opacity;
  ApplyStyle(canvas, style, random);
  constexpr double kVisible = 0.06;  // of full scale: fainter parts of an opacity are not marked
  return {ToImage(canvas), ToMask(lungs, 0.5, style), ToMask(opacity, kVisible, style)};
}

Status WriteSynthCohort(const fs::path& folder, int site, int images, std::uint64_t seed,
                        const std::stop_token& stop, const std::function<void(int)>& on_image) {
  const fs::path manifest = folder / "manifest.csv";
  if (fs::exists(manifest)) return AlreadyExists("{} exists already", manifest.string());
  for (const char* sub : {"images", "masks/lungs", "masks/opacities"}) {
    CSL_RETURN_IF_ERROR(MakeFolders(folder / sub));
  }
  const SynthStyle style = StyleOfSite(site);
  Random patients = Random::For(seed, site);
  std::string csv = "path,label,patient_id\n";
  int label = kNormal;
  int patient = 0;
  int images_left = 0;
  for (int i = 0; i < images; ++i) {
    if (stop.stop_requested()) return Cancelled("stopped after {} of {} images", i, images);
    if (images_left-- == 0) {
      ++patient;
      label = DrawLabel(style, patients);
      images_left = static_cast<int>(patients.Below(3));
    }
    Random random = Random::For(seed, site, i);
    const Phantom phantom = DrawPhantom(style, label, random);
    const std::string name = fmt::format("synthetic_s{}_{:05}.png", site, i);
    CSL_RETURN_IF_ERROR(WritePng(folder / "images" / name, ToBytes(phantom.image)));
    CSL_RETURN_IF_ERROR(WritePng(folder / "masks/lungs" / name, ToBytes(phantom.lungs)));
    CSL_RETURN_IF_ERROR(WritePng(folder / "masks/opacities" / name, ToBytes(phantom.opacities)));
    csv += fmt::format("images/{},{},synthetic-{}-{}\n", name,
                       kSynthLabels[static_cast<std::size_t>(label)], site, patient);
    if (on_image) on_image(i + 1);
  }
  CSL_RETURN_IF_ERROR(WriteFileAtomically(folder / "README", kReadme));
  return WriteFileAtomically(manifest, csv);
}

}  // namespace consilium
