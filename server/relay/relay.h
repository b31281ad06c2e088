#pragma once

// A region: a coordinator that is itself a hospital of a higher one, so that federations make a
// tree. What its hospitals' updates come to in a round goes up as one update, whose weight is the
// sum of theirs; the global model comes down, and is given to them under the region's own name.
//
// A mean of means, each weighted with its sum, is the mean of all, but that each region's is
// rounded to float32 (and once more as the plan's encoding does): see server/README.md. Runs have
// the same id on every level. Nothing of a single hospital goes up: two of a region's must deliver.

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
  // joined, an agent is at work there, or the policy is of what only a hospital can say. Where the
  // higher coordinator will not have this region any more, that is logged, and the region's own
  // runs go on.
  static StatusOr<std::unique_ptr<Relay>> Start(const std::filesystem::path& folder,
                                                Coordinator& coordinator);
  ~Relay();

 private:
  struct Parts;
  explicit Relay(std::unique_ptr<Parts> parts);
  static void Run(Parts& parts);

  std::unique_ptr<Parts> parts_;
  std::jthread thread_;
};

}  // namespace consilium
