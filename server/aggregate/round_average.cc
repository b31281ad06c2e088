#include "server/aggregate/round_average.h"

#include <algorithm>
#include <future>
#include <thread>

#include "common/crypto/digest.h"
#include "server/aggregate/mapped_model.h"
#include "server/aggregate/weighted_mean.h"

namespace consilium {
namespace {

// Elements averaged between two writes; each core takes a part of it.
constexpr std::size_t kStride = std::size_t{1} << 20;

void MeanOnAllCores(const Layout& layout, std::span<const float> base,
                    std::span<const WeightedUpdate> updates, std::size_t begin,
                    std::span<float> out) {
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t share = (out.size() + cores - 1) / cores;
  std::vector<std::jthread> threads;
  for (std::size_t first = share; first < out.size(); first += share) {
    const std::span<float> part = out.subspan(first, std::min(share, out.size() - first));
    threads.emplace_back(
        [=, &layout] { WeightedMean(layout, base, updates, begin + first, part); });
  }
  WeightedMean(layout, base, updates, begin, out.first(std::min(share, out.size())));
}

// A bit that flipped on the disk would be averaged without a word.
Status CheckDigests(const std::vector<std::pair<std::string, const MappedModel*>>& models) {
  std::vector<std::future<bool>> sound;
  for (const auto& [digest, model] : models) {
    sound.push_back(std::async(std::launch::async, [digest = digest, model = model] {
      return Sha256Of(model->file->bytes()) == digest;
    }));
  }
  Status status;
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (!sound[i].get()) status = DataLoss("blob {} was damaged on the disk", models[i].first);
  }
  return status;
}

}  // namespace

StatusOr<AveragedModel> AverageRound(const BlobStore& blobs, const std::string& run, int round,
                                     const std::string& base_digest,
                                     const std::vector<Contribution>& contributions) {
  CSL_ASSIGN_OR_RETURN(const MappedModel base, MapModel(blobs, base_digest));
  std::vector<MappedModel> models;
  std::vector<WeightedUpdate> updates;
  for (const Contribution& contribution : contributions) {
    CSL_ASSIGN_OR_RETURN(models.emplace_back(), MapModel(blobs, contribution.digest));
    const MappedModel& model = models.back();
    CSL_RETURN_IF_ERROR(CheckSameLayout(*base.header.layout, *model.header.layout));
    updates.push_back({model.values(), static_cast<double>(contribution.examples)});
  }
  std::vector<std::pair<std::string, const MappedModel*>> read = {{base_digest, &base}};
  for (std::size_t i = 0; i < models.size(); ++i) {
    read.emplace_back(contributions[i].digest, &models[i]);
  }
  CSL_RETURN_IF_ERROR(CheckDigests(read));

  ModelInfo info = base.header.info;
  info.provenance = {.run = run,
                     .round = round,
                     .training_sites = static_cast<int>(contributions.size()),
                     .parent_digest = base_digest};
  const Layout& layout = *base.header.layout;
  const std::string header = EncodeModelHeader(info, layout);
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create());
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(header)));
  // One stride is averaged while the one before it is hashed and written.
  std::vector<float> averaged(std::min(kStride, layout.size()));
  std::vector<float> leaving(averaged.size());
  std::future<Status> written;
  for (std::size_t begin = 0; begin < layout.size(); begin += averaged.size()) {
    const auto out = std::span(averaged).first(std::min(averaged.size(), layout.size() - begin));
    MeanOnAllCores(layout, base.values(), updates, begin, out);
    if (written.valid()) CSL_RETURN_IF_ERROR(written.get());
    averaged.swap(leaving);
    written = std::async(std::launch::async,
                         [&writer, out] { return writer.Append(std::as_bytes(out)); });
  }
  if (written.valid()) CSL_RETURN_IF_ERROR(written.get());
  CSL_ASSIGN_OR_RETURN(const std::string digest, std::move(writer).Finish());
  return AveragedModel{digest, header.size() + layout.size() * sizeof(float)};
}

}  // namespace consilium
