#pragma once

// A global model that travels as what it changes of the one before.

#include "common/base/status.h"
#include "common/encoding/update_encoding.h"
#include "server/aggregate/round_average.h"
#include "server/store/blob_store.h"

namespace consilium {

// Encodes what the exact model's file changes of its parent, as a blob, and makes what that makes
// of the parent the model: who has the parent and takes the change then has the model to the bit.
// What is rounded away is lost, as in an update: with int8 at random, so that it is right in the
// mean. The exact file is nobody's afterwards. The same inputs give the same bits. Memory: the
// model's size, and up to three times the change's.
StatusOr<AveragedModel> EncodeModel(const BlobStore& blobs, const MappedFile& exact,
                                    UpdateEncoding encoding);

}  // namespace consilium
