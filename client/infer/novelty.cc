#include "client/infer/novelty.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace consilium {

KnownPictures::KnownPictures(int width, std::vector<float> features)
    : width_(width), features_(std::move(features)) {}

std::vector<Neighbour> KnownPictures::Nearest(std::span<const float> picture,
                                              std::size_t count) const {
  std::vector<Neighbour> all(size());
  const auto width = static_cast<std::size_t>(width_);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto row = std::span(features_).subspan(i * width, width);
    double square = 0;
    for (std::size_t f = 0; f < width; ++f) {
      const double difference = static_cast<double>(row[f]) - static_cast<double>(picture[f]);
      square += difference * difference;
    }
    all[i] = {i, std::sqrt(square)};
  }
  const auto kept = static_cast<std::ptrdiff_t>(std::min(count, all.size()));
  std::partial_sort(all.begin(), all.begin() + kept, all.end(),
                    [](const Neighbour& a, const Neighbour& b) {
                      return a.distance != b.distance ? a.distance < b.distance : a.index < b.index;
                    });
  all.resize(static_cast<std::size_t>(kept));
  return all;
}

std::size_t KnownPictures::rank() const {
  return 1 + static_cast<std::size_t>(std::sqrt(static_cast<double>(size())) / 4);
}

double KnownPictures::DistanceOf(const std::vector<Neighbour>& nearest) const {
  return nearest.size() < rank() ? 2 : nearest[rank() - 1].distance;
}

double KnownPictures::Distance(std::span<const float> picture) const {
  return DistanceOf(Nearest(picture, rank()));
}

std::vector<float> LayoutOf(const Image& picture) {
  constexpr double kLeastContrast = 655;  // standard deviation, of 65535
  const Image small = CropAndResize(picture, kLayoutSide);
  const auto count = static_cast<double>(small.pixels.size());
  const double mean = std::accumulate(small.pixels.begin(), small.pixels.end(), 0.0) / count;
  double squares = 0;
  for (const std::uint16_t pixel : small.pixels) squares += (pixel - mean) * (pixel - mean);
  std::vector<float> layout(small.pixels.size());
  if (std::sqrt(squares / count) < kLeastContrast) return layout;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    layout[i] = static_cast<float>((small.pixels[i] - mean) / std::sqrt(squares));
  }
  return layout;
}

double LayoutDistance(const KnownPictures& layouts, std::span<const float> layout) {
  const bool is_blank = std::ranges::all_of(layout, [](float value) { return value == 0; });
  return is_blank ? 2 : layouts.Distance(layout);
}

double Energy(std::span<const float> logits) {
  const double greatest = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
  return -(greatest + std::log(sum));
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::numeric_limits<double>::infinity();
  std::ranges::sort(values);
  const auto rank =
      static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size()) - 1e-9));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace consilium
