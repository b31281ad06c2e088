#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/encoding/format_internal.h"
#include "common/encoding/update_encoding.h"
#include "consilium/v1/update.pb.h"

namespace consilium {
namespace {

using encoding::kBlock;

constexpr int kMaxWindowLog = 20;  // zstd's memory: a MiB; what level 1 writes needs half of it

struct ContextDeleter {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

static_assert(UpdateDecoder::kStride % kBlock == 0);

// The file's data, decompressed as they are asked for.
class UpdateDecoder::Data {
 public:
  Data(std::span<const std::byte> bytes, bool is_compressed)
      : input_{bytes.data(), bytes.size(), 0},
        context_(is_compressed ? ZSTD_createDCtx() : nullptr),
        is_whole_(!is_compressed) {
    if (context_) ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  Status Read(void* out, std::size_t size) {
    auto* at = static_cast<std::byte*>(out);
    while (size > 0) {
      if (used_ == filled_) CSL_RETURN_IF_ERROR(Fill());
      const std::size_t count = std::min(size, filled_ - used_);
      std::memcpy(at, buffer_.data() + used_, count);
      used_ += count;
      at += count;
      size -= count;
    }
    return OkStatus();
  }
  template <typename T>
  StatusOr<T> Read() {
    T value{};
    CSL_RETURN_IF_ERROR(Read(&value, sizeof(value)));
    return value;
  }

  bool AtEnd() {
    if (used_ < filled_) return false;
    const bool has_more = Fill().ok();
    return !has_more && input_.pos == input_.size && is_whole_;
  }

 private:
  Status Fill() {
    used_ = 0;
    filled_ = 0;
    while (filled_ == 0) {
      const bool has_input = input_.pos < input_.size;
      if (!context_) {
        filled_ = std::min(buffer_.size(), input_.size - input_.pos);
        if (filled_ == 0) break;
        std::memcpy(buffer_.data(), static_cast<const std::byte*>(input_.src) + input_.pos,
                    filled_);
        input_.pos += filled_;
        continue;
      }
      if (is_whole_ && !has_input) break;
      ZSTD_outBuffer output{buffer_.data(), buffer_.size(), 0};
      const std::size_t result = ZSTD_decompressStream(context_.get(), &output, &input_);
      if (ZSTD_isError(result) != 0) {
        is_whole_ = false;
        return InvalidArgument("the update's data: {}", ZSTD_getErrorName(result));
      }
      is_whole_ = result == 0;
      filled_ = output.pos;
      if (filled_ == 0 && !has_input) break;
    }
    return filled_ > 0 ? OkStatus() : InvalidArgument("the update's data are cut short");
  }

  ZSTD_inBuffer input_;
  std::unique_ptr<ZSTD_DCtx, ContextDeleter> context_;
  bool is_whole_;  // the frame has come to its end
  std::array<std::byte, std::size_t{64} << 10> buffer_;
  std::size_t used_ = 0;
  std::size_t filled_ = 0;
};

UpdateDecoder::UpdateDecoder(EncodedUpdateHead head, std::unique_ptr<Data> data)
    : head_(std::move(head)), data_(std::move(data)) {}
UpdateDecoder::UpdateDecoder(UpdateDecoder&&) noexcept = default;
UpdateDecoder::~UpdateDecoder() = default;

StatusOr<UpdateDecoder> UpdateDecoder::Create(std::span<const std::byte> file,
                                              std::size_t max_head_bytes) {
  const std::size_t fixed = encoding::kMagic.size() + sizeof(std::uint32_t);
  if (file.size() < fixed ||
      std::memcmp(file.data(), encoding::kMagic.data(), encoding::kMagic.size()) != 0) {
    return InvalidArgument("it is not an encoded update");
  }
  std::uint32_t size = 0;
  std::memcpy(&size, file.data() + encoding::kMagic.size(), sizeof(size));
  v1::EncodedUpdate message;
  if (size > max_head_bytes || size > file.size() - fixed ||
      !message.ParseFromArray(file.data() + fixed, static_cast<int>(size))) {
    return InvalidArgument("the head of the encoded update is damaged");
  }
  EncodedUpdateHead head{.run = message.run(),
                         .round = static_cast<int>(message.round()),
                         .base_digest = message.base_digest(),
                         .model_header = message.model_header()};
  CSL_ASSIGN_OR_RETURN(head.encoding, ParseUpdateEncoding(message.encoding()));
  if (head.encoding == UpdateEncoding::kFloat32) {
    return InvalidArgument("an update of float32 is a model file");
  }
  return UpdateDecoder(std::move(head),
                       std::make_unique<Data>(file.subspan(fixed + size), message.compressed()));
}

Status UpdateDecoder::BeginTensor(TensorRole role) {
  role_ = role;
  left_ = 0;
  if (role != TensorRole::kParameter || head_.encoding != UpdateEncoding::kTopK) return OkStatus();
  CSL_ASSIGN_OR_RETURN(left_, ReadVarint());
  return ReadPlace();
}

Status UpdateDecoder::Next(std::span<const float> base, std::span<float> out) {
  if (role_ != TensorRole::kParameter) return data_->Read(out.data(), out.size_bytes());
  if (head_.encoding == UpdateEncoding::kBfloat16) return NextBfloat16(base, out);
  if (head_.encoding == UpdateEncoding::kInt8) return NextInt8(base, out);
  return NextTopK(base, out);
}

Status UpdateDecoder::NextBfloat16(std::span<const float> base, std::span<float> out) {
  std::array<std::uint16_t, kBlock> halves;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - begin);
    CSL_RETURN_IF_ERROR(data_->Read(halves.data(), count * sizeof(std::uint16_t)));
    for (std::size_t i = 0; i < count; ++i) {
      out[begin + i] = base[begin + i] + encoding::FromBfloat16(halves[i]);
    }
  }
  return OkStatus();
}

Status UpdateDecoder::NextInt8(std::span<const float> base, std::span<float> out) {
  std::array<std::int8_t, kBlock> steps;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - begin);
    CSL_ASSIGN_OR_RETURN(const float scale, data_->Read<float>());
    CSL_RETURN_IF_ERROR(data_->Read(steps.data(), count));
    for (std::size_t i = 0; i < count; ++i) {
      out[begin + i] = base[begin + i] + scale * static_cast<float>(steps[i]);
    }
  }
  return OkStatus();
}

