// A model file from a peer: what can be read can be written again, and reads the same.

#include "common/base/file.h"
#include "common/model/model_file.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  // Model files lie at the beginning of a page, and so at least at a number's alignment.
  const std::string text(fuzz::AsText(data, size));
  const auto model = DecodeModel(AsBytes(text));
  if (!model.ok()) return 0;
  const std::string again = EncodeModelHeader(model->info, *model->state.layout);
  const auto values = std::as_bytes(std::span(model->state.values));
  const auto reread = DecodeModel(
      AsBytes(again + std::string(reinterpret_cast<const char*>(values.data()), values.size())));
  fuzz::Require(reread.ok() && reread->info == model->info &&
                *reread->state.layout == *model->state.layout);
  return 0;
}
