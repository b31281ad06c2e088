#pragma once

// A round's updates, from the blob store and back into it as the next global model.

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/part.h"
#include "server/aggregate/round_updates.h"
#include "server/state/run_state.h"
#include "server/store/blob_store.h"

namespace consilium {

struct AveragedModel {
  std::string digest;
  std::uint64_t bytes = 0;
  std::string moments_digest;  // of the blob that the next round's optimiser goes on with, or empty
  std::string change_digest;   // of the blob that it travels as, see encode_model.h, or empty
  std::uint64_t change_bytes = 0;
  std::optional<std::size_t> chosen;  // the contribution that counts alone, where one does (Krum)
};

// What a round begins with, and how its updates become a model.
struct RoundToAverage {
  std::string run;
  int round = 0;
  std::string base_digest;     // of the global model that the updates were made from
  std::string moments_digest;  // empty: the optimiser begins
  double participation = 1;    // the share of the round's sites that delivered
  ServerOptimizer optimizer = {};
  Combination combination = Combination::kMean;
  TensorMask frozen = {};  // tensors that are in no update; empty: none
  bool as_update = false;  // the result is one site's update: without the frozen tensors
  UpdateEncoding encoding = UpdateEncoding::kFloat32;  // that the model is to travel in
};

// Averages the contributions, in the order given, over the base model's layout on all cores, lets
// the optimiser step its parameters, and keeps the result as the model of that round. The
// moments are a blob of little-endian float32 and nothing else: MomentsPerElement for each element
// of the layout, interleaved (m, or m and v); what BeginMoments gave where it is no parameter.
// Memory: 24 MiB at most beside the mapped files, for updates that came encoded what RoundUpdates
// takes, and EncodeModel's where the model is to be encoded. The same inputs give the same
// bits, so a coordinator that died on the way does it again. NOT_FOUND or DATA_LOSS where a blob is
// missing or was damaged on disk; INVALID_ARGUMENT where a step has left the finite numbers.
StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const RoundToAverage& round,
                                     const std::vector<Contribution>& contributions);

}  // namespace consilium
