#include "server/aggregate/soundness.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace consilium {

StatusOr<std::vector<std::string>> UnsoundBlobs(const BlobStore& store,
                                                std::vector<std::string> digests) {
  std::ranges::sort(digests);
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  std::vector<StatusOr<bool>> is_sound(digests.size(), false);
  std::atomic<std::size_t> next = 0;
  const auto look = [&] {
    for (std::size_t i = next++; i < digests.size(); i = next++) {
      is_sound[i] = store.IsSound(digests[i]);
    }
  };
  {
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::jthread> threads;
    while (threads.size() + 1 < std::min(cores, digests.size())) threads.emplace_back(look);
    look();
  }
  std::vector<std::string> unsound;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    CSL_RETURN_IF_ERROR(is_sound[i].status());
    if (!*is_sound[i]) unsound.push_back(digests[i]);
  }
  return unsound;
}

}  // namespace consilium
