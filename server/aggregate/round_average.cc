#include "server/aggregate/round_average.h"

#include <algorithm>
#include <future>
#include <optional>

#include "server/aggregate/encode_model.h"
#include "server/aggregate/krum.h"
#include "server/aggregate/mapped_model.h"
#include "server/aggregate/next_model.h"
#include "server/aggregate/server_optimizer.h"
#include "server/aggregate/soundness.h"

namespace consilium {
namespace {

// Elements made between two writes.
constexpr std::size_t kStride = std::size_t{1} << 20;

// A model and its moments on their way into the store.
class Output {
 public:
  // Of the layout's tensors those of `left_out` are not written.
  static StatusOr<Output> Begin(const BlobStore& blobs, const ModelInfo& info, const Layout& layout,
                                const TensorMask& left_out, bool has_moments) {
    CSL_ASSIGN_OR_RETURN(BlobStore::Writer model, blobs.Create());
    const std::string header = EncodeModelHeader(info, *PartOf(layout, Inverse(left_out)));
    CSL_RETURN_IF_ERROR(model.Append(AsBytes(header)));
    Output output(std::move(model), layout, left_out);
    output.bytes_ = header.size();
    if (has_moments) {
      CSL_ASSIGN_OR_RETURN(BlobStore::Writer moments, blobs.Create());
      output.moments_.emplace(std::move(moments));
    }
    return output;
  }
  // The model's elements from `begin` on.
  Status Append(std::size_t begin, std::span<const float> model, std::span<const float> moments) {
    if (!AllFinite(model) || !AllFinite(moments)) {
      return InvalidArgument(
          "the next model would not be finite: try a lower strategy.server_learning_rate, or "
          "another strategy");
    }
    for (std::size_t t = 0; t < layout_.tensors().size(); ++t) {
      const std::size_t tensor = layout_.offset(t);
      const std::size_t first = std::max(begin, tensor);
      const std::size_t last =
          std::min(begin + model.size(), tensor + layout_.tensors()[t].NumElements());
      if (first >= last || left_out_[t]) continue;
      const auto part = std::as_bytes(model.subspan(first - begin, last - first));
      bytes_ += part.size();
      CSL_RETURN_IF_ERROR(model_.Append(part));
    }
    return moments_ ? moments_->Append(std::as_bytes(moments)) : OkStatus();
  }
  StatusOr<AveragedModel> Finish() && {
    AveragedModel averaged{.digest = {}, .bytes = bytes_, .moments_digest = {}};
    CSL_ASSIGN_OR_RETURN(averaged.digest, std::move(model_).Finish());
    if (moments_) {
      CSL_ASSIGN_OR_RETURN(averaged.moments_digest, std::move(*moments_).Finish());
    }
    return averaged;
  }

 private:
  Output(BlobStore::Writer model, const Layout& layout, const TensorMask& left_out)
      : model_(std::move(model)), layout_(layout), left_out_(left_out) {}

  BlobStore::Writer model_;
  const Layout& layout_;
  const TensorMask left_out_;
  std::optional<BlobStore::Writer> moments_;
  std::uint64_t bytes_ = 0;
};

Status Make(const RoundInputs& inputs, Output& output) {
  const std::size_t per_element = MomentsPerElement(inputs.optimizer.kind);
  const std::size_t size = inputs.layout.size();
  // One stride is made while the one before it is hashed and written.
  struct Stride {
    std::vector<float> model;
    std::vector<float> moments;
  };
  Stride made;
  made.model.resize(std::min(kStride, size));
  made.moments.resize(made.model.size() * per_element);
  Stride leaving = made;
  std::future<Status> written;
  for (std::size_t begin = 0; begin < size; begin += kStride) {
    const std::size_t count = std::min(kStride, size - begin);
    const auto model = std::span(made.model).first(count);
    const auto moments = std::span(made.moments).first(count * per_element);
    MakeNextModel(inputs, begin, model, moments);
    if (written.valid()) CSL_RETURN_IF_ERROR(written.get());
    std::swap(made, leaving);
    written = std::async(std::launch::async, [&output, begin, model, moments] {
      return output.Append(begin, model, moments);
    });
  }
  return written.valid() ? written.get() : OkStatus();
}

}  // namespace

StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const RoundToAverage& round,
                                     const std::vector<Contribution>& contributions) {
  CSL_ASSIGN_OR_RETURN(const MappedModel model, MapModel(blobs, round.base_digest));
  const Layout& layout = *model.header.layout;
  TensorMask frozen = round.frozen;
  frozen.resize(layout.tensors().size());
  const auto trained = PartOf(layout, Inverse(frozen));
  std::vector<std::string> read = {round.base_digest};
  std::vector<MappedModel> models;
  std::vector<WeightedUpdate> updates;
  for (const Contribution& contribution : contributions) {
    CSL_ASSIGN_OR_RETURN(models.emplace_back(), MapModel(blobs, contribution.digest));
    const MappedModel& update = models.back();
    CSL_RETURN_IF_ERROR(CheckSameLayout(*trained, *update.header.layout));
    updates.push_back({update.values(), contribution.terms});
    read.push_back(contribution.digest);
  }
  std::shared_ptr<const MappedFile> moments;
  std::span<const float> moment_values;
  const std::size_t per_element = MomentsPerElement(round.optimizer.kind);
  if (!round.moments_digest.empty()) {
    CSL_ASSIGN_OR_RETURN(moments, blobs.Map(round.moments_digest));
    const std::size_t wanted = layout.size() * per_element;
    if (moments->bytes().size() != wanted * sizeof(float)) {
      return DataLoss("blob {} is not the moments of this model", round.moments_digest);
    }
    moment_values = {reinterpret_cast<const float*>(moments->bytes().data()), wanted};
    read.push_back(round.moments_digest);
  }
  CSL_ASSIGN_OR_RETURN(const auto unsound, UnsoundBlobs(blobs, std::move(read)));
  if (!unsound.empty()) return DataLoss("blob {} was damaged on the disk", unsound.front());
  std::optional<std::size_t> chosen;
  if (round.combination == Combination::kKrum && updates.size() >= kLeastForKrum) {
    chosen = KrumChoice(*trained, updates);
    updates = {updates[*chosen]};
  }

  ModelInfo info = model.header.info;
  info.provenance = {.run = round.run,
                     .round = round.round,
                     .training_sites = round.as_update ? 1 : static_cast<int>(contributions.size()),
                     .parent_digest = round.base_digest};
  const TensorMask nothing(layout.tensors().size());
  CSL_ASSIGN_OR_RETURN(
      Output output,
      Output::Begin(blobs, info, layout, round.as_update ? frozen : nothing, per_element > 0));
  const std::vector<std::size_t> places = PlacesWithout(layout, frozen);
  CSL_RETURN_IF_ERROR(Make({layout, model.values(), updates, round.optimizer, moment_values,
                            round.participation, places, round.combination},
                           output));
  CSL_ASSIGN_OR_RETURN(AveragedModel made, std::move(output).Finish());
  made.chosen = chosen;
  if (round.as_update || round.encoding == UpdateEncoding::kFloat32) return made;
  return EncodeModel(blobs, std::move(made), round.encoding);
}

}  // namespace consilium
