#pragma once

// An update that came after its round, made fit for the next one.

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/model/model_info.h"
#include "server/aggregate/round_average.h"
#include "server/store/blob_store.h"

namespace consilium {

// Keeps update + (new_base - old_base) as a model's file of that provenance: what the site changed,
// encoded or not, on the model that the others began with. Parameters in float64, rounded once;
// every other tensor is the update's own (a shifted variance could fall below 0). The same inputs
// give the same bits. INVALID_ARGUMENT unless the three have the same layout and the result is
// finite. Memory: some MiB beside the mapped files.
StatusOr<AveragedModel> Rebase(const BlobStore& blobs, std::shared_ptr<const MappedFile> update,
                               const std::string& old_base_digest,
                               const std::string& new_base_digest, const Provenance& provenance);

}  // namespace consilium
