#pragma once

// Trainings of one network that go on beside each other, each on a part of every batch, and take
// every step together: synchronous data-parallel training over LibTorch's process groups, Gloo and
// for GPUs, where this build has it and it works among them, NCCL.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "common/base/status.h"

namespace at {
class Tensor;
}

namespace consilium {

// One training's place among them, in its own thread or process. Not thread-safe.
class Peers {
 public:
  // Joins those who meet at the file, as number `rank` of `size`, and waits until all are there, at
  // most a minute. The file is made by the first of them and belongs to one group alone. They speak
  // over the loopback interface. `gpu`: which one this peer trains on, another for each; all have
  // one or none has. UNAVAILABLE where not all come; UNIMPLEMENTED where this build has no Gloo.
  static StatusOr<std::unique_ptr<Peers>> Join(const std::filesystem::path& meeting, int rank,
                                               int size, std::optional<int> gpu = {});
  ~Peers();

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Each number becomes the sum of all peers' in its place, to the bit the same with each. Waits
  // for the others, who must bring as many numbers. Throws where one of them has gone.
  void Sum(std::span<float> numbers);
  // The same of numbers that lie on this peer's GPU, which they do not leave. False, with all
  // peers, where that is not to be had: nothing was done.
  bool SumOnGpus(at::Tensor& numbers);

 private:
  struct Group;
  Peers(std::unique_ptr<Group> group, int rank, int size);

  std::unique_ptr<Group> group_;
  int rank_;
  int size_;
};

}  // namespace consilium
