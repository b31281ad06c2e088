#include "client/pacs/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/file.h"

namespace consilium {

Status SyncAndRename(const std::filesystem::path& part, const std::filesystem::path& file) {
  const FileDescriptor written(::open(part.c_str(), O_RDONLY | O_CLOEXEC));
  if (written.get() < 0 || ::fsync(written.get()) != 0) {
    return ErrnoStatus(errno, "cannot keep", part);
  }
  std::error_code error;
  std::filesystem::rename(part, file, error);
  if (error) return ErrnoStatus(error.value(), "cannot keep", file);
  return SyncFolder(file.parent_path());
}

}  // namespace consilium
