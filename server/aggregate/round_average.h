#pragma once

// A round's updates, from the blob store and back into it as the next global model.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/state/run_state.h"
#include "server/store/blob_store.h"

namespace consilium {

// An accepted update.
struct Contribution {
  std::string digest;
  std::uint64_t examples = 0;
  double stretch = 1;  // of its change, see weighted_mean.h
};

struct AveragedModel {
  std::string digest;
  std::uint64_t bytes = 0;
  std::string moments_digest;  // of the blob that the next round's optimiser goes on with, or empty
};

// The global model that a round begins with.
struct RoundBase {
  std::string digest;
  std::string moments_digest;  // empty: the optimiser begins
};

// Averages the contributions, in the order given, over the base model's layout on all cores, lets
// the optimiser step its parameters, and keeps the result as the model of (run, round). The
// moments are a blob of little-endian float32 and nothing else: MomentsPerElement for each element
// of the layout, interleaved (m, or m and v); what BeginMoments gave where it is no parameter.
// Memory: 24 MiB at most beside the mapped files. The same inputs give the same bits, so a
// coordinator that died on the way does it again. NOT_FOUND or DATA_LOSS where a blob is missing or
// was damaged on disk; INVALID_ARGUMENT where a step has left the finite numbers.
StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const std::string& run, int round,
                                     const RoundBase& base,
                                     const std::vector<Contribution>& contributions,
                                     const ServerOptimizer& optimizer = {});

}  // namespace consilium
