#pragma once

// The programs that decode DICOM files for this process. DCMTK's decoders trust what a file says of
// itself: a crafted one can crash them or keep them busy for ever. So they run in processes of
// their own (consilium-dicom), one for each thread that reads at the same time, which are kept for
// the next file and replaced when a file has ended one.

#include <sys/types.h>

#include <chrono>
#include <memory>

#include "client/preprocess/dicom.h"
#include "common/base/mutex.h"

namespace consilium {

// Thread-safe.
class DicomDecoders {
 public:
  // `program` is started when it is first needed. A file that it needs longer for is given up.
  DicomDecoders(std::filesystem::path program, std::chrono::seconds time_limit);
  ~DicomDecoders();

  // consilium-dicom of this build or installation: beside this process's own program, or in bin/
  // next to its folder.
  static std::filesystem::path Program();

  // As ReadDicom and ReadDicomFacts. Besides, INVALID_ARGUMENT for a file that ended its decoder,
  // and UNAVAILABLE where no decoder can be started.
  StatusOr<Image> Read(const std::filesystem::path& path, std::uint32_t frame,
                       const Window& window);
  StatusOr<DicomFacts> ReadFacts(const std::filesystem::path& path);

 private:
  class Process;

  StatusOr<std::unique_ptr<Process>> Take();
  void GiveBack(std::unique_ptr<Process> process);

  const std::filesystem::path program_;
  const std::chrono::seconds time_limit_;
  Mutex mu_;
  std::vector<std::unique_ptr<Process>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
