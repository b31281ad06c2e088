#include "server/aggregate/rebase.h"

#include <algorithm>
#include <vector>

#include "server/aggregate/mapped_model.h"
#include "server/aggregate/round_updates.h"

namespace consilium {
namespace {

// Elements between two writes.
constexpr std::size_t kStride = std::size_t{1} << 18;
static_assert(kStride % UpdateDecoder::kStride == 0);

float Shift(float update, float old_base, float new_base) {
  return static_cast<float>(static_cast<double>(update) +
                            (static_cast<double>(new_base) - static_cast<double>(old_base)));
}

}  // namespace

StatusOr<AveragedModel> Rebase(const BlobStore& blobs, std::shared_ptr<const MappedFile> update,
                               const std::string& old_base_digest,
                               const std::string& new_base_digest, const Provenance& provenance) {
  CSL_ASSIGN_OR_RETURN(const MappedModel old_base, MapModel(blobs, old_base_digest));
  CSL_ASSIGN_OR_RETURN(const MappedModel new_base, MapModel(blobs, new_base_digest));
  const Layout& layout = *old_base.header.layout;
  CSL_RETURN_IF_ERROR(CheckSameLayout(layout, *new_base.header.layout));
  CSL_ASSIGN_OR_RETURN(
      StoredUpdate stored,
      StoredUpdate::Open(std::move(update), old_base, TensorMask(layout.tensors().size())));

  const std::string header = EncodeModelHeader({old_base.header.info.spec, provenance}, layout);
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create(Durability::kCached));
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(header)));
  std::vector<float> shifted;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const std::size_t end = layout.offset(t) + layout.tensors()[t].NumElements();
    for (std::size_t begin = layout.offset(t); begin < end; begin += kStride) {
      const std::size_t count = std::min(kStride, end - begin);
      CSL_ASSIGN_OR_RETURN(const auto values, stored.Next(begin + count));
      shifted.assign(values.begin(), values.end());
      if (layout.tensors()[t].role == TensorRole::kParameter) {
        for (std::size_t i = 0; i < count; ++i) {
          shifted[i] = Shift(values[i], old_base.values()[begin + i], new_base.values()[begin + i]);
        }
      }
      if (!AllFinite(shifted)) return InvalidArgument("moved to the next round, it is not finite");
      CSL_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(shifted))));
    }
  }
  CSL_ASSIGN_OR_RETURN(const std::string digest, std::move(writer).Finish());
  return AveragedModel{.digest = digest,
                       .bytes = header.size() + layout.size() * sizeof(float),
                       .moments_digest = {}};
}

}  // namespace consilium
