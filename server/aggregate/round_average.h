#pragma once

// A round's updates, from the blob store and back into it as the next global model.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/store/blob_store.h"

namespace consilium {

// An accepted update.
struct Contribution {
  std::string digest;
  std::uint64_t examples = 0;
};

struct AveragedModel {
  std::string digest;
  std::uint64_t bytes = 0;
};

// Averages the contributions, in the order given, over the base model's layout on all cores and
// keeps the result as the model of (run, round). Memory: a few MiB beside the mapped files. The
// same inputs give the same bits, so a coordinator that died on the way does it again. NOT_FOUND or
// DATA_LOSS where a blob is missing or was damaged on disk.
StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const std::string& run, int round,
                                     const std::string& base_digest,
                                     const std::vector<Contribution>& contributions);

}  // namespace consilium
