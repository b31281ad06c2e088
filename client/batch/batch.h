#pragma once

// Images on their way into a network, and where they come from.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// What is known of a pixel, for networks that label pixels (see LabelsPixels): the index of its
// tissue; or that it is lung, healthy or not; or that it is lung of a picture of whose lungs so
// many percent, 0 to 100, are affected, which is kLungOfExtent and that number.
inline constexpr std::uint8_t kSomeLung = 3;
inline constexpr std::uint8_t kLungOfExtent = 4;

// N images of one size with their labels.
struct Batch {
  int count = 0;  // N
  int channels = 0;
  int height = 0;
  int width = 0;
  std::vector<float> pixels;         // N x C x H x W, row-major, normalised as the model wants
  std::vector<std::int64_t> labels;  // N class indices; or N x H x W, of pixels
  // Of the batch that this is one peer's part of, which may be empty; 0: it is the batch.
  int whole_count = 0;

  int images_in_all() const { return whole_count > 0 ? whole_count : count; }
};

// A sequence of epochs of batches. Not thread-safe; may work ahead on threads of its own.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // In an epoch.
  virtual std::size_t batches() const = 0;
  // Begins an epoch at one of its batches, in whatever state the one before is. The same epoch
  // gives the same batches, wherever it is begun.
  virtual void StartEpoch(std::uint64_t epoch, std::size_t first_batch) = 0;
  void StartEpoch(std::uint64_t epoch) { StartEpoch(epoch, 0); }
  // The epoch's next batch, valid until the next call; null at its end.
  virtual StatusOr<const Batch*> Next() = 0;
};

}  // namespace consilium
