#include "server/admission/update_inspection.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/model/part.h"
#include "server/admission/admission.h"

namespace consilium {
namespace {

static_assert(kNormBlock % UpdateDecoder::kStride == 0);

Status CheckOrigin(const ExpectedUpdate& want, const std::string& run, int round,
                   const std::string& base_digest) {
  if (run == want.run && round == want.round && base_digest == want.base_digest) return OkStatus();
  return InvalidArgument(
      "it is for run '{}' round {} from model {}, want run '{}' round {} from {}", run, round,
      base_digest, want.run, want.round, want.base_digest);
}

Status CheckHead(const EncodedUpdateHead& head, const ExpectedUpdate& want) {
  if (head.encoding != want.encoding) {
    return InvalidArgument("its encoding is {}, the plan's {}", UpdateEncodingName(head.encoding),
                           UpdateEncodingName(want.encoding));
  }
  CSL_RETURN_IF_ERROR(CheckOrigin(want, head.run, head.round, head.base_digest));
  return head.model_header.empty() ? OkStatus() : InvalidArgument("it has a model's header");
}

}  // namespace

StatusOr<UpdateInspection> UpdateInspection::Begin(std::span<const std::byte> base,
                                                   std::shared_ptr<const void> owner,
                                                   ExpectedUpdate expected,
                                                   std::uint64_t file_bytes) {
  CSL_ASSIGN_OR_RETURN(ModelHeader header, ParseModelHeader(base));
  return UpdateInspection(base, std::move(owner), std::move(header), std::move(expected),
                          file_bytes);
}

UpdateInspection::UpdateInspection(std::span<const std::byte> base_file,
                                   std::shared_ptr<const void> owner, ModelHeader base,
                                   ExpectedUpdate expected, std::uint64_t file_bytes)
    : base_values_(ModelValues(base, base_file)),
      owner_(std::move(owner)),
      base_(std::move(base)),
      expected_(std::move(expected)),
      file_bytes_(file_bytes),
      frozen_(FrozenTensors(*base_.layout, expected_.stages, expected_.round, expected_.rounds)),
      block_(kNormBlock) {}

void UpdateInspection::Append(std::span<const std::byte> bytes) {
  if (wrong_.ok()) wrong_ = Take(bytes);
}

StatusOr<double> UpdateInspection::Finish() {
  if (wrong_.ok() && !has_header_) wrong_ = CheckHeader();
  CSL_RETURN_IF_ERROR(wrong_);
  if (tensor_ < base_.layout->tensors().size()) {
    return InvalidArgument("the update's data are cut short");
  }
  if (decoder_) CSL_RETURN_IF_ERROR(decoder_->End());
  return std::sqrt(sum_);
}

Status UpdateInspection::Take(std::span<const std::byte> bytes) {
  if (!has_header_) CSL_RETURN_IF_ERROR(TakeHeader(bytes));
  return has_header_ ? TakeValues(bytes) : OkStatus();
}

Status UpdateInspection::TakeHeader(std::span<const std::byte>& bytes) {
  const bool is_encoded = expected_.encoding != UpdateEncoding::kFloat32;
  const std::size_t most = is_encoded ? kMaxUpdateHeadBytes : base_.data_offset;
  while (!bytes.empty()) {
    const auto held = AsBytes(header_);
    const std::optional<std::uint64_t> end =
        is_encoded ? UpdateDecoder::HeadBytes(held) : ModelHeaderBytes(held);
    if (end && UpdateDecoder::IsEncoded(held) != is_encoded) {
      if (is_encoded) return InvalidArgument("it is not an encoded update");
      return InvalidArgument("it is an encoded update, and the plan wants none");
    }
    // Its first bytes say how long it is.
    const std::uint64_t wanted = end.value_or(header_.size() + 1);
    if (wanted > most + kHeaderSlackBytes) {
      return InvalidArgument("its header has {} bytes, want at most {}", wanted,
                             most + kHeaderSlackBytes);
    }
    const auto part = bytes.first(std::min<std::size_t>(bytes.size(), wanted - header_.size()));
    header_.append(reinterpret_cast<const char*>(part.data()), part.size());
    bytes = bytes.subspan(part.size());
    if (!end || header_.size() < *end) continue;
    CSL_RETURN_IF_ERROR(CheckHeader());
    has_header_ = true;
    header_ = {};
    BeginTensor(0);
    return OkStatus();
  }
  return OkStatus();
}

Status UpdateInspection::CheckHeader() {
  if (expected_.encoding != UpdateEncoding::kFloat32) {
    CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder, UpdateDecoder::Create(AsBytes(header_)));
    CSL_RETURN_IF_ERROR(CheckHead(decoder.head(), expected_));
    decoder_.emplace(std::move(decoder));
    return OkStatus();
  }
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(AsBytes(header_), file_bytes_));
  const Provenance& provenance = header.info.provenance;
  CSL_RETURN_IF_ERROR(
      CheckOrigin(expected_, provenance.run, provenance.round, provenance.parent_digest));
  CSL_RETURN_IF_ERROR(CheckSpec(base_.info.spec, header.info.spec));
  return CheckSameLayout(*PartOf(*base_.layout, Inverse(frozen_)), *header.layout);
}

