#pragma once

// How far a picture is from those that a network knows. A network answers about anything, a
// photograph of a chair included; what it says of a picture unlike all it has learnt from means
// nothing.

#include <cstdint>
#include <span>
#include <vector>

#include "client/preprocess/image.h"

namespace consilium {

// A picture among those that are known.
struct Neighbour {
  std::size_t index = 0;
  double distance = 0;
};

// Distances between rows of features of length 1: from 0 to 2.
class KnownPictures {
 public:
  // N x width features of the pictures that the network has learnt from.
  KnownPictures(int width, std::vector<float> features);

  std::size_t size() const { return features_.size() / static_cast<std::size_t>(width_); }
  int width() const { return width_; }
  const std::vector<float>& features() const { return features_; }

  // The `count` nearest, or all there are, the nearest first.
  std::vector<Neighbour> Nearest(std::span<const float> picture, std::size_t count) const;

  // Which of the nearest counts as a picture's distance: the k-th, k = 1 + sqrt(N) / 4.
  std::size_t rank() const;

  // The distance to the nearest of that rank: large where the picture is like no
  // known one (Sun et al., ICML 2022, section 3). 2 where none is known.
  double Distance(std::span<const float> picture) const;
  // The same, of what Nearest gave for at least that many.
  double DistanceOf(const std::vector<Neighbour>& nearest) const;

 private:
  int width_ = 0;
  std::vector<float> features_;
};

// A picture by its layout alone: its largest centred square at kLayoutSide x kLayoutSide, less its
// mean, of length 1. A network that has learnt little may see a blank picture, or one that lies on
// its side, as one of those that it knows; by its layout it is none.
inline constexpr int kLayoutSide = 16;
std::vector<float> LayoutOf(const Image& picture);
// Its distance from those of the pictures that are known; 2 for a picture of one grey, as good as.
double LayoutDistance(const KnownPictures& layouts, std::span<const float> layout);

// -log(sum(exp(logits))): large where the network sees little of any class (Liu et al., NeurIPS
// 2020, equation 4, at temperature 1).
double Energy(std::span<const float> logits);

// The least value that at least `share` of the values are not above; infinity where there is none.
double Quantile(std::vector<double> values, double share);

}  // namespace consilium
