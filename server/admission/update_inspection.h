#pragma once

// An update looked at as its bytes come, so that what is to be known of it is known with the last
// of them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/encoding/update_encoding.h"
#include "common/model/model_file.h"
#include "common/model/stage.h"

namespace consilium {

// Which round an update must have been made in, and how it must come.
struct ExpectedUpdate {
  std::string run;
  int round = 0;
  std::string base_digest;         // of the global model it was trained from
  std::vector<Stage> stages = {};  // of the plan, which has so many rounds
  int rounds = 1;
  UpdateEncoding encoding = UpdateEncoding::kFloat32;
};

// How much longer than the global model's an update's header may be, and so its file: its metadata
// name other things.
inline constexpr std::size_t kHeaderSlackBytes = 64 << 10;

// Not thread-safe.
class UpdateInspection {
 public:
  // Of a file of so many bytes. `base` is the global model's file, which `owner` keeps, or the
  // caller. INVALID_ARGUMENT where that is none.
  static StatusOr<UpdateInspection> Begin(std::span<const std::byte> base,
                                          std::shared_ptr<const void> owner,
                                          ExpectedUpdate expected, std::uint64_t file_bytes);

  // The file's next bytes, in pieces of whatever length. What is wrong with them, Finish says. Of
  // the file, its header and a block of values stay in memory, some tens of KiB, and an encoded
  // one's decoder.
  void Append(std::span<const std::byte> bytes);
  // At the file's end: the update's norm, or INVALID_ARGUMENT; see CheckUpdate. The same bits,
  // whatever the pieces.
  StatusOr<double> Finish();

 private:
  UpdateInspection(std::span<const std::byte> base_file, std::shared_ptr<const void> owner,
                   ModelHeader base, ExpectedUpdate expected, std::uint64_t file_bytes);

  Status Take(std::span<const std::byte> bytes);
  // Takes of the bytes what belongs to the header, and checks it once it is whole.
  Status TakeHeader(std::span<const std::byte>& bytes);
  Status CheckHeader();
  // Takes values as far as the bytes go.
  Status TakeValues(std::span<const std::byte> bytes);
  // Whether the block is full. If not, the bytes are used up.
  StatusOr<bool> FillBlock(std::span<const std::byte>& bytes, std::span<const float> base,
                           std::span<float> block);
  StatusOr<bool> AtTensorEnd(std::size_t elements);
  void BeginTensor(std::size_t tensor);

  std::span<const float> base_values_;
  std::shared_ptr<const void> owner_;
  ModelHeader base_;
  ExpectedUpdate expected_;
  std::uint64_t file_bytes_;
  TensorMask frozen_;
  Status wrong_;

  std::string header_;  // as far as it has come; empty once it was checked
  bool has_header_ = false;
  std::optional<UpdateDecoder> decoder_;  // of an encoded update
  std::size_t tensor_ = 0;                // of the base's; the next one
  std::size_t done_ = 0;                  // elements of it
  std::vector<float> block_;
  std::size_t filled_bytes_ = 0;  // of the block
  double sum_ = 0;                // of squared changes
};

}  // namespace consilium
