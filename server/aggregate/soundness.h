#pragma once

#include <string>
#include <vector>

#include "server/store/blob_store.h"

namespace consilium {

// Of the blobs, those that are not sound, sorted; see BlobStore::IsSound. A bit that flipped on the
// disk would be averaged without a word. Reads on all cores what was not hashed lately.
StatusOr<std::vector<std::string>> UnsoundBlobs(const BlobStore& store,
                                                std::vector<std::string> digests);

}  // namespace consilium
