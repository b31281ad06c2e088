#pragma once

// Batches from an ImageSet, made ahead of the trainer by threads.

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "client/batch/batch.h"
#include "client/data/image_set.h"
#include "client/data/sampling.h"
#include "client/preprocess/image.h"
#include "common/base/mutex.h"
#include "common/model/model_info.h"

namespace consilium {

struct LoaderOptions {
  int batch_size = 16;
  Sampling sampling = Sampling::kShuffled;
  Augmentation augmentation;
  std::uint64_t seed = 1;
  int workers = 1;
  int prefetch = 4;  // batches made ahead
  // Every batch is cut into so many parts, of two images or more each, and this one is given; where
  // there are too few images, the last parts are empty.
  int parts = 1;
  int part = 0;
};

// Batches have the labels of pixels where the images have them, else their classes.
// The order of an epoch follows from the seed and the epoch, an image's augmentation from them, its
// index and how often it came before: the same for any number of workers. The last batch may be
// smaller.
class Loader final : public BatchSource {
 public:
  // The image set must outlive the loader and have the model's side.
  Loader(const ImageSet& images, const ModelSpec& spec, const LoaderOptions& options);
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::size_t batches() const override;
  using BatchSource::StartEpoch;
  void StartEpoch(std::uint64_t epoch, std::size_t first_batch) override;
  StatusOr<const Batch*> Next() override;

 private:
  struct Slot {
    Batch batch;
    bool ready = false;
  };

  void Work(const std::stop_token& stop);
  // Fills a slot that no other thread touches.
  void Fill(std::size_t index, std::uint64_t epoch, Batch& batch) const;
  Slot& SlotOf(std::size_t index) { return slots_[index % slots_.size()]; }

  const ImageSet& images_;
  const ModelSpec spec_;
  const LoaderOptions options_;
  // Changed by StartEpoch alone, while no worker has a batch in hand.
  std::vector<std::size_t> order_;
  std::vector<std::size_t> nth_;  // how often the image at this place came before it

  Mutex mu_;
  CondVar changed_;
  std::vector<Slot>
      slots_;  // a batch's slot is the worker's from taking to ready, then the reader's
  std::uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t next_ ABSL_GUARDED_BY(mu_) = 0;      // the batch that a worker takes next
  std::size_t consumed_ ABSL_GUARDED_BY(mu_) = 0;  // batches that the reader is done with
  std::size_t in_hand_ ABSL_GUARDED_BY(mu_) = 0;   // batches that workers are filling
  bool reading_ = false;                           // the reader holds batch consumed_

  std::vector<std::jthread> workers_;  // last: they stop before the rest goes
};

}  // namespace consilium
