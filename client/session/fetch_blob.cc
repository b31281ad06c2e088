#include "client/session/fetch_blob.h"

#include "common/crypto/digest.h"
#include "common/model/model_file.h"

namespace consilium {

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

}  // namespace consilium
