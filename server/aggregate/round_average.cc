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

// A model and its moments on their way into the store.
class Output {
 public:
  // Of the layout's tensors those of `left_out` are not written.
  static StatusOr<Output> Begin(const BlobStore& blobs, const ModelInfo& info, const Layout& layout,
                                const TensorMask& left_out, bool has_moments,
                                UpdateEncoding encoding) {
    const bool is_encoded = encoding != UpdateEncoding::kFloat32;
    CSL_ASSIGN_OR_RETURN(BlobStore::Writer model,
                         blobs.Create(is_encoded ? Durability::kCached : Durability::kSynced));
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
    for (const TensorPart& part : TensorsIn(layout_, begin, begin + model.size())) {
      if (left_out_[part.tensor]) continue;
      const auto values = std::as_bytes(model.subspan(part.begin - begin, part.size()));
      bytes_ += values.size();
      CSL_RETURN_IF_ERROR(model_.Append(values));
    }
    return moments_ ? moments_->Append(std::as_bytes(moments)) : OkStatus();
  }
  // The model as it is, or as what its encoded change makes of its parent.
  StatusOr<AveragedModel> Finish(const BlobStore& blobs, UpdateEncoding encoding) && {
    AveragedModel averaged{.digest = {}, .bytes = bytes_, .moments_digest = {}};
    if (encoding == UpdateEncoding::kFloat32) {
      CSL_ASSIGN_OR_RETURN(averaged.digest, std::move(model_).Finish());
    } else {
      // The exact model never is a blob: one that no state names would stay after a power cut.
      CSL_ASSIGN_OR_RETURN(const MappedFile exact, model_.Map());
      CSL_ASSIGN_OR_RETURN(averaged, EncodeModel(blobs, exact, encoding));
    }
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

// The model, part by part: one is made while the one before it is hashed and written.
Status Make(RoundInputs inputs, RoundUpdates& updates, Output& output) {
  const std::size_t per_element = MomentsPerElement(inputs.optimizer.kind);
  struct Part {
    std::vector<float> model;
    std::vector<float> moments;
  };
  Part made;
  Part leaving;
  std::future<Status> written;
  for (std::size_t begin = 0; begin < inputs.layout.size();) {
    const std::size_t end = updates.EndOfPart(begin);
    CSL_ASSIGN_OR_RETURN(inputs.updates, updates.Next(end));
    made.model.resize(end - begin);
    made.moments.resize(made.model.size() * per_element);
    MakeNextModel(inputs, begin, made.model, made.moments);
    if (written.valid()) CSL_RETURN_IF_ERROR(written.get());
    std::swap(made, leaving);
    written = std::async(std::launch::async, [&output, &leaving, begin] {
      return output.Append(begin, leaving.model, leaving.moments);
    });
    begin = end;
  }
  return written.valid() ? written.get() : OkStatus();
}

// The place of the contribution that counts alone.
StatusOr<std::size_t> KrumChoice(const BlobStore& blobs,
                                 const std::vector<Contribution>& contributions,
                                 const MappedModel& base, const TensorMask& frozen) {
  const Layout& layout = *base.header.layout;
  CSL_ASSIGN_OR_RETURN(auto updates, RoundUpdates::Open(blobs, contributions, base, frozen));
  const std::vector<std::size_t> places = PlacesWithout(layout, frozen);
  KrumDistances distances(contributions.size());
  for (std::size_t begin = 0; begin < layout.size();) {
    const std::size_t end = updates.EndOfPart(begin);
    CSL_ASSIGN_OR_RETURN(const auto parts, updates.Next(end));
    distances.Add(layout, parts, begin, end, places);
    begin = end;
  }
  return distances.Choice();
}

}  // namespace

StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const RoundToAverage& round,
                                     const std::vector<Contribution>& contributions) {
  CSL_ASSIGN_OR_RETURN(const MappedModel model, MapModel(blobs, round.base_digest));
  const Layout& layout = *model.header.layout;
  TensorMask frozen = round.frozen;
  frozen.resize(layout.tensors().size());
  std::vector<std::string> read = {round.base_digest};
  for (const Contribution& contribution : contributions) read.push_back(contribution.digest);
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
  if (!unsound.empty()) return DataLoss("blob {} is missing or was damaged", unsound.front());
  std::optional<std::size_t> chosen;
  std::vector<Contribution> counted = contributions;
  if (round.combination == Combination::kKrum && contributions.size() >= kLeastForKrum) {
    CSL_ASSIGN_OR_RETURN(chosen, KrumChoice(blobs, contributions, model, frozen));
    counted = {contributions[*chosen]};
  }
  CSL_ASSIGN_OR_RETURN(auto updates, RoundUpdates::Open(blobs, counted, model, frozen));

  ModelInfo info = model.header.info;
  info.provenance = {.run = round.run,
                     .round = round.round,
                     .training_sites = round.as_update ? 1 : static_cast<int>(contributions.size()),
                     .parent_digest = round.base_digest};
  const TensorMask nothing(layout.tensors().size());
  const auto encoding = round.as_update ? UpdateEncoding::kFloat32 : round.encoding;
  CSL_ASSIGN_OR_RETURN(Output output,
                       Output::Begin(blobs, info, layout, round.as_update ? frozen : nothing,
                                     per_element > 0, encoding));
  const std::vector<std::size_t> places = PlacesWithout(layout, frozen);
  CSL_RETURN_IF_ERROR(Make({layout,
                            model.values(),
                            {},
                            round.optimizer,
                            moment_values,
                            round.participation,
                            places,
                            round.combination},
                           updates, output));
  CSL_ASSIGN_OR_RETURN(AveragedModel made, std::move(output).Finish(blobs, encoding));
  made.chosen = chosen;
  return made;
}

}  // namespace consilium
