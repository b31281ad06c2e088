#include "server/aggregate/encode_model.h"

#include <string>
#include <vector>

#include "server/aggregate/mapped_model.h"

namespace consilium {

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
  CSL_ASSIGN_OR_RETURN(const std::vector<float> values,
                       ApplyUpdate(AsBytes(change), layout, base.values()));
  if (!AllFinite(values)) return InvalidArgument("the encoded model has infinite or NaN values");
  CSL_ASSIGN_OR_RETURN(BlobStore::Writer model, blobs.Create());
  CSL_RETURN_IF_ERROR(model.Append(AsBytes(head.model_header)));
  CSL_RETURN_IF_ERROR(model.Append(std::as_bytes(std::span(values))));
  CSL_ASSIGN_OR_RETURN(made.digest, std::move(model).Finish());
  return made;
}

}  // namespace consilium
