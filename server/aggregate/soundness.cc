#include "server/aggregate/soundness.h"

#include <algorithm>

#include "common/base/parallel.h"

namespace consilium {

StatusOr<std::vector<std::string>> UnsoundBlobs(const BlobStore& store,
                                                std::vector<std::string> digests) {
  std::ranges::sort(digests);
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  std::vector<StatusOr<bool>> is_sound(digests.size(), false);
  OnAllCores(digests.size(), [&](std::size_t i) { is_sound[i] = store.IsSound(digests[i]); });
  std::vector<std::string> unsound;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    CSL_RETURN_IF_ERROR(is_sound[i].status());
    if (!*is_sound[i]) unsound.push_back(digests[i]);
  }
  return unsound;
}

}  // namespace consilium
