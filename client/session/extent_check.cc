#include "client/session/extent_check.h"

#include <algorithm>

#include "client/data/loader.h"
#include "client/data/patients.h"
#include "client/data/pixel_labels.h"
#include "client/infer/extent.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/trainer.h"
#include "common/config/plan.h"

namespace consilium {
namespace {

// Scores of the same pictures, by experts and by a network.
struct Comparison {
  Manifest pictures;
  MeasuredNumbers numbers;

  void Add(const Example& picture, double given, double measured) {
    pictures.push_back(picture);
    numbers.given.push_back(given);
    numbers.measured.push_back(measured);
  }
  Agreement Agree() && {
    numbers.patients = NumberPatients(pictures);
    return consilium::Agree(numbers);
  }
};

Status MeasureSeverity(const Model& model, const Manifest& manifest, const v1::SiteConfig& site,
                       const std::stop_token& stop, ExtentCheck& check) {
  CSL_ASSIGN_OR_RETURN(const PixelLabeller labeller,
                       PixelLabeller::Create(ToPixelSources(site.data())));
  CSL_ASSIGN_OR_RETURN(ExtentMeter meter,
                       ExtentMeter::Create(model, site.device(), static_cast<int>(site.threads())));
  Comparison extent;
  Comparison opacity;
  for (const Example& example : manifest) {
    if (stop.stop_requested()) return Cancelled("stopped");
    const auto given = labeller.Severity(example);
    if (!given) continue;
    const auto picture = meter.Measure(example.path);
    if (!picture.ok() || !picture->extent.geographic_extent) {
      ++check.not_measured;
      continue;
    }
    const Extent& measured = picture->extent;
    extent.Add(example, given->geographic_extent, *measured.geographic_extent);
    if (given->opacity) opacity.Add(example, *given->opacity, *measured.opacity);
  }
  check.geographic_extent = std::move(extent).Agree();
  check.opacity = std::move(opacity).Agree();
  return OkStatus();
}

// Counts pixels of a region, as it is and as it is found (Dice, Ecology 1945).
class DiceCounts {
 public:
  void Add(bool is, bool is_found) {
    both_ += is && is_found ? 1 : 0;
    either_ += (is ? 1 : 0) + (is_found ? 1 : 0);
    any_ = any_ || is;
  }
  std::optional<double> Coefficient() const {
    if (!any_) return std::nullopt;
    return 2 * both_ / either_;
  }

 private:
  double both_ = 0;
  double either_ = 0;
  bool any_ = false;
};

// Lungs are found where they are likelier than not, opacities where they are the likeliest.
Status CountRegions(Network& network, BatchSource& pictures, const std::stop_token& stop,
                    ExtentCheck& check) {
  constexpr std::int64_t kOpacity = 2;
  DiceCounts lungs;
  DiceCounts opacities;
  pictures.StartEpoch(0);
  while (true) {
    if (stop.stop_requested()) return Cancelled("stopped");
    CSL_ASSIGN_OR_RETURN(const Batch* batch, pictures.Next());
    if (batch == nullptr) break;
    CSL_ASSIGN_OR_RETURN(const std::vector<float> p, Predict(network, *batch));
    const std::size_t area = batch->labels.size() / static_cast<std::size_t>(batch->count);
    for (std::size_t first = 0; first < batch->labels.size(); first += area) {
      const auto labels = std::span(batch->labels).subspan(first, area);
      const bool are_known =
          std::ranges::all_of(labels, [](auto label) { return label < kSomeLung; });
      for (std::size_t i = 0; i < area; ++i) {
        const float* of_pixel = &p[(first + i) * kTissues.size()];
        lungs.Add(labels[i] != 0, of_pixel[0] < 0.5F);
        if (!are_known) continue;
        const bool is_likeliest = of_pixel[2] > std::max(of_pixel[0], of_pixel[1]);
        opacities.Add(labels[i] == kOpacity, is_likeliest);
      }
    }
  }
  check.lungs = lungs.Coefficient();
  check.opacities = opacities.Coefficient();
  return OkStatus();
}

}  // namespace

StatusOr<ExtentCheck> CheckExtent(const Model& model, const v1::SiteConfig& site,
                                  const std::string& split, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(ToDataSource(site.data())));
  CSL_ASSIGN_OR_RETURN(const Manifest examples, SelectSplit(manifest, split));
  ExtentCheck check;
  CSL_RETURN_IF_ERROR(MeasureSeverity(model, examples, site, stop, check));
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(model.info.spec, examples, site, kScratchFolder, stop));
  if (images.size() == 0 && check.geographic_extent.images + check.not_measured == 0) {
    return NotFound("{}: no picture of split '{}' has a mask of its lungs or a known extent",
                    site.data().path(), split);
  }
  check.masked = images.size();
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  Loader loader(images, model.info.spec, ToEvaluationLoader(DefaultPlan(), site));
  CSL_RETURN_IF_ERROR(CountRegions(network, loader, stop, check));
  return check;
}

}  // namespace consilium
