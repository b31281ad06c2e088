#pragma once

// A model in the blob store, read where it lies.

#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"
#include "common/model/model_file.h"
#include "server/store/blob_store.h"

namespace consilium {

struct MappedModel {
  std::shared_ptr<const MappedFile> file;
  ModelHeader header;

  std::span<const float> values() const { return ModelValues(header, file->bytes()); }
};

// NOT_FOUND where the blob is missing, INVALID_ARGUMENT where it is no model.
inline StatusOr<MappedModel> MapModel(const BlobStore& blobs, const std::string& digest) {
  MappedModel model;
  CSL_ASSIGN_OR_RETURN(model.file, blobs.Map(digest));
  const auto header = ParseModelHeader(model.file->bytes());
  if (!header.ok()) return Annotate(header.status(), "blob " + digest);
  model.header = *header;
  return model;
}

}  // namespace consilium
