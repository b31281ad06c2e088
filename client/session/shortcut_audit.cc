#include "client/session/shortcut_audit.h"

#include <algorithm>

#include "client/preprocess/image.h"
#include "client/session/trainee.h"
#include "client/train/grad_cam.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kCacheFolder[] = "/tmp";
constexpr std::uint16_t kHalf = 32768;

// A picture and its lungs as the network sees them.
struct Masked {
  std::vector<std::uint16_t> pixels;
  std::vector<bool> lung;
};

StatusOr<Masked> ReadMasked(const fs::path& picture, const fs::path& mask_file,
                            const ModelSpec& spec) {
  CSL_ASSIGN_OR_RETURN(const Image image,
                       ReadImage(picture, {spec.window_center, spec.window_width}));
  CSL_ASSIGN_OR_RETURN(const Image mask, ReadImage(mask_file));
  if (mask.width != image.width || mask.height != image.height) {
    return InvalidArgument("{}: {} x {} pixels, its picture has {} x {}", mask_file.string(),
                           mask.width, mask.height, image.width, image.height);
  }
  Masked masked{.pixels = CropAndResize(image, spec.input_size).pixels, .lung = {}};
  for (const std::uint16_t value : CropAndResize(mask, spec.input_size).pixels) {
    masked.lung.push_back(value >= kHalf);
  }
  return masked;
}

enum class Shown { kWhole, kWithoutLungs, kLungsAlone };

// A batch of this one picture.
Batch ToBatch(const Masked& masked, Shown shown, const ModelSpec& spec) {
  std::vector<std::uint16_t> pixels = masked.pixels;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const bool hidden = (shown == Shown::kWithoutLungs && masked.lung[i]) ||
                        (shown == Shown::kLungsAlone && !masked.lung[i]);
    if (hidden) pixels[i] = 0;
  }
  Batch batch{
      .count = 1, .channels = spec.channels, .height = spec.input_size, .width = spec.input_size};
  batch.pixels.resize(static_cast<std::size_t>(spec.channels) * pixels.size());
  Random unused(0);
  ToNetworkInput(pixels, spec.input_size, {spec.mean, spec.stddev}, {}, unused, spec.channels,
                 batch.pixels);
  return batch;
}

// The sums that the audit's shares are made of.
struct Attention {
  double shares = 0;
  std::size_t images = 0;  // where something spoke for the class
  double areas = 0;
};

void AddAttention(const std::vector<float>& map, const std::vector<bool>& lung,
                  Attention& attention) {
  double inside = 0;
  double all = 0;
  double area = 0;
  for (std::size_t i = 0; i < map.size(); ++i) {
    all += static_cast<double>(map[i]);
    if (!lung[i]) continue;
    inside += static_cast<double>(map[i]);
    ++area;
  }
  attention.areas += area / static_cast<double>(map.size());
  if (all == 0) return;
  attention.shares += inside / all;
  ++attention.images;
}

}  // namespace

StatusOr<ShortcutAudit> AuditShortcuts(const Model& model, const Manifest& examples,
                                       const fs::path& masks, const v1::SiteConfig& site,
                                       const std::stop_token& stop) {
  const ModelSpec& spec = model.info.spec;
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kCacheFolder).Load(model));
  ShortcutAudit audit;
  const int classes = static_cast<int>(spec.classes.size());
  for (Scores* scores : {&audit.whole, &audit.without_lungs, &audit.lungs_alone}) {
    scores->classes = classes;
  }
  Attention attention;
  std::map<std::string, std::int64_t> patients;
  for (const Example& example : examples) {
    if (stop.stop_requested()) return Cancelled("the audit was stopped");
    const fs::path mask = masks / example.path.filename();
    if (!fs::exists(mask)) {
      ++audit.without_mask;
      continue;
    }
    CSL_ASSIGN_OR_RETURN(const Masked masked, ReadMasked(example.path, mask, spec));
    const auto label = std::ranges::find(spec.classes, example.label) - spec.classes.begin();
    const std::string& whose = example.patient.empty() ? example.path.native() : example.patient;
    const std::int64_t patient =
        patients.emplace(whose, static_cast<std::int64_t>(patients.size())).first->second;
    const auto add = [&](Shown shown, Scores& scores) -> Status {
      const Batch batch = ToBatch(masked, shown, spec);
      CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, batch));
      scores.probabilities.insert(scores.probabilities.end(), p.begin(), p.end());
      scores.labels.push_back(label);
      scores.patients.push_back(patient);
      if (shown != Shown::kWhole) return OkStatus();
      const std::int64_t called = std::ranges::max_element(p) - p.begin();
      CSL_ASSIGN_OR_RETURN(const std::vector<float> map,
                           GradCam(network, batch, std::span(&called, 1)));
      AddAttention(map, masked.lung, attention);
      return OkStatus();
    };
    CSL_RETURN_IF_ERROR(add(Shown::kWhole, audit.whole));
    CSL_RETURN_IF_ERROR(add(Shown::kWithoutLungs, audit.without_lungs));
    CSL_RETURN_IF_ERROR(add(Shown::kLungsAlone, audit.lungs_alone));
  }
  if (audit.whole.size() == 0) {
    return NotFound("{}: no mask of any of the {} images", masks.string(), examples.size());
  }
  audit.lung_area = attention.areas / static_cast<double>(audit.whole.size());
  if (attention.images > 0) {
    audit.attention_in_lungs = attention.shares / static_cast<double>(attention.images);
  }
  return audit;
}

}  // namespace consilium
