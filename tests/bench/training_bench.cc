// Training steps on batches in memory: the trainer and nothing else. Prints a line "ready", then
// for each step that a line on stdin asks for, a line with its seconds; at the end one line of
// JSON. A peer can so be timed step by step in turn.
//
//   yes | training_bench ARCHITECTURE SIDE BATCH STEPS THREADS

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

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
  fmt::print("ready\n");
  std::string asked;
  const auto wait = [&] {
    std::fflush(stdout);
    std::getline(std::cin, asked);
    return std::chrono::steady_clock::now();
  };
  auto begin = wait();
  report = Train(*network, source, options, {}, [&](std::uint64_t done, std::uint64_t of) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    fmt::print("{:.5f}\n", seconds.count());
    if (done < of) begin = wait();
  });
  if (!report.ok()) {
    fmt::print(stderr, "{}\n", report.status().ToString());
    return 1;
  }
  fmt::print("{{\"loss\": {:.6f}, \"device\": \"{}\"}}\n", report->loss, device);
  return 0;
}
