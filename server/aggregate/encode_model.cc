#include "server/aggregate/encode_model.h"

#include <string>
#include <vector>

#include "server/aggregate/decode_update.h"
#include "server/aggregate/mapped_model.h"

namespace consilium {

StatusOr<AveragedModel> EncodeModel(const BlobStore& blobs, AveragedModel exact,
                                    UpdateEncoding encoding) {
  AveragedModel made = exact;
  CSL_ASSIGN_OR_RETURN(const MappedModel model, MapModel(blobs, exact.digest));
  const Layout& layout = *model.header.layout;
  const Provenance& provenance = model.header.info.provenance;
  CSL_ASSIGN_OR_RETURN(const MappedModel base, MapModel(blobs, provenance.parent_digest));
  const EncodedUpdateHead head{.encoding = encoding,
                               .run = provenance.run,
                               .round = provenance.round,
                               .base_digest = provenance.parent_digest,
                               .model_header = EncodeModelHeader(model.header.info, layout)};
  std::vector<float> residual;
  CSL_ASSIGN_OR_RETURN(
      const std::string change,
      EncodeUpdate(head, layout, base.values(), model.values(),
                   {.seed = static_cast<std::uint64_t>(provenance.round)}, residual));
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer writer, blobs.Create());
  CSL_RETURN_IF_ERROR(writer.Append(AsBytes(change)));
  CSL_ASSIGN_OR_RETURN(made.change_digest, std::move(writer).Finish());
  made.change_bytes = change.size();
  CSL_ASSIGN_OR_RETURN(UpdateDecoder decoder,
                       UpdateDecoder::Create(AsBytes(change), kMaxModelHeadBytes));
  const TensorMask nothing(layout.tensors().size());
  CSL_ASSIGN_OR_RETURN(made.digest, WriteDecoded(blobs, decoder, head.model_header, base, nothing,
                                                 Durability::kSynced));
  if (made.digest != exact.digest) made.superseded = exact.digest;
  return made;
}

}  // namespace consilium
