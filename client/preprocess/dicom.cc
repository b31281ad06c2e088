#include "client/preprocess/dicom.h"

#include "client/preprocess/dicom_decoders_internal.h"
#include "client/preprocess/picture_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

constexpr std::chrono::seconds kTimeLimit{60};

// Never destroyed: a thread may ask until the very end. The programs end when this process does.
DicomDecoders& Decoders() {
  static auto& decoders = *new DicomDecoders(DicomDecoders::Program(), kTimeLimit);
  return decoders;
}

}  // namespace

bool IsDicom(std::span<const std::byte> file) {
  constexpr std::size_t kPreamble = 128;
  constexpr std::string_view kMark = "DICM";
  return file.size() > kPreamble + kMark.size() &&
         std::string_view(reinterpret_cast<const char*>(file.data()) + kPreamble, kMark.size()) ==
             kMark;
}

bool IsDicomFile(const std::filesystem::path& path) {
  const auto file = MappedFile::Open(path);
  return file.ok() && IsDicom(file->bytes());
}

StatusOr<Image> ReadDicom(const std::filesystem::path& path, std::uint32_t frame,
                          const Window& window) {
  return Decoders().Read(path, frame, window);
}

StatusOr<DicomFacts> ReadDicomFacts(const std::filesystem::path& path) {
  return Decoders().ReadFacts(path);
}

}  // namespace consilium
