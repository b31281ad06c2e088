#pragma once

// A small seeded generator whose sequence is the same on every machine and standard library, for
// everything that must be repeated: shuffles, splits, augmentation, synthetic images. Not for keys
// or tokens: those come from crypto/digest.h's RandomHex.
//
// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, figure 16). Cheap to construct, so a generator
// for "this image in this epoch" is made from mixed seeds instead of being carried along. Not
// thread-safe.

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace consilium {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  // A generator for the given place: Random::For(seed, epoch, index) differs in each argument.
  template <typename... Parts>
  static Random For(std::uint64_t seed, Parts... parts) {
    Random random(seed);
    ((random.state_ = random.Next() ^ static_cast<std::uint64_t>(parts)), ...);
    return Random(random.Next());
  }

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Uniform in [low, high).
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Uniform in [0, n); n > 0. The bias of the modulo is below n / 2^64.
  std::uint64_t Below(std::uint64_t n) { return Next() % n; }
  // Standard normal, by Box and Muller (1958).
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * Uniform());
  }

  // Fisher-Yates.
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace consilium
