#include "client/infer/predictor.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>

#include "client/infer/picture_batch.h"
#include "client/train/embedding.h"
#include "client/train/trainer.h"
#include "common/base/parallel.h"
#include "common/base/random.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatch = 8;

StatusOr<Image> Read(const fs::path& path, const ModelSpec& spec) {
  return ReadImage(path, {spec.window_center, spec.window_width});
}

// Each picture's centred square, of the network's size, in their order; on as many threads as there
// are cores.
std::vector<StatusOr<Image>> ReadSquares(std::span<const fs::path> paths, const ModelSpec& spec) {
  std::vector<StatusOr<Image>> squares(paths.size(), Internal("not read"));
  OnAllCores(paths.size(), [&](std::size_t i) {
    const StatusOr<Image> whole = Read(paths[i], spec);
    if (whole.ok()) {
      squares[i] =
          CatchAsStatus(paths[i].string(), [&] { return CropAndResize(*whole, spec.input_size); });
    } else {
      squares[i] = whole.status();
    }
  });
  return squares;
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

StatusOr<Predictor> Predictor::Create(const Model& model, const PredictOptions& options,
                                      std::optional<Calibration> calibration) {
  CSL_RETURN_IF_ERROR(CheckNamesPictures(model.info.spec));
  SetThreads(options.threads);
  CSL_ASSIGN_OR_RETURN(Network network, Network::Create(model.info.spec, /*seed=*/0));
  CSL_RETURN_IF_ERROR(network.Load(model.state));
  CSL_RETURN_IF_ERROR(network.MoveTo(ResolveDevice(options.device)));
  if (calibration && calibration->classes != model.info.spec.classes) {
    return InvalidArgument("the calibration is of the classes {}",
                           fmt::join(calibration->classes, ", "));
  }
  return Predictor(std::move(network), options, std::move(calibration));
}

std::vector<float> Predictor::Probabilities(std::span<const float> logits) const {
  const double temperature = calibration_ ? calibration_->temperature : 1;
  const double greatest = static_cast<double>(*std::ranges::max_element(logits));
  std::vector<double> powers;
  for (const float logit : logits) {
    powers.push_back(std::exp((static_cast<double>(logit) - greatest) / temperature));
  }
  const double sum = std::accumulate(powers.begin(), powers.end(), 0.0);
  std::vector<float> probabilities;
  for (const double power : powers) probabilities.push_back(static_cast<float>(power / sum));
  return probabilities;
}

Judgement Predictor::Judge(const Prediction& prediction, const Image& picture,
                           std::span<const float> logits, std::span<const float> features) const {
  constexpr std::size_t kSimilar = 5;
  const KnownPictures& known = calibration_->known;
  auto nearest = known.Nearest(features, std::max(kSimilar, known.rank()));
  Judgement judgement{.distance = known.DistanceOf(nearest),
                      .energy = Energy(logits),
                      .layout_distance = LayoutDistance(calibration_->layouts, LayoutOf(picture))};
  nearest.resize(std::min(kSimilar, nearest.size()));
  judgement.similar = std::move(nearest);
  judgement.is_unlike = judgement.distance > calibration_->distance_limit ||
                        judgement.energy > calibration_->energy_limit ||
                        judgement.layout_distance > calibration_->layout_limit;
  for (std::size_t c = 0; c < prediction.probabilities.size(); ++c) {
    const std::optional<double>& threshold = calibration_->thresholds[c];
    judgement.called.push_back(threshold &&
                               static_cast<double>(prediction.probabilities[c]) >= *threshold);
  }
  return judgement;
}

Status Predictor::AddSpread(const std::vector<Image>& pictures,
                            std::vector<Prediction>& predictions) {
  const std::size_t classes = spec().classes.size();
  std::vector<double> sums(pictures.size() * classes);
  std::vector<double> squares(sums.size());
  for (int draw = 0; draw < draws_; ++draw) {
    CSL_ASSIGN_OR_RETURN(
        const Embedding embedding,
        Embed(network_, ToBatch(pictures, spec(), kSlightChanges, Random::For(0x7a, draw))));
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const auto p = Probabilities(std::span(embedding.logits).subspan(i * classes, classes));
      for (std::size_t c = 0; c < classes; ++c) {
        sums[i * classes + c] += static_cast<double>(p[c]);
        squares[i * classes + c] += static_cast<double>(p[c]) * static_cast<double>(p[c]);
      }
    }
  }
  const auto count = static_cast<double>(draws_);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double mean = sums[i] / count;
    predictions[i / classes].spread.push_back(
        static_cast<float>(std::sqrt(std::max(0.0, squares[i] / count - mean * mean))));
  }
  return OkStatus();
}

