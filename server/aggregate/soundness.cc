#include "server/aggregate/soundness.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace consilium {

std::vector<std::string> UnsoundBlobs(const BlobStore& store, std::vector<std::string> digests) {
  std::ranges::sort(digests);
  digests.erase(std::ranges::unique(digests).begin(), digests.end());
  std::vector<char> is_sound(digests.size());  // no bits, which threads would share
  std::atomic<std::size_t> next = 0;
  const auto look = [&] {
    for (std::size_t i = next++; i < digests.size(); i = next++) {
      const auto blob = store.Map(digests[i]);
      is_sound[i] = blob.ok() && store.IsSound(digests[i], (*blob)->bytes());
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
    if (is_sound[i] == 0) unsound.push_back(digests[i]);
  }
  return unsound;
}

}  // namespace consilium
