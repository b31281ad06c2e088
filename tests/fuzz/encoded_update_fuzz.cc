// An update that travels encoded: what is made of it has as many values as its network, whatever
// the file says, or it is refused.

#include "common/encoding/update_encoding.h"
#include "tests/fuzz/input.h"
#include "tests/testing/small_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  static const ModelState base = testing::RandomState(testing::SmallLayout(), 1);
  const auto values = ApplyUpdate(AsBytes(fuzz::AsText(data, size)), *base.layout, base.values);
  if (values.ok()) fuzz::Require(values->size() == base.values.size());
  return 0;
}