StatusOr<std::vector<Prediction>> Predictor::PredictPictures(const std::vector<Image>& pictures) {
  CSL_ASSIGN_OR_RETURN(const Embedding embedding, Embed(network_, ToBatch(pictures, spec())));
  if (calibration_ && calibration_->known.width() != embedding.width) {
    return InvalidArgument("the calibration is of {} features, the model has {}",
                           calibration_->known.width(), embedding.width);
  }
  const std::size_t classes = spec().classes.size();
  const auto width = static_cast<std::size_t>(embedding.width);
  std::vector<Prediction> predictions(pictures.size());
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto logits = std::span(embedding.logits).subspan(i * classes, classes);
    Prediction& one = predictions[i];
    one.probabilities = Probabilities(logits);
    one.predicted =
        static_cast<int>(std::ranges::max_element(one.probabilities) - one.probabilities.begin());
    if (!calibration_) continue;
    one.judgement =
        Judge(one, pictures[i], logits, std::span(embedding.features).subspan(i * width, width));
  }
  if (draws_ > 0) CSL_RETURN_IF_ERROR(AddSpread(pictures, predictions));
  return predictions;
}

Status Predictor::PredictSome(std::span<const fs::path> paths, std::vector<StatusOr<Image>> images,
                              const std::function<void(const StatusOr<Prediction>&)>& on_image) {
  std::vector<Image> pictures;
  for (StatusOr<Image>& image : images) {
    if (image.ok()) pictures.push_back(std::move(*image));
  }
  std::vector<Prediction> predictions;
  if (!pictures.empty()) {
    CSL_ASSIGN_OR_RETURN(predictions, PredictPictures(pictures));
  }
  auto next = predictions.begin();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!images[i].ok()) {
      on_image(images[i].status());
      continue;
    }
    next->path = paths[i];
    on_image(*next++);
  }
  return OkStatus();
}

// While some are in the network the next ones are read.
Status Predictor::Predict(const std::vector<fs::path>& images, const std::stop_token& stop,
                          const std::function<void(const StatusOr<Prediction>&)>& on_image) {
  const auto some = [&](std::size_t begin) {
    return std::span(images).subspan(begin, std::min(kBatch, images.size() - begin));
  };
  const auto read = [&](std::size_t begin) {
    return std::async(std::launch::async, ReadSquares, some(begin), spec());
  };
  if (images.empty()) return OkStatus();
  auto coming = read(0);
  for (std::size_t begin = 0; begin < images.size(); begin += kBatch) {
    if (stop.stop_requested()) return Cancelled("stopped after {} images", begin);
    std::vector<StatusOr<Image>> squares = coming.get();
    if (begin + kBatch < images.size()) coming = read(begin + kBatch);
    CSL_RETURN_IF_ERROR(PredictSome(some(begin), std::move(squares), on_image));
  }
  return OkStatus();
}

StatusOr<ExplainedPrediction> Predictor::Explain(const fs::path& path,
                                                 const std::optional<int>& which,
                                                 ExplanationMethod method,
                                                 const std::stop_token& stop) {
  ExplainedPrediction explained;
  CSL_ASSIGN_OR_RETURN(explained.image, Read(path, spec()));
  const std::vector<Image> pictures = {CropAndResize(explained.image, spec().input_size)};
  CSL_ASSIGN_OR_RETURN(std::vector<Prediction> predictions, PredictPictures(pictures));
  explained.prediction = std::move(predictions.front());
  explained.prediction.path = path;
  explained.explained = which.value_or(explained.prediction.predicted);
  const std::int64_t index = explained.explained;
  CSL_ASSIGN_OR_RETURN(explained.map, consilium::Explain(network_, ToBatch(pictures, spec()),
                                                         std::span(&index, 1), method, stop));
  return explained;
}

}  // namespace consilium
