// A hospital's CSV of images: every example that comes of it has a path and a label.

#include "client/data/manifest.h"
#include "common/base/file.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  static const fuzz::ScratchFolder folder;
  const auto path = folder.path() / "manifest.csv";
  if (!WriteFileAtomically(path, fuzz::AsText(data, size)).ok()) return 0;
  const auto manifest = ReadManifest(path);
  if (!manifest.ok()) return 0;
  fuzz::Require(!manifest->empty());
  for (const Example& example : *manifest) {
    fuzz::Require(!example.path.empty() && !example.label.empty());
  }
  return 0;
}