Status UpdateDecoder::NextTopK(std::span<const float> base, std::span<float> out) {
  std::ranges::copy(base, out.begin());
  std::uint64_t begin = 0;
  while (left_ > 0 && ahead_ < out.size() - begin) {
    begin += ahead_;
    CSL_ASSIGN_OR_RETURN(const float change, data_->Read<float>());
    out[begin] += change;
    ++begin;
    --left_;
    CSL_RETURN_IF_ERROR(ReadPlace());
  }
  ahead_ -= left_ > 0 ? out.size() - begin : 0;
  return OkStatus();
}

StatusOr<std::uint64_t> UpdateDecoder::ReadVarint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    CSL_ASSIGN_OR_RETURN(const auto byte, data_->Read<std::uint8_t>());
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return InvalidArgument("the update's data: a number of more than 64 bits");
}

Status UpdateDecoder::ReadPlace() {
  if (left_ == 0) return OkStatus();
  CSL_ASSIGN_OR_RETURN(ahead_, ReadVarint());
  return OkStatus();
}

Status UpdateDecoder::EndTensor() const {
  if (left_ == 0) return OkStatus();
  return InvalidArgument("the update changes what lies beyond a tensor's end");
}

Status UpdateDecoder::End() {
  if (data_->AtEnd()) return OkStatus();
  return InvalidArgument("the update's data go on after the last tensor");
}

StatusOr<std::vector<float>> ApplyUpdate(std::span<const std::byte> file, const Layout& layout,
                                         std::span<const float> base) {
  CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder, UpdateDecoder::Create(file, kMaxModelHeadBytes));
  std::vector<float> values(layout.size());
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const std::size_t begin = layout.offset(t);
    CSL_RETURN_IF_ERROR(decoder.BeginTensor(tensor.role));
    CSL_RETURN_IF_ERROR(decoder.Next(base.subspan(begin, tensor.NumElements()),
                                     std::span(values).subspan(begin, tensor.NumElements())));
    CSL_RETURN_IF_ERROR(decoder.EndTensor());
  }
  CSL_RETURN_IF_ERROR(decoder.End());
  return values;
}

}  // namespace consilium
