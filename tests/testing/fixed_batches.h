#pragma once

#include <cstdint>
#include <vector>

#include "client/batch/batch.h"
#include "common/base/random.h"
#include "common/model/model_info.h"

namespace consilium::testing {

// A source in memory: the batches given, in order, every epoch.
class FixedBatches final : public BatchSource {
 public:
  explicit FixedBatches(std::vector<Batch> batches) : batches_(std::move(batches)) {}

  std::size_t batches() const override { return batches_.size(); }
  using BatchSource::StartEpoch;
  void StartEpoch(std::uint64_t /*epoch*/, std::size_t first_batch) override {
    next_ = first_batch;
  }
  StatusOr<const Batch*> Next() override {
    return next_ < batches_.size() ? &batches_[next_++] : nullptr;
  }

 private:
  std::vector<Batch> batches_;
  std::size_t next_ = 0;
};

// Normal noise with a class-dependent mean, so that there is something to learn.
inline Batch RandomBatch(const ModelSpec& spec, int count, std::uint64_t seed) {
  Random random(seed);
  Batch batch{.count = count,
              .channels = spec.channels,
              .height = spec.input_size,
              .width = spec.input_size};
  for (int i = 0; i < count; ++i) {
    const auto label = static_cast<std::int64_t>(random.Below(spec.classes.size()));
    batch.labels.push_back(label);
    const int values = spec.channels * spec.input_size * spec.input_size;
    for (int v = 0; v < values; ++v) {
      batch.pixels.push_back(static_cast<float>(random.Normal() + static_cast<double>(label) - 1));
    }
  }
  return batch;
}

}  // namespace consilium::testing
