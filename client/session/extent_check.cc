#include "client/session/extent_check.h"

#include <algorithm>
#include <map>

#include "client/data/loader.h"
#include "client/data/pixel_labels.h"
#include "client/infer/extent.h"
#include "client/session/plan_options.h"
#include "client/session/site_images.h"
#include "client/session/trainee.h"
#include "client/train/trainer.h"
#include "common/config/plan.h"

namespace consilium {
namespace {

// A picture without a patient is a patient of its own.
std::vector<std::int64_t> NumberPatients(const Manifest& examples) {
  std::map<std::string, std::int64_t> numbers;
  std::vector<std::int64_t> patients;
  for (const Example& example : examples) {
    const std::string name = example.patient.empty() ? example.path.string() : example.patient;
    const auto number = static_cast<std::int64_t>(numbers.size());
    patients.push_back(numbers.emplace(name, number).first->second);
  }
  return patients;
}

StatusOr<MeasuredNumbers> MeasureSeverity(const Model& model, const Manifest& manifest,
                                          const v1::SiteConfig& site, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const PixelLabeller labeller,
                       PixelLabeller::Create(ToPixelSources(site.data())));
  CSL_ASSIGN_OR_RETURN(ExtentMeter meter,
                       ExtentMeter::Create(model, site.device(), static_cast<int>(site.threads())));
  Manifest measured;
  MeasuredNumbers numbers;
  for (const Example& example : manifest) {
    if (stop.stop_requested()) return Cancelled("stopped");
    const auto given = labeller.GeographicExtent(example);
    if (!given) continue;
    CSL_ASSIGN_OR_RETURN(const MeasuredPicture picture, meter.Measure(example.path));
    numbers.given.push_back(*given);
    numbers.measured.push_back(picture.extent.geographic_extent.value_or(0));
    measured.push_back(example);
  }
  numbers.patients = NumberPatients(measured);
  return numbers;
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
    for (std::size_t i = 0; i < batch->labels.size(); ++i) {
      const float* of_pixel = &p[i * kTissues.size()];
      lungs.Add(batch->labels[i] != 0, of_pixel[0] < 0.5F);
      if (batch->labels[i] >= kSomeLung) continue;
      const bool is_likeliest = of_pixel[2] > std::max(of_pixel[0], of_pixel[1]);
      opacities.Add(batch->labels[i] == kOpacity, is_likeliest);
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
  CSL_ASSIGN_OR_RETURN(const MeasuredNumbers severity,
                       MeasureSeverity(model, examples, site, stop));
  CSL_ASSIGN_OR_RETURN(const ImageSet images,
                       DecodeFor(model.info.spec, examples, site, kScratchFolder, stop));
  if (images.size() == 0 && severity.given.empty()) {
    return NotFound("{}: no picture of split '{}' has a mask of its lungs or a known extent",
                    site.data().path(), split);
  }
  ExtentCheck check{
      .masked = images.size(), .lungs = {}, .opacities = {}, .severity = Agree(severity)};
  CSL_ASSIGN_OR_RETURN(Network network, Trainee(site, kScratchFolder).Load(model));
  Loader loader(images, model.info.spec, ToEvaluationLoader(DefaultPlan(), site));
  CSL_RETURN_IF_ERROR(CountRegions(network, loader, stop, check));
  return check;
}

}  // namespace consilium
