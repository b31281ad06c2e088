// An update that travels encoded: what is made of it has as many values as its network, in pieces
// and as its bytes come as at once, whatever the file says, or it is refused.

#include <algorithm>
#include <cstring>

#include "common/encoding/update_encoding.h"
#include "tests/fuzz/input.h"
#include "tests/testing/small_model.h"

namespace consilium {
namespace {

// Longer than a piece.
std::shared_ptr<const Layout> TheLayout() {
  return *Layout::Create({{"conv.weight", {600}, TensorRole::kParameter},
                          {"bn.running_mean", {5}, TensorRole::kBuffer},
                          {"fc.bias", {7}, TensorRole::kParameter}});
}

StatusOr<std::vector<float>> ApplyInPieces(std::span<const std::byte> file,
                                           const ModelState& base) {
  auto decoder = UpdateDecoder::Create(file);
  if (!decoder.ok()) return decoder.status();
  std::vector<float> values(base.values.size());
  for (std::size_t t = 0; t < base.layout->tensors().size(); ++t) {
    const TensorSpec& tensor = base.layout->tensors()[t];
    decoder->BeginTensor(tensor.role);
    const std::size_t end = base.layout->offset(t) + tensor.NumElements();
    for (std::size_t at = base.layout->offset(t); at < end; at += UpdateDecoder::kStride) {
      const std::size_t count = std::min(UpdateDecoder::kStride, end - at);
      CSL_RETURN_IF_ERROR(decoder->NextAll(std::span(base.values).subspan(at, count),
                                           std::span(values).subspan(at, count)));
    }
    CSL_RETURN_IF_ERROR(decoder->EndTensor());
  }
  CSL_RETURN_IF_ERROR(decoder->End());
  return values;
}

// The file's bytes come a few at a time.
StatusOr<std::vector<float>> ApplyAsTheyCome(std::span<const std::byte> file,
                                             const ModelState& base) {
  const auto head = UpdateDecoder::HeadBytes(file);
  auto decoder = UpdateDecoder::Create(file.first(std::min(file.size(), head.value_or(0))));
  if (!decoder.ok()) return decoder.status();
  auto rest = file.subspan(*head);
  auto feed = [&, size = std::size_t{0}]() mutable {
    size = size % 11 + 1;
    const auto next = rest.first(std::min(size, rest.size()));
    rest = rest.subspan(next.size());
    decoder->Feed(next);
    return !next.empty();
  };
  std::vector<float> values(base.values.size());
  for (std::size_t t = 0; t < base.layout->tensors().size(); ++t) {
    const TensorSpec& tensor = base.layout->tensors()[t];
    decoder->BeginTensor(tensor.role);
    std::size_t at = base.layout->offset(t);
    const std::size_t end = at + tensor.NumElements();
    while (at < end) {
      CSL_ASSIGN_OR_RETURN(const std::size_t decoded,
                           decoder->Next(std::span(base.values).subspan(at, end - at),
                                         std::span(values).subspan(at, end - at)));
      at += decoded;
      if (at < end && !feed()) return InvalidArgument("cut short");
    }
    while (true) {
      CSL_ASSIGN_OR_RETURN(const bool at_end, decoder->AtTensorEnd());
      if (at_end) break;
      if (!feed()) return InvalidArgument("cut short");
    }
  }
  do {
    CSL_RETURN_IF_ERROR(decoder->AtEnd().status());
  } while (feed());
  CSL_RETURN_IF_ERROR(decoder->End());
  return values;
}

}  // namespace
}  // namespace consilium

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  static const ModelState base = testing::RandomState(TheLayout(), 1);
  const auto file = AsBytes(fuzz::AsText(data, size));
  const auto whole = ApplyUpdate(file, *base.layout, base.values);
  for (const auto& other : {ApplyInPieces(file, base), ApplyAsTheyCome(file, base)}) {
    fuzz::Require(whole.ok() == other.ok());
    if (!whole.ok()) continue;
    fuzz::Require(whole->size() == base.values.size());
    fuzz::Require(std::memcmp(whole->data(), other->data(), whole->size() * sizeof(float)) == 0);
  }
  return 0;
}
