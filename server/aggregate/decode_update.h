#pragma once

// An update that came encoded, as the model file that it would have been.

#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/encoding/update_encoding.h"
#include "common/model/stage.h"
#include "server/aggregate/mapped_model.h"
#include "server/aggregate/round_average.h"
#include "server/store/blob_store.h"

namespace consilium {

// What an update must be.
struct EncodedUpdateWanted {
  UpdateEncoding encoding = UpdateEncoding::kFloat32;
  std::string run;
  int round = 0;
  std::string base_digest;           // of the global model that it changes
  const std::vector<Stage>& stages;  // of the plan, which has so many rounds: what is frozen is not
  int rounds = 1;                    // in it
};

// Keeps the model that the file's changes make of the base as a blob. The same inputs give the same
// bits. INVALID_ARGUMENT for an update that is not what is wanted, is not of its base's layout, or
// does not give finite values; nothing is kept of it then. Memory: a MiB or two beside the mapped
// files.
StatusOr<AveragedModel> DecodeUpdate(const BlobStore& blobs, std::span<const std::byte> file,
                                     const EncodedUpdateWanted& wanted);

// Keeps a model file that begins with `header`, whose numbers are what the decoder makes of the
// base's tensors but those that are `left_out`. Gives the blob's digest; errors as above.
StatusOr<std::string> WriteDecoded(const BlobStore& blobs, UpdateDecoder& decoder,
                                   const std::string& header, const MappedModel& base,
                                   const TensorMask& left_out, Durability durability);

}  // namespace consilium
