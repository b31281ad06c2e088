#include "client/session/shortcut_audit.h"

#include <algorithm>
#include <set>

#include "client/infer/picture_batch.h"
#include "client/preprocess/image.h"
#include "client/preprocess/mask.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/embedding.h"
#include "client/train/explanation.h"
#include "common/config/plan.h"
#include "common/metrics/localisation.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// A picture and its lungs as the network sees them.
struct Masked {
  std::vector<std::uint16_t> pixels;
  std::vector<bool> lung;
};

StatusOr<Masked> ReadMasked(const fs::path& picture, const fs::path& mask_file,
                            const ModelSpec& spec) {
  CSL_ASSIGN_OR_RETURN(const Image image,
                       ReadImage(picture, {spec.window_center, spec.window_width}));
  Masked masked{.pixels = CropAndResize(image, spec.input_size).pixels, .lung = {}};
  CSL_ASSIGN_OR_RETURN(masked.lung, ReadMask(mask_file, image, spec.input_size));
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
  return ToBatch({{spec.input_size, spec.input_size, std::move(pixels)}}, spec);
}

// The sums that the audit's shares are made of.
struct Attention {
  double shares = 0;
  std::size_t images = 0;  // where something spoke for the class
  double areas = 0;
};

Status AddScores(Network& network, const Batch& batch, std::vector<float>& probabilities) {
  CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, batch));
  probabilities.insert(probabilities.end(), p.begin(), p.end());
  return OkStatus();
}

void AddAttention(const std::vector<float>& map, const std::vector<bool>& lung,
                  Attention& attention) {
  attention.areas += AreaShare(lung);
  const std::optional<double> share = ShareInside(map, lung);
  if (!share) return;
  attention.shares += *share;
  ++attention.images;
}

}  // namespace

StatusOr<ShortcutAudit> AuditShortcuts(const Model& model, const ScoredImages& scored,
                                       const fs::path& masks, const v1::SiteConfig& site,
                                       const std::stop_token& stop) {
  const ModelSpec& spec = model.info.spec;
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  std::vector<std::size_t> masked_images;
  std::vector<float> without_lungs;
  std::vector<float> lungs_alone;
  Attention attention;
  for (std::size_t i = 0; i < scored.examples.size(); ++i) {
    if (stop.stop_requested()) return Cancelled("the audit was stopped");
    const fs::path& picture = scored.examples[i].path;
    const fs::path mask = masks / picture.filename();
    if (!fs::exists(mask)) continue;
    masked_images.push_back(i);
    CSL_ASSIGN_OR_RETURN(const Masked masked, ReadMasked(picture, mask, spec));
    CSL_RETURN_IF_ERROR(
        AddScores(network, ToBatch(masked, Shown::kWithoutLungs, spec), without_lungs));
    CSL_RETURN_IF_ERROR(AddScores(network, ToBatch(masked, Shown::kLungsAlone, spec), lungs_alone));
    const auto row = scored.scores.row(i);
    const std::int64_t called = std::ranges::max_element(row) - row.begin();
    CSL_ASSIGN_OR_RETURN(const std::vector<float> map,
                         Explain(network, ToBatch(masked, Shown::kWhole, spec),
                                 std::span(&called, 1), ExplanationMethod::kGradCam));
    AddAttention(map, masked.lung, attention);
  }
  ShortcutAudit audit;
  audit.without_mask = scored.examples.size() - masked_images.size();
  audit.whole = audit.without_lungs = audit.lungs_alone = Choose(scored.scores, masked_images);
  audit.without_lungs.probabilities = std::move(without_lungs);
  audit.lungs_alone.probabilities = std::move(lungs_alone);
  if (audit.whole.size() == 0) {
    return NotFound("{}: no mask of any of the {} images", masks.string(), scored.examples.size());
  }
  audit.lung_area = attention.areas / static_cast<double>(audit.whole.size());
  if (attention.images > 0) {
    audit.attention_in_lungs = attention.shares / static_cast<double>(attention.images);
  }
  return audit;
}

StatusOr<std::optional<SourceProbe>> AuditSources(const Model& model, const ScoredImages& scored,
                                                  const v1::SiteConfig& site,
                                                  const std::stop_token& stop) {
  std::vector<std::string> sources;
  std::vector<std::string> patients;
  for (const Example& example : scored.examples) {
    sources.push_back(example.site);
    patients.push_back(example.patient);
  }
  if (std::set<std::string>(sources.begin(), sources.end()).size() < 2) return std::nullopt;
  const ModelSpec& spec = model.info.spec;
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(spec, scored.examples, site, kScratchFolder, stop));
  Loader loader(images, spec, ToEvaluationLoader(DefaultPlan(), site));
  loader.StartEpoch(0);
  std::vector<float> features;
  int width = 0;
  while (true) {
    if (stop.stop_requested()) return Cancelled("the audit was stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, loader.Next());
    if (batch == nullptr) return ProbeSources(features, width, sources, patients);
    CSL_ASSIGN_OR_RETURN(const Embedding embedding, Embed(network, *batch));
    width = embedding.width;
    features.insert(features.end(), embedding.features.begin(), embedding.features.end());
  }
}

}  // namespace consilium