void UpdateInspection::BeginTensor(std::size_t tensor) {
  const auto& tensors = base_.layout->tensors();
  tensor_ = tensor;
  while (tensor_ < tensors.size() && frozen_[tensor_]) ++tensor_;
  done_ = 0;
  if (decoder_ && tensor_ < tensors.size()) decoder_->BeginTensor(tensors[tensor_].role);
}

Status UpdateInspection::TakeValues(std::span<const std::byte> bytes) {
  if (decoder_) decoder_->Feed(bytes);
  const auto& tensors = base_.layout->tensors();
  while (tensor_ < tensors.size()) {
    const std::size_t elements = tensors[tensor_].NumElements();
    const std::size_t count = std::min(kNormBlock, elements - done_);
    const auto base = base_values_.subspan(base_.layout->offset(tensor_) + done_, count);
    const auto block = std::span(block_).first(count);
    CSL_ASSIGN_OR_RETURN(const bool is_full, FillBlock(bytes, base, block));
    if (!is_full) return OkStatus();
    filled_bytes_ = 0;
    done_ += count;
    if (!AllFinite(block)) return InvalidArgument("it has infinite or NaN values");
    if (tensors[tensor_].role == TensorRole::kParameter) sum_ += SquaredChange(base, block);
    CSL_ASSIGN_OR_RETURN(const bool at_end, AtTensorEnd(elements));
    if (done_ == elements && !at_end) return OkStatus();
    if (at_end) BeginTensor(tensor_ + 1);
  }
  if (decoder_) return decoder_->AtEnd().status();
  return bytes.empty() ? OkStatus() : InvalidArgument("it goes on after the last tensor");
}

StatusOr<bool> UpdateInspection::FillBlock(std::span<const std::byte>& bytes,
                                           std::span<const float> base, std::span<float> block) {
  if (decoder_) {
    const std::size_t filled = filled_bytes_ / sizeof(float);
    CSL_ASSIGN_OR_RETURN(const std::size_t more,
                         decoder_->Next(base.subspan(filled), block.subspan(filled)));
    filled_bytes_ += more * sizeof(float);
  } else {
    const auto room = std::as_writable_bytes(block).subspan(filled_bytes_);
    const auto part = bytes.first(std::min(bytes.size(), room.size()));
    std::memcpy(room.data(), part.data(), part.size());
    bytes = bytes.subspan(part.size());
    filled_bytes_ += part.size();
  }
  return filled_bytes_ == block.size_bytes();
}

StatusOr<bool> UpdateInspection::AtTensorEnd(std::size_t elements) {
  if (done_ < elements) return false;
  return decoder_ ? decoder_->AtTensorEnd() : true;
}

}  // namespace consilium
