// Training steps on batches in memory: the trainer and nothing else. Prints one JSON line, with the
// seconds of each step.
//
//   training_bench ARCHITECTURE SIDE BATCH STEPS THREADS

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "client/nn/network.h"
#include "client/train/trainer.h"
#include "common/base/memory.h"
#include "tests/testing/fixed_batches.h"

int main(int argc, char** argv) {
  using namespace consilium;
  if (argc != 6) {
    fmt::print(stderr, "usage: training_bench ARCHITECTURE SIDE BATCH STEPS THREADS\n");
    return 2;
  }
  KeepFreedMemory();  // as consilium-client does
  const int batch = std::atoi(argv[3]);
  const int steps = std::atoi(argv[4]);
  const std::string device = ResolveDevice("auto");
  SetThreads(std::atoi(argv[5]));
  const ModelSpec spec{.architecture = argv[1],
                       .channels = 1,
                       .input_size = std::atoi(argv[2]),
                       .classes = {"covid", "normal", "pneumonia"}};
  auto network = Network::Create(spec, 1);
  if (!network.ok() || !network->MoveTo(device).ok()) {
    fmt::print(stderr, "{}\n", network.status().ToString());
    return 1;
  }
  testing::FixedBatches source(
      {testing::RandomBatch(spec, batch, 1), testing::RandomBatch(spec, batch, 2)});
  TrainOptions options{.steps = 2, .momentum = 0.9, .weight_decay = 1e-4};
  auto report = Train(*network, source, options, {});  // warm-up
  options.steps = steps;
  std::vector<double> seconds;
  auto begin = std::chrono::steady_clock::now();
  report = Train(*network, source, options, {}, [&](std::uint64_t, std::uint64_t) {
    const auto end = std::chrono::steady_clock::now();
    seconds.push_back(std::chrono::duration<double>(end - begin).count());
    begin = end;
  });
  if (!report.ok()) {
    fmt::print(stderr, "{}\n", report.status().ToString());
    return 1;
  }
  fmt::print(
      "{{\"images_per_second\": {:.3f}, \"loss\": {:.6f}, \"device\": \"{}\", "
      "\"step_seconds\": [{:.5f}]}}\n",
      static_cast<double>(report->examples) / report->seconds, report->loss, device,
      fmt::join(seconds, ", "));
  return 0;
}
