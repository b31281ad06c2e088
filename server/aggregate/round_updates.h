#pragma once

// A round's updates, read from the store part by part: those that came encoded are decoded into the
// part that is being averaged, and are nowhere as a whole.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/encoding/update_encoding.h"
#include "common/model/part.h"
#include "server/aggregate/mapped_model.h"
#include "server/aggregate/weighted_mean.h"
#include "server/store/blob_store.h"

namespace consilium {

// An update's file, a model's or an encoded change of one, read once from its beginning to its end.
// Not thread-safe.
class StoredUpdate {
 public:
  // Of the base's tensors that are not frozen. The base must outlive it. INVALID_ARGUMENT for what
  // is no such update.
  static StatusOr<StoredUpdate> Open(std::shared_ptr<const MappedFile> file,
                                     const MappedModel& base, const TensorMask& frozen);

  bool is_encoded() const { return decoder_.has_value(); }
  // The values of what is not frozen of the base's elements from the last call's end to this one's:
  // a multiple of UpdateDecoder::kStride in its tensor, or the tensor's end. They stay until the
  // next call.
  StatusOr<std::span<const float>> Next(std::size_t end);

 private:
  StoredUpdate(std::shared_ptr<const MappedFile> file, const MappedModel& base,
               const TensorMask& frozen)
      : file_(std::move(file)), base_(base), frozen_(frozen) {}

  Status Decode(std::size_t end);

  std::shared_ptr<const MappedFile> file_;
  const MappedModel& base_;
  TensorMask frozen_;
  std::span<const float> values_;         // of a model's file: those that are left
  std::optional<UpdateDecoder> decoder_;  // of an encoded one
  std::size_t next_ = 0;                  // of the base's elements
  std::size_t tensor_ = 0;                // that the decoder is at, or about to begin
  bool is_begun_ = false;
  std::vector<float> row_;  // decoded
};

// An accepted update.
struct Contribution {
  std::string digest;
  UpdateTerms terms;
};

class RoundUpdates {
 public:
  // As StoredUpdate::Open; NOT_FOUND where a blob is missing.
  static StatusOr<RoundUpdates> Open(const BlobStore& blobs,
                                     const std::vector<Contribution>& contributions,
                                     const MappedModel& base, const TensorMask& frozen);

  // How far a part of the base's elements goes that begins there: 1 Mi elements, or what takes 16
  // MiB for all updates that are decoded, but 4 Ki at least. A decoder has about a MiB besides.
  std::size_t EndOfPart(std::size_t begin) const;
  // The next part of each of them, decoded on all cores. They stay until the next call.
  StatusOr<std::span<const WeightedUpdate>> Next(std::size_t end);

 private:
  explicit RoundUpdates(const Layout& layout) : layout_(layout) {}

  const Layout& layout_;
  std::vector<StoredUpdate> stored_;
  std::vector<WeightedUpdate> parts_;
  std::size_t encoded_ = 0;
};

}  // namespace consilium
