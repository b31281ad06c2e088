#include "server/aggregate/encode_model.h"

#include <algorithm>
#include <string>
#include <vector>

#include "server/aggregate/mapped_model.h"

namespace consilium {
namespace {

// Elements between two writes.
constexpr std::size_t kWritten = std::size_t{1} << 18;
static_assert(kWritten % UpdateDecoder::kStride == 0);

Status DecodeTensor(UpdateDecoder& decoder, TensorRole role, std::span<const float> base,
                    BlobStore::Writer& writer) {
  decoder.BeginTensor(role);
  std::vector<float> decoded(std::min(kWritten, base.size()));
  for (std::size_t begin = 0; begin < base.size(); begin += kWritten) {
    const std::size_t count = std::min(kWritten, base.size() - begin);
    const auto out = std::span(decoded).first(count);
    CSL_RETURN_IF_ERROR(decoder.NextAll(base.subspan(begin, count), out));
    if (!AllFinite(out)) return InvalidArgument("the encoded model has infinite or NaN values");
    CSL_RETURN_IF_ERROR(writer.Append(std::as_bytes(out)));
  }
  return decoder.EndTensor();
}

// Keeps the model that the change makes of the base as a blob, and gives its digest.
StatusOr<std::string> KeepDecoded(const BlobStore& blobs, std::string_view change,
                                  const MappedModel& base) {
  CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder,
                       UpdateDecoder::Create(AsBytes(change), kMaxModelHeadBytes));
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create());
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(decoder.head().model_header)));
  const Layout& layout = *base.header.layout;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const auto values = base.values().subspan(layout.offset(t), tensor.NumElements());
    CSL_RETURN_IF_ERROR(DecodeTensor(decoder, tensor.role, values, writer));
  }
  CSL_RETURN_IF_ERROR(decoder.End());
  return std::move(writer).Finish();
}

}  // namespace

StatusOr<AveragedModel> EncodeModel(const BlobStore& blobs, const MappedFile& exact,
                                    UpdateEncoding encoding) {
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(exact.bytes()));
  const Layout& layout = *header.layout;
  const Provenance& provenance = header.info.provenance;
  CSL_ASSIGN_OR_RETURN(const MappedModel base, MapModel(blobs, provenance.parent_digest));
  const EncodedUpdateHead head{.encoding = encoding,
                               .run = provenance.run,
                               .round = provenance.round,
                               .base_digest = provenance.parent_digest,
                               .model_header = EncodeModelHeader(header.info, layout)};
  std::vector<float> residual;
  CSL_ASSIGN_OR_RETURN(
      const std::string change,
      EncodeUpdate(head, layout, base.values(), ModelValues(header, exact.bytes()),
                   {.seed = static_cast<std::uint64_t>(provenance.round)}, residual));
  AveragedModel made{.digest = {}, .bytes = exact.bytes().size(), .moments_digest = {}};
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create());
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(change)));
  CSL_ASSIGN_OR_RETURN(made.change_digest, std::move(writer).Finish());
  made.change_bytes = change.size();
  CSL_ASSIGN_OR_RETURN(made.digest, KeepDecoded(blobs, change, base));
  return made;
}

}  // namespace consilium
