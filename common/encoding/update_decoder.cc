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

constexpr std::size_t kFixedBytes = encoding::kMagic.size() + sizeof(std::uint32_t);
constexpr int kMaxWindowLog = 20;  // zstd's memory: a MiB; what level 1 writes needs half of it

struct ContextDeleter {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Status CutShort() { return InvalidArgument("the update's data are cut short"); }

}  // namespace

static_assert(UpdateDecoder::kStride % kBlock == 0);

// The file's data as they come, decompressed as they are asked for.
class UpdateDecoder::Data {
 public:
  explicit Data(bool is_compressed)
      : context_(is_compressed ? ZSTD_createDCtx() : nullptr), is_whole_(!is_compressed) {
    if (context_) ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  void Feed(std::span<const std::byte> more) { input_ = {more.data(), more.size(), 0}; }

  // Whether so many bytes, no more than a block has, are there together.
  StatusOr<bool> Has(std::size_t size) {
    if (filled_ - used_ >= size) return true;
    std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
    filled_ -= std::exchange(used_, 0);
    while (filled_ < size) {
      if (!MayGiveMore()) return false;
      CSL_RETURN_IF_ERROR(Fill());
    }
    return true;
  }

  // Those that are there.
  std::span<const std::byte> there() const {
    return std::span(buffer_).first(filled_).subspan(used_);
  }
  void Take(void* out, std::size_t size) {
    std::memcpy(out, buffer_.data() + used_, size);
    used_ += size;
  }
  template <typename T>
  T Take() {
    T value{};
    Take(&value, sizeof(value));
    return value;
  }

  bool is_whole() const { return is_whole_; }

 private:
  bool MayGiveMore() const { return input_.pos < input_.size || holds_output_; }

  Status Fill() {
    const auto room = std::span(buffer_).subspan(filled_);
    if (!context_) {
      const std::size_t count = std::min(room.size(), input_.size - input_.pos);
      std::memcpy(room.data(), static_cast<const std::byte*>(input_.src) + input_.pos, count);
      input_.pos += count;
      filled_ += count;
      return OkStatus();
    }
    ZSTD_outBuffer output{room.data(), room.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &output, &input_);
    is_whole_ = result == 0;
    if (ZSTD_isError(result) != 0) {
      return InvalidArgument("the update's data: {}", ZSTD_getErrorName(result));
    }
    holds_output_ = output.pos == output.size && !is_whole_;
    filled_ += output.pos;
    return OkStatus();
  }

  ZSTD_inBuffer input_{};
  std::unique_ptr<ZSTD_DCtx, ContextDeleter> context_;
  bool holds_output_ = false;  // that had no room
  bool is_whole_;              // the frame has come to its end
  std::array<std::byte, std::size_t{64} << 10> buffer_;
  std::size_t used_ = 0;
  std::size_t filled_ = 0;
};

UpdateDecoder::UpdateDecoder(EncodedUpdateHead head, std::unique_ptr<Data> data)
    : head_(std::move(head)), data_(std::move(data)) {}
UpdateDecoder::UpdateDecoder(UpdateDecoder&&) noexcept = default;
UpdateDecoder::~UpdateDecoder() = default;

bool UpdateDecoder::IsEncoded(std::span<const std::byte> file) {
  return file.size() >= encoding::kMagic.size() &&
         std::memcmp(file.data(), encoding::kMagic.data(), encoding::kMagic.size()) == 0;
}

std::optional<std::size_t> UpdateDecoder::HeadBytes(std::span<const std::byte> beginning) {
  if (beginning.size() < kFixedBytes) return std::nullopt;
  std::uint32_t size = 0;
  std::memcpy(&size, beginning.data() + encoding::kMagic.size(), sizeof(size));
  return kFixedBytes + size;
}

StatusOr<UpdateDecoder> UpdateDecoder::Create(std::span<const std::byte> file,
                                              std::size_t max_head_bytes) {
  const auto end = HeadBytes(file);
  if (!end || !IsEncoded(file)) return InvalidArgument("it is not an encoded update");
  v1::EncodedUpdate message;
  if (*end - kFixedBytes > max_head_bytes || *end > file.size() ||
      !message.ParseFromArray(file.data() + kFixedBytes, static_cast<int>(*end - kFixedBytes))) {
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
  UpdateDecoder decoder(std::move(head), std::make_unique<Data>(message.compressed()));
  decoder.Feed(file.subspan(*end));
  return decoder;
}

void UpdateDecoder::Feed(std::span<const std::byte> more) { data_->Feed(more); }

void UpdateDecoder::BeginTensor(TensorRole role) {
  role_ = role;
  left_.reset();
  ahead_.reset();
  if (role_ != TensorRole::kParameter || head_.encoding != UpdateEncoding::kTopK) left_ = 0;
}

StatusOr<std::size_t> UpdateDecoder::Next(std::span<const float> base, std::span<float> out) {
  if (role_ != TensorRole::kParameter) return NextFloat32(out);
  if (head_.encoding == UpdateEncoding::kBfloat16) return NextBfloat16(base, out);
  if (head_.encoding == UpdateEncoding::kInt8) return NextInt8(base, out);
  return NextTopK(base, out);
}

Status UpdateDecoder::NextAll(std::span<const float> base, std::span<float> out) {
  CSL_ASSIGN_OR_RETURN(const std::size_t decoded, Next(base, out));
  return decoded == out.size() ? OkStatus() : CutShort();
}

StatusOr<std::size_t> UpdateDecoder::NextFloat32(std::span<float> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    CSL_ASSIGN_OR_RETURN(const bool has_one, data_->Has(sizeof(float)));
    if (!has_one) break;
    const std::size_t count = std::min(data_->there().size() / sizeof(float), out.size() - done);
    data_->Take(out.data() + done, count * sizeof(float));
    done += count;
  }
  return done;
}

StatusOr<std::size_t> UpdateDecoder::NextBfloat16(std::span<const float> base,
                                                  std::span<float> out) {
  std::array<std::uint16_t, kBlock> halves;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - begin);
    CSL_ASSIGN_OR_RETURN(const bool has_block, data_->Has(count * sizeof(std::uint16_t)));
    if (!has_block) return begin;
    data_->Take(halves.data(), count * sizeof(std::uint16_t));
    for (std::size_t i = 0; i < count; ++i) {
      out[begin + i] = base[begin + i] + encoding::FromBfloat16(halves[i]);
    }
  }
  return out.size();
}

