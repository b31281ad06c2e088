#include "client/infer/predictor.h"

#include <algorithm>

#include "client/batch/batch.h"
#include "client/nn/network.h"
#include "client/preprocess/image.h"
#include "client/train/trainer.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatch = 16;

// One image as the network wants it.
StatusOr<std::vector<float>> ReadInput(const fs::path& path, const ModelSpec& spec) {
  CSL_ASSIGN_OR_RETURN(const Image image, ReadImage(path, {spec.window_center, spec.window_width}));
  const Image resized = CropAndResize(image, spec.input_size);
  std::vector<float> input(static_cast<std::size_t>(spec.channels) * resized.pixels.size());
  Random unused(0);
  ToNetworkInput(resized.pixels, spec.input_size, {spec.mean, spec.stddev}, {}, unused,
                 spec.channels, input);
  return input;
}

// Predicts up to kBatch images together.
Status PredictSome(Network& network, std::span<const fs::path> paths,
                   const std::function<void(const StatusOr<Prediction>&)>& on_image) {
  const ModelSpec& spec = network.spec();
  Batch batch{.channels = spec.channels, .height = spec.input_size, .width = spec.input_size};
  std::vector<Status> statuses;
  for (const fs::path& path : paths) {
    const auto input = ReadInput(path, spec);
    statuses.push_back(input.status());
    if (!input.ok()) continue;
    batch.pixels.insert(batch.pixels.end(), input->begin(), input->end());
    ++batch.count;
  }
  std::vector<float> probabilities;
  if (batch.count > 0) {
    CSL_ASSIGN_OR_RETURN(probabilities, Predict(network, batch));
  }
  auto row = probabilities.begin();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!statuses[i].ok()) {
      on_image(statuses[i]);
      continue;
    }
    Prediction prediction{.path = paths[i], .probabilities = {}};
    const auto end = row + static_cast<std::ptrdiff_t>(spec.classes.size());
    prediction.predicted = static_cast<int>(std::max_element(row, end) - row);
    prediction.probabilities.assign(row, end);
    row = end;
    on_image(prediction);
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<fs::path>> FindImages(const std::vector<fs::path>& paths) {
  std::vector<fs::path> images;
  for (const fs::path& path : paths) {
    if (!fs::is_directory(path)) {
      images.push_back(path);
      continue;
    }
    const auto first = static_cast<std::ptrdiff_t>(images.size());
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file() && IsImageFile(entry.path())) images.push_back(entry.path());
    }
    std::sort(images.begin() + first, images.end());
  }
  if (images.empty()) return NotFound("no PNG, JPEG or DICOM image in the paths given");
  return images;
}

Status PredictImages(const Model& model, const std::vector<fs::path>& images,
                     const PredictOptions& options, const std::stop_token& stop,
                     const std::function<void(const StatusOr<Prediction>&)>& on_image) {
  SetThreads(options.threads);
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  CSL_RETURN_IF_ERROR(network.Load(model.state));
  CSL_RETURN_IF_ERROR(network.MoveTo(ResolveDevice(options.device)));
  for (std::size_t begin = 0; begin < images.size(); begin += kBatch) {
    if (stop.stop_requested()) return Cancelled("stopped after {} images", begin);
    const auto some = std::span(images).subspan(begin, std::min(kBatch, images.size() - begin));
    CSL_RETURN_IF_ERROR(PredictSome(network, some, on_image));
  }
  return OkStatus();
}

}  // namespace consilium
