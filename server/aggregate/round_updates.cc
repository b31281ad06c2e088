#include "server/aggregate/round_updates.h"

#include <algorithm>

#include "common/base/parallel.h"

namespace consilium {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 20;
constexpr std::size_t kDecoded = std::size_t{4} << 20;  // elements of all updates together
constexpr std::size_t kLeastPart = std::size_t{4} << 10;

}  // namespace

StatusOr<StoredUpdate> StoredUpdate::Open(std::shared_ptr<const MappedFile> file,
                                          const MappedModel& base, const TensorMask& frozen) {
  StoredUpdate update(std::move(file), base, frozen);
  const auto bytes = update.file_->bytes();
  if (UpdateDecoder::IsEncoded(bytes)) {
    CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder, UpdateDecoder::Create(bytes));
    update.decoder_.emplace(std::move(decoder));
    return update;
  }
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(bytes));
  CSL_RETURN_IF_ERROR(
      CheckSameLayout(*PartOf(*base.header.layout, Inverse(frozen)), *header.layout));
  update.values_ = ModelValues(header, bytes);
  return update;
}

StatusOr<std::span<const float>> StoredUpdate::Next(std::size_t end) {
  std::size_t count = 0;
  for (const TensorPart& part : TensorsIn(*base_.header.layout, next_, end)) {
    if (!frozen_[part.tensor]) count += part.size();
  }
  if (decoder_) {
    row_.resize(count);
    CSL_RETURN_IF_ERROR(Decode(end));
    next_ = end;
    return row_;
  }
  next_ = end;
  const auto values = values_.first(count);
  values_ = values_.subspan(count);
  return values;
}

Status StoredUpdate::Decode(std::size_t end) {
  const Layout& layout = *base_.header.layout;
  auto row = std::span(row_);
  for (; tensor_ < layout.tensors().size(); ++tensor_) {
    if (frozen_[tensor_]) continue;
    const std::size_t tensor_end = layout.offset(tensor_) + layout.tensors()[tensor_].NumElements();
    const std::size_t begin = std::max(next_, layout.offset(tensor_));
    const std::size_t stop = std::min(end, tensor_end);
    if (begin > stop) return OkStatus();
    if (!std::exchange(is_begun_, true)) decoder_->BeginTensor(layout.tensors()[tensor_].role);
    CSL_RETURN_IF_ERROR(
        decoder_->NextAll(base_.values().subspan(begin, stop - begin), row.first(stop - begin)));
    row = row.subspan(stop - begin);
    if (stop < tensor_end) return OkStatus();
    CSL_RETURN_IF_ERROR(decoder_->EndTensor());
    is_begun_ = false;
  }
  return decoder_->End();
}

StatusOr<RoundUpdates> RoundUpdates::Open(const BlobStore& blobs,
                                          const std::vector<Contribution>& contributions,
                                          const MappedModel& base, const TensorMask& frozen) {
  RoundUpdates updates(*base.header.layout);
  for (const Contribution& contribution : contributions) {
    CSL_ASSIGN_OR_RETURN(auto file, blobs.Map(contribution.digest));
    auto stored = StoredUpdate::Open(std::move(file), base, frozen);
    if (!stored.ok()) return Annotate(stored.status(), "blob " + contribution.digest);
    updates.encoded_ += stored->is_encoded() ? 1 : 0;
    updates.stored_.push_back(*std::move(stored));
    updates.parts_.push_back({{}, contribution.terms});
  }
  return updates;
}

std::size_t RoundUpdates::EndOfPart(std::size_t begin) const {
  if (encoded_ == 0) return std::min(begin + kPart, layout_.size());
  const std::size_t most = std::clamp(kDecoded / encoded_, kLeastPart, kPart);
  const std::size_t end = std::min(begin + most, layout_.size());
  // Where a decoder may stop in the last of the tensors.
  const std::size_t last = TensorsIn(layout_, begin, end).back().tensor;
  const std::size_t of_last = end - layout_.offset(last);
  if (of_last == layout_.tensors()[last].NumElements()) return end;
  return end - of_last % UpdateDecoder::kStride;
}

StatusOr<std::span<const WeightedUpdate>> RoundUpdates::Next(std::size_t end) {
  std::vector<Status> taken(stored_.size());
  const auto take = [&](std::size_t i) {
    auto values = stored_[i].Next(end);
    taken[i] = values.status();
    parts_[i].first += parts_[i].values.size();
    if (values.ok()) parts_[i].values = *values;
  };
  if (encoded_ > 0) {
    OnAllCores(stored_.size(), take);
  } else {
    for (std::size_t i = 0; i < stored_.size(); ++i) take(i);
  }
  for (const Status& status : taken) CSL_RETURN_IF_ERROR(status);
  return parts_;
}

}  // namespace consilium
