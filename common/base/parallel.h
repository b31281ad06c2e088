#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace consilium {

// Calls `work` with 0, 1, ... count - 1, on all cores, in no order; returns when all are done.
template <typename Work>
void OnAllCores(std::size_t count, Work&& work) {
  std::atomic<std::size_t> next = 0;
  const auto take = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  while (threads.size() + 1 < std::min(cores, count)) threads.emplace_back(take);
  take();
}

}  // namespace consilium
