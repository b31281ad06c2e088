#pragma once

// How an update travels: as what it changes of the global model, in fewer bytes than its own. A
// global model travels in the same way, but for top_k, as what it changes of the one before.
//
//   bfloat16  each change is rounded to the nearest with 8 significant bits, ties to even: 2 bytes.
//   int8      blocks of 256 changes of one tensor share a scale, the largest of them over 127. Each
//             is rounded up or down at random, so that it is right in the mean (QSGD; Alistarh et
//             al., NeurIPS 2017, section 3.1): 1 byte, and 4 a block.
//   top_k     the largest changes alone, as they are: 4 bytes and their distance from the one
//             before. What is left begins the next round's changes (Stich et al., NeurIPS 2018,
//             algorithm 1). What was sent is taken out of it, whether its round counted or not.
//
// That is of parameters; every other tensor goes along as float32. The data are compressed where
// that saves a twentieth of them.
//
// A file is "CSLUPD1\n", the length of a serialised v1::EncodedUpdate in 4 bytes, little-endian,
// that message, and the data: tensor after tensor, in the order of the layout. A tensor of top_k is
// the number of its changes, then for each how many elements lie between it and the one before, in
// 7 bits a byte, the lowest first, and its float32.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/model/layout.h"

namespace consilium {

enum class UpdateEncoding : std::uint8_t { kFloat32, kBfloat16, kInt8, kTopK };
std::string_view UpdateEncodingName(UpdateEncoding encoding);
// An empty name is float32: a model file as it is. INVALID_ARGUMENT for one that is none of theirs.
StatusOr<UpdateEncoding> ParseUpdateEncoding(const std::string& name);

struct EncodedUpdateHead {
  UpdateEncoding encoding = UpdateEncoding::kFloat32;
  std::string run;
  int round = 0;
  std::string base_digest;
  std::string model_header;  // of a global model's file, as its numbers follow it; else empty
};

struct EncodingOptions {
  double top_k = 0;        // the share of the parameters' elements that is sent
  std::uint64_t seed = 0;  // of int8's rounding
};

// A file of what `update` changes of `base`, both in the layout's order; the head's encoding is not
// float32. `residual`, for top_k alone, is what the rounds before have left, of as many elements,
// or empty; it becomes what this one leaves. INVALID_ARGUMENT where the update is not finite.
StatusOr<std::string> EncodeUpdate(const EncodedUpdateHead& head, const Layout& layout,
                                   std::span<const float> base, std::span<const float> update,
                                   const EncodingOptions& options, std::vector<float>& residual);

// What a file's head may have: an update's, and a global model's, which brings the header of its
// own file.
inline constexpr std::size_t kMaxUpdateHeadBytes = 64 << 10;
inline constexpr std::size_t kMaxModelHeadBytes = 5 << 20;

// Reads such a file, of whatever origin, whole or as its bytes come, in a MiB or two of memory
// beside its head. Not thread-safe.
class UpdateDecoder {
 public:
  // Of a whole file, or of a beginning that has its head at least. INVALID_ARGUMENT for what is no
  // such file. The bytes must stay until they are decoded.
  static StatusOr<UpdateDecoder> Create(std::span<const std::byte> file,
                                        std::size_t max_head_bytes = kMaxUpdateHeadBytes);
  // Whether a file begins as such a file does.
  static bool IsEncoded(std::span<const std::byte> file);
  // Where the head of such a file ends; none where its beginning is too short to say.
  static std::optional<std::size_t> HeadBytes(std::span<const std::byte> beginning);
  UpdateDecoder(UpdateDecoder&&) noexcept;
  ~UpdateDecoder();

  const EncodedUpdateHead& head() const { return head_; }

  // What follows in the file, once the bytes before are used up: Next has given less than was
  // wanted, or AtTensorEnd false. The bytes must stay until these are used up.
  void Feed(std::span<const std::byte> more);

  // The elements of a tensor come in order, at most as many at a time as are wanted: a multiple of
  // kStride except for the tensor's last. `base` and `out` are of these elements. Next gives how
  // many the bytes that are there were enough for, such a multiple again where the tensor's are
  // parameters of bfloat16 or int8; for NextAll, fewer than all are INVALID_ARGUMENT.
  static constexpr std::size_t kStride = 256;
  void BeginTensor(TensorRole role);
  StatusOr<std::size_t> Next(std::span<const float> base, std::span<float> out);
  Status NextAll(std::span<const float> base, std::span<float> out);
  // After a tensor's last element: false where more bytes must tell. INVALID_ARGUMENT where it has
  // changes beyond its end; for EndTensor, also where that cannot be told.
  StatusOr<bool> AtTensorEnd();
  Status EndTensor();
  // After the last tensor: false where bytes are missing still. INVALID_ARGUMENT where a value
  // follows; for End, also where bytes are missing.
  StatusOr<bool> AtEnd();
  Status End();

 private:
  class Data;
  UpdateDecoder(EncodedUpdateHead head, std::unique_ptr<Data> data);

  StatusOr<std::size_t> NextFloat32(std::span<float> out);
  StatusOr<std::size_t> NextBfloat16(std::span<const float> base, std::span<float> out);
  StatusOr<std::size_t> NextInt8(std::span<const float> base, std::span<float> out);
  StatusOr<std::size_t> NextTopK(std::span<const float> base, std::span<float> out);
  // None where its bytes are not all there.
  StatusOr<std::optional<std::uint64_t>> TakeVarint();

  EncodedUpdateHead head_;
  std::unique_ptr<Data> data_;
  TensorRole role_ = TensorRole::kParameter;
  // Of top_k, in the tensor: changes that are left, and how many elements lie before the next one;
  // none where that has not been read.
  std::optional<std::uint64_t> left_;
  std::optional<std::uint64_t> ahead_;
};

// What a file, an update's or a global model's, makes of `base`, whole and in memory; both are in
// the layout's order.
StatusOr<std::vector<float>> ApplyUpdate(std::span<const std::byte> file, const Layout& layout,
                                         std::span<const float> base);

}  // namespace consilium
