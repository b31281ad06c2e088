// An upload in chunks, which breaks off, goes on and is dropped in any order: it is whole only with
// the bytes of its digest.

#include "common/crypto/digest.h"
#include "server/store/blob_store.h"
#include "tests/fuzz/input.h"

namespace {

using namespace consilium;

const BlobStore& Store() {
  static const fuzz::ScratchFolder folder;
  static const BlobStore store = *BlobStore::Open(folder.path());
  return store;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // The first byte is how long the blob is, the blob follows, and then come steps.
  const std::size_t length = std::min<std::size_t>(data[0], size - 1);
  const std::string blob(fuzz::AsText(data + 1, length));
  const std::string digest = Sha256Of(blob);
  constexpr char kOwner[] = "task-1";
  std::string sent;
  for (std::size_t i = 1 + length; i < size; ++i) {
    const unsigned step = data[i] % 4;
    const std::size_t amount = data[i] / 4;
    auto upload = Store().Continue(digest, kOwner);
    fuzz::Require(upload.ok() && upload->size() == sent.size());
    if (step == 3) {
      Store().Drop(digest, kOwner);
      sent.clear();
      continue;
    }
    // The next bytes, or others in their place.
    std::string chunk = step == 1 ? std::string(amount, 'x')
                                  : blob.substr(std::min(sent.size(), blob.size()), amount);
    fuzz::Require(upload->Append(AsBytes(chunk)).ok());
    sent += chunk;
    if (step != 2) continue;
    const bool whole = std::move(*upload).Finish().ok();
    fuzz::Require(whole == (sent == blob));
    fuzz::Require(Store().HeldOf(digest, kOwner).whole == whole);
    Store().Drop(digest, kOwner);
    sent.clear();
  }
  Store().Drop(digest, kOwner);
  return 0;
}
