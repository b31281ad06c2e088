#pragma once

// An update that came encoded, as the model file that it would have been.

#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/encoding/update_encoding.h"
#include "common/model/stage.h"
#include "server/aggregate/round_average.h"
#include "server/store/blob_store.h"

namespace consilium {

// Of which tensors an update must be: those that no stage freezes in this round.
struct Freezing {
  const std::vector<Stage>& stages;
  int round = 0;
  int rounds = 1;
};

// Keeps the model that the file's changes make of the base, without the frozen tensors, as a blob;
// its provenance is what the file says. The same inputs give the same bits. INVALID_ARGUMENT for
// another encoding than is wanted, another base, and what is not an update of its layout. Memory: a
// MiB or two beside the mapped files.
StatusOr<AveragedModel> DecodeUpdate(const BlobStore& blobs, std::span<const std::byte> file,
                                     UpdateEncoding wanted, const std::string& base_digest,
                                     const Freezing& freezing);

}  // namespace consilium
