#pragma once

// A region: a coordinator that is itself a hospital of a higher one, so that federations make a
// tree. What its hospitals' updates come to in a round goes up as one update, whose weight is the
// sum of theirs; the global model comes down, and is given to them under the region's own name.
//
// A mean of means, each weighted with its sum, is the mean of all, but that each region's is
// rounded to float32: an element of the tree's model is within a unit in the last place or two of
// the flat federation's, and the same where those sums and quotients are exact. Runs have the same
// id on every level.

#include <filesystem>
#include <memory>
#include <thread>

#include "common/base/status.h"
#include "server/round/coordinator.h"

namespace consilium {

// Works from construction to destruction.
class Relay {
 public:
  // `folder` is a hospital's that has joined the higher federation (see certs/home.h; of its
  // site.yaml the policy counts). Outlived by the coordinator. FAILED_PRECONDITION where it has not
  // joined, or an agent is at work there. Where the higher coordinator will not have this region
  // any more, that is logged, and the region's own runs go on.
  static StatusOr<std::unique_ptr<Relay>> Start(const std::filesystem::path& folder,
                                                Coordinator& coordinator);
  ~Relay();

 private:
  struct Parts;
  explicit Relay(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
  std::jthread thread_;
};

}  // namespace consilium
