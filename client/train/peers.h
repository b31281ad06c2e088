#pragma once

// Trainings of one network that go on beside each other, each on a part of every batch, and take
// every step together: synchronous data-parallel training over LibTorch's process groups (Gloo).

#include <filesystem>
#include <memory>
#include <span>

#include "common/base/status.h"

namespace consilium {

// One training's place among them, in its own thread or process. Not thread-safe.
class Peers {
 public:
  // Joins those who meet at the file, as number `rank` of `size`, and waits until all are there, at
  // most a minute. The file is made by the first of them and belongs to one group alone. They speak
  // over the loopback interface. UNAVAILABLE where not all come; UNIMPLEMENTED where this build has
  // no Gloo.
  static StatusOr<std::unique_ptr<Peers>> Join(const std::filesystem::path& meeting, int rank,
                                               int size);
  ~Peers();

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Each number becomes the sum of all peers' in its place, to the bit the same with each. Waits
  // for the others, who must bring as many numbers. Throws where one of them has gone.
  void Sum(std::span<float> numbers);

 private:
  struct Group;
  Peers(std::unique_ptr<Group> group, int rank, int size);

  std::unique_ptr<Group> group_;
  int rank_;
  int size_;
};

}  // namespace consilium
