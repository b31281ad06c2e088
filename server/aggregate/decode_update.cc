#include "server/aggregate/decode_update.h"

#include <algorithm>
#include <vector>

namespace consilium {
namespace {

// Elements between two writes.
constexpr std::size_t kWritten = std::size_t{1} << 18;
static_assert(kWritten % UpdateDecoder::kStride == 0);

Status DecodeTensor(UpdateDecoder& decoder, TensorRole role, std::span<const float> base,
                    BlobStore::Writer& writer) {
  CSL_RETURN_IF_ERROR(decoder.BeginTensor(role));
  std::vector<float> decoded(std::min(kWritten, base.size()));
  for (std::size_t begin = 0; begin < base.size(); begin += kWritten) {
    const std::size_t count = std::min(kWritten, base.size() - begin);
    const auto out = std::span(decoded).first(count);
    CSL_RETURN_IF_ERROR(decoder.Next(base.subspan(begin, count), out));
    if (!AllFinite(out)) return InvalidArgument("it has infinite or NaN values");
    CSL_RETURN_IF_ERROR(writer.Append(std::as_bytes(out)));
  }
  return decoder.EndTensor();
}

}  // namespace

StatusOr<AveragedModel> DecodeUpdate(const BlobStore& blobs, std::span<const std::byte> file,
                                     const EncodedUpdateWanted& wanted) {
  CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder, UpdateDecoder::Create(file));
  const EncodedUpdateHead& head = decoder.head();
  if (head.encoding != wanted.encoding) {
    return InvalidArgument("its encoding is {}, the plan's {}", UpdateEncodingName(head.encoding),
                           UpdateEncodingName(wanted.encoding));
  }
  if (head.run != wanted.run || head.round != wanted.round ||
      head.base_digest != wanted.base_digest) {
    return InvalidArgument(
        "it is for run '{}' round {} from model {}, want run '{}' round {} from {}", head.run,
        head.round, head.base_digest, wanted.run, wanted.round, wanted.base_digest);
  }
  if (!head.model_header.empty()) return InvalidArgument("it has a model's header");
  CSL_ASSIGN_OR_RETURN(const MappedModel base, MapModel(blobs, wanted.base_digest));
  const Layout& layout = *base.header.layout;
  const TensorMask frozen = FrozenTensors(layout, wanted.stages, wanted.round, wanted.rounds);
  const auto trained = PartOf(layout, Inverse(frozen));
  const std::string header =
      EncodeModelHeader({base.header.info.spec,
                         {.run = head.run, .round = head.round, .parent_digest = head.base_digest}},
                        *trained);
  CSL_ASSIGN_OR_RETURN(const std::string digest,
                       WriteDecoded(blobs, decoder, header, base, frozen, Durability::kCached));
  return AveragedModel{.digest = digest,
                       .bytes = header.size() + trained->size() * sizeof(float),
                       .moments_digest = {},
                       .change_digest = {}};
}

StatusOr<std::string> WriteDecoded(const BlobStore& blobs, UpdateDecoder& decoder,
                                   const std::string& header, const MappedModel& base,
                                   const TensorMask& left_out, Durability durability) {
  const Layout& layout = *base.header.layout;
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create(durability));
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(header)));
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    if (left_out[t]) continue;
    const TensorSpec& tensor = layout.tensors()[t];
    const auto values = base.values().subspan(layout.offset(t), tensor.NumElements());
    CSL_RETURN_IF_ERROR(DecodeTensor(decoder, tensor.role, values, writer));
  }
  CSL_RETURN_IF_ERROR(decoder.End());
  return std::move(writer).Finish();
}

}  // namespace consilium
