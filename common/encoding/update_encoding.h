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

// Reads such a file, of whatever origin, in a MiB or two of memory beside its head. Not
// thread-safe.
class UpdateDecoder {
 public:
  // INVALID_ARGUMENT for what is no such file. The bytes must outlive the decoder.
  static StatusOr<UpdateDecoder> Create(std::span<const std::byte> file,
                                        std::size_t max_head_bytes = kMaxUpdateHeadBytes);
  UpdateDecoder(UpdateDecoder&&) noexcept;
  ~UpdateDecoder();

  const EncodedUpdateHead& head() const { return head_; }

  // The elements of a tensor come in order, at most as many at a time as are wanted: a multiple of
  // kStride except for the tensor's last. `base` and `out` are of these elements.
  static constexpr std::size_t kStride = 256;
  Status BeginTensor(TensorRole role);
  Status Next(std::span<const float> base, std::span<float> out);
  // INVALID_ARGUMENT where the tensor has changes beyond its end, which Next has reached.
  Status EndTensor() const;
  // INVALID_ARGUMENT where anything follows the last tensor.
  Status End();

 private:
  class Data;
  UpdateDecoder(EncodedUpdateHead head, std::unique_ptr<Data> data);

  Status NextBfloat16(std::span<const float> base, std::span<float> out);
  Status NextInt8(std::span<const float> base, std::span<float> out);
  Status NextTopK(std::span<const float> base, std::span<float> out);
  StatusOr<std::uint64_t> ReadVarint();
  Status ReadPlace();

  EncodedUpdateHead head_;
  std::unique_ptr<Data> data_;
  TensorRole role_ = TensorRole::kParameter;
  // Of top_k, in the tensor: changes that are left, and how many elements lie before the next one.
  std::uint64_t left_ = 0;
  std::uint64_t ahead_ = 0;
};

// What a file, an update's or a global model's, makes of `base`, whole and in memory; both are in
// the layout's order.
StatusOr<std::vector<float>> ApplyUpdate(std::span<const std::byte> file, const Layout& layout,
                                         std::span<const float> base);

}  // namespace consilium
