// How fast updates become one, beside the memory that they come from: bytes of input a second of
// the weighted mean, and of the median, against a triad (a = b + s c; McCalpin's STREAM) on as many
// threads in turn. Prints one JSON line.
//
//   aggregation_bench ELEMENTS UPDATES THREADS TIMES

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/model/layout.h"
#include "server/aggregate/weighted_mean.h"

namespace consilium {
namespace {

double Seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Calls `part` with each thread's share of so many elements.
void OnThreads(int threads, std::size_t elements,
               const std::function<void(std::size_t begin, std::size_t count)>& part) {
  std::vector<std::jthread> others;
  const std::size_t share = elements / static_cast<std::size_t>(threads);
  for (int t = 0; t < threads; ++t) {
    const std::size_t begin = share * static_cast<std::size_t>(t);
    const std::size_t count = t + 1 == threads ? elements - begin : share;
    others.emplace_back(part, begin, count);
  }
}

int Run(std::size_t elements, int updates, int threads, int times) {
  const auto layout =
      *Layout::Create({{"weights", {static_cast<std::int64_t>(elements)}, TensorRole::kParameter}});
  std::vector<std::vector<float>> values;
  std::vector<WeightedUpdate> weighted;
  for (int i = 0; i < updates; ++i) {
    values.emplace_back(elements, static_cast<float>(i));
    weighted.push_back({values.back(), {.weight = 1.0 + i}});
  }
  const std::vector<float> base(elements, 1);
  std::vector<float> out(elements);
  std::vector<double> mean;
  std::vector<double> median;
  std::vector<double> triad;
  const auto combine = [&](std::optional<std::size_t> trim) {
    OnThreads(threads, elements, [&](std::size_t begin, std::size_t count) {
      WeightedMean(*layout, base, weighted, begin, std::span(out).subspan(begin, count), {}, trim);
    });
  };
  for (int i = 0; i < times; ++i) {
    mean.push_back(Seconds([&] { combine({}); }));
    median.push_back(Seconds([&] { combine((weighted.size() - 1) / 2); }));
    triad.push_back(Seconds([&] {
      OnThreads(threads, elements, [&](std::size_t begin, std::size_t count) {
        float* a = values[0].data() + begin;
        const float* b = values[1].data() + begin;
        const float* c = out.data() + begin;
        for (std::size_t e = 0; e < count; ++e) a[e] = b[e] + 0.5F * c[e];
      });
    }));
  }
  std::ranges::sort(mean);
  std::ranges::sort(median);
  std::ranges::sort(triad);
  const double bytes = 4.0 * static_cast<double>(elements);
  const double mean_rate = bytes * updates / mean[mean.size() / 2] / 1e9;
  const double median_rate = bytes * updates / median[median.size() / 2] / 1e9;
  const double triad_rate = bytes * 3 / triad[triad.size() / 2] / 1e9;
  fmt::print(
      "{{\"elements\": {}, \"updates\": {}, \"threads\": {}, \"mean_gb_s\": {:.3f}, "
      "\"median_gb_s\": {:.3f}, \"triad_gb_s\": {:.3f}}}\n",
      elements, updates, threads, mean_rate, median_rate, triad_rate);
  return 0;
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  const long elements = argc == 5 ? std::atol(argv[1]) : 0;
  const int updates = argc == 5 ? std::atoi(argv[2]) : 0;
  const int threads = argc == 5 ? std::atoi(argv[3]) : 0;
  const int times = argc == 5 ? std::atoi(argv[4]) : 0;
  if (elements < 1 || updates < 2 || threads < 1 || times < 1) {
    fmt::print(stderr,
               "usage: aggregation_bench ELEMENTS UPDATES THREADS TIMES (2 updates or more)\n");
    return 2;
  }
  return consilium::Run(static_cast<std::size_t>(elements), updates, threads, times);
}
