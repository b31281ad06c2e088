#include "client/session/fetch_blob.h"

#include <spdlog/spdlog.h>

#include <vector>

#include "common/crypto/digest.h"
#include "common/encoding/update_encoding.h"

namespace consilium {
namespace {

StatusOr<std::string> Held(const TaskStore& store, const std::string& digest) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, store.FindModel(digest));
  if (Sha256Of(file.bytes()) != digest) return NotFound("the model's file was harmed");
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

// The model's file, made of the one before. NOT_FOUND where the store does not have that.
StatusOr<std::string> MakeFromChange(CoordinatorLink& link, TaskReporter& reporter,
                                     const TaskStore& store, const v1::Task& task) {
  const v1::ModelChange& change = task.model_change();
  CSL_ASSIGN_OR_RETURN(const MappedFile base, store.FindModel(change.base_digest()));
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(base.bytes()));
  CSL_ASSIGN_OR_RETURN(const std::string file,
                       FetchBlob(link, reporter, store, change.digest(), change.size_bytes()));
  CSL_ASSIGN_OR_RETURN(const UpdateDecoder decoder,
                       UpdateDecoder::Create(AsBytes(file), kMaxModelHeadBytes));
  CSL_ASSIGN_OR_RETURN(
      const std::vector<float> values,
      ApplyUpdate(AsBytes(file), *header.layout, ModelValues(header, base.bytes())));
  std::string model = decoder.head().model_header;
  const auto data = std::as_bytes(std::span(values));
  model.append(reinterpret_cast<const char*>(data.data()), data.size());
  if (Sha256Of(model) == task.model().digest()) {
    spdlog::info("{}: the global model came as a change of {} bytes", task.task_id(), file.size());
    return model;
  }
  return DataLoss("what came of the global model's change is another model");
}

}  // namespace

StatusOr<std::string> FetchBlob(CoordinatorLink& link, TaskReporter& reporter,
                                const TaskStore& store, const std::string& digest,
                                std::uint64_t size_bytes) {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  if (size_bytes > kMaxModelBytes) {
    return InvalidArgument("the blob has {} bytes, want at most {}", size_bytes, kMaxModelBytes);
  }
  std::string bytes;
  const std::filesystem::path part = store.PartOf(digest);
  const auto download = [&](const TransferCallback& on_chunk) {
    return link.client().Download(digest, size_bytes, bytes, part, reporter.stop_token(), on_chunk);
  };
  const auto fetch = [&] {
    return link.Transfer(v1::TASK_STAGE_FETCHING_MODEL, reporter, download);
  };
  Status fetched = fetch();
  // What a process before this one had written down may have been harmed since.
  if (absl::IsDataLoss(fetched)) fetched = fetch();
  CSL_RETURN_IF_ERROR(fetched);
  return bytes;
}

StatusOr<Model> FetchModel(CoordinatorLink& link, TaskReporter& reporter, const TaskStore& store,
                           const v1::Task& task) {
  // The very model, where a process before this one, or an attempt at the round, has kept it.
  if (const auto held = Held(store, task.model().digest()); held.ok()) {
    return DecodeModel(AsBytes(*held));
  }
  StatusOr<std::string> file = NotFound("no change is offered");
  if (task.has_model_change()) file = MakeFromChange(link, reporter, store, task);
  if (absl::IsCancelled(file.status())) return file.status();
  if (!file.ok()) {
    if (!absl::IsNotFound(file.status())) {
      spdlog::warn("{}: fetched as a whole: {}", task.task_id(),
                   std::string(file.status().message()));
    }
    file = FetchBlob(link, reporter, store, task.model().digest(), task.model().size_bytes());
  }
  CSL_RETURN_IF_ERROR(file.status());
  const std::string& encoding = task.plan().encoding().model();
  if (!encoding.empty() && encoding != "float32") {
    const Status kept = store.KeepModel(task.model().digest(), *file);
    if (!kept.ok()) spdlog::warn("the next model comes whole: {}", std::string(kept.message()));
  } else {
    store.ForgetModels();
  }
  return DecodeModel(AsBytes(*file));
}

}  // namespace consilium
