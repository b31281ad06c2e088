#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/model/model_file.h"

namespace consilium::testing {

inline ModelSpec SmallSpec() {
  return {.architecture = "simple_cnn",
          .channels = 1,
          .input_size = 32,
          .classes = {"covid", "normal", "pneumonia"}};
}

// Every role, a scalar, and an odd size.
inline std::shared_ptr<const Layout> SmallLayout() {
  return *Layout::Create({{"conv.weight", {4, 3, 3}, TensorRole::kParameter},
                          {"bn.running_mean", {5}, TensorRole::kBuffer},
                          {"bn.num_batches_tracked", {}, TensorRole::kCounter},
                          {"head.weight", {7}, TensorRole::kLocal}});
}

inline ModelState RandomState(std::shared_ptr<const Layout> layout, std::uint64_t seed) {
  ModelState state(std::move(layout));
  Random random(seed);
  for (float& value : state.values) value = static_cast<float>(random.Normal());
  return state;
}

// A model file's bytes.
inline std::string EncodeFile(const ModelInfo& info, const ModelState& state) {
  std::string bytes = EncodeModelHeader(info, *state.layout);
  bytes.append(reinterpret_cast<const char*>(state.values.data()),
               state.values.size() * sizeof(float));
  return bytes;
}

}  // namespace consilium::testing