StatusOr<std::size_t> UpdateDecoder::NextInt8(std::span<const float> base, std::span<float> out) {
  std::array<std::int8_t, kBlock> steps;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - begin);
    CSL_ASSIGN_OR_RETURN(const bool has_block, data_->Has(sizeof(float) + count));
    if (!has_block) return begin;
    const auto scale = data_->Take<float>();
    data_->Take(steps.data(), count);
    for (std::size_t i = 0; i < count; ++i) {
      out[begin + i] = base[begin + i] + scale * static_cast<float>(steps[i]);
    }
  }
  return out.size();
}

StatusOr<std::size_t> UpdateDecoder::NextTopK(std::span<const float> base, std::span<float> out) {
  if (!left_) {
    CSL_ASSIGN_OR_RETURN(left_, TakeVarint());
  }
  if (!left_) return 0;
  std::size_t done = 0;
  while (*left_ > 0) {
    if (!ahead_) {
      CSL_ASSIGN_OR_RETURN(ahead_, TakeVarint());
    }
    if (!ahead_) return done;
    const std::size_t unchanged = std::min<std::uint64_t>(*ahead_, out.size() - done);
    std::ranges::copy(base.subspan(done, unchanged), out.subspan(done).begin());
    done += unchanged;
    *ahead_ -= unchanged;
    if (done == out.size()) return done;
    CSL_ASSIGN_OR_RETURN(const bool has_change, data_->Has(sizeof(float)));
    if (!has_change) return done;
    out[done] = base[done] + data_->Take<float>();
    ++done;
    ahead_.reset();
    --*left_;
  }
  std::ranges::copy(base.subspan(done), out.subspan(done).begin());
  return out.size();
}

StatusOr<std::optional<std::uint64_t>> UpdateDecoder::TakeVarint() {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i * 7 < 64; ++i) {
    CSL_ASSIGN_OR_RETURN(const bool has_byte, data_->Has(i + 1));
    if (!has_byte) return std::nullopt;
    const auto byte = std::to_integer<std::uint64_t>(data_->there()[i]);
    value |= (byte & 0x7f) << (i * 7);
    if ((byte & 0x80) != 0) continue;
    std::array<std::byte, 10> taken;
    data_->Take(taken.data(), i + 1);
    return value;
  }
  return InvalidArgument("the update's data: a number of more than 64 bits");
}

StatusOr<bool> UpdateDecoder::AtTensorEnd() {
  if (!left_) {
    CSL_ASSIGN_OR_RETURN(left_, TakeVarint());
  }
  if (!left_) return false;
  if (*left_ == 0) return true;
  return InvalidArgument("the update changes what lies beyond a tensor's end");
}

Status UpdateDecoder::EndTensor() {
  CSL_ASSIGN_OR_RETURN(const bool at_end, AtTensorEnd());
  return at_end ? OkStatus() : CutShort();
}

StatusOr<bool> UpdateDecoder::AtEnd() {
  CSL_ASSIGN_OR_RETURN(const bool has_more, data_->Has(1));
  if (!has_more) return data_->is_whole();
  return InvalidArgument("the update's data go on after the last tensor");
}

Status UpdateDecoder::End() {
  CSL_ASSIGN_OR_RETURN(const bool at_end, AtEnd());
  return at_end ? OkStatus() : CutShort();
}

StatusOr<std::vector<float>> ApplyUpdate(std::span<const std::byte> file, const Layout& layout,
                                         std::span<const float> base) {
  CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder, UpdateDecoder::Create(file, kMaxModelHeadBytes));
  std::vector<float> values(layout.size());
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const std::size_t begin = layout.offset(t);
    decoder.BeginTensor(tensor.role);
    CSL_RETURN_IF_ERROR(decoder.NextAll(base.subspan(begin, tensor.NumElements()),
                                        std::span(values).subspan(begin, tensor.NumElements())));
    CSL_RETURN_IF_ERROR(decoder.EndTensor());
  }
  CSL_RETURN_IF_ERROR(decoder.End());
  return values;
}

}  // namespace consilium
