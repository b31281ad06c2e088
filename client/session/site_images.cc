#include "client/session/site_images.h"

#include "client/data/pixel_labels.h"
#include "client/session/plan_options.h"

namespace consilium {
namespace {

std::vector<std::string> LabelsOf(const Manifest& examples) {
  std::vector<std::string> labels;
  for (const auto& [label, count] : CountLabels(examples)) labels.push_back(label);
  return labels;
}

}  // namespace

StatusOr<Manifest> SelectSplit(const Manifest& manifest, const std::string& split) {
  if (split == "all") return manifest;
  if (split == "train") return Select(manifest, Split::kTrain);
  if (split == "val") return Select(manifest, Split::kValidation);
  if (split == "test") return Select(manifest, Split::kTest);
  return InvalidArgument("split '{}', want one of: train, val, test, all", split);
}

StatusOr<ImageSet> DecodeFor(
    const ModelSpec& spec, Manifest examples, const v1::SiteConfig& site,
    const std::filesystem::path& cache_folder, const std::stop_token& stop,
    const std::function<void(std::size_t done, std::size_t total)>& on_image) {
  ImageSetOptions options = ToImageSetOptions(site, spec, cache_folder);
  std::vector<std::string> classes = spec.classes;
  if (LabelsPixels(spec)) {
    CSL_ASSIGN_OR_RETURN(const PixelLabeller labeller,
                         PixelLabeller::Create(ToPixelSources(site.data())));
    std::erase_if(examples, [&](const Example& example) { return !labeller.Knows(example); });
    classes = LabelsOf(examples);
    options.label_pixels = [labeller, side = spec.input_size](const Example& example,
                                                              const Image& picture) {
      return labeller.Label(example, picture, side);
    };
  }
  return ImageSet::Build(examples, classes, options, stop, [&](std::size_t done) {
    if (on_image) on_image(done, examples.size());
  });
}

}  // namespace consilium
