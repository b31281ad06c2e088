#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/base/random.h"
#include "common/encoding/format_internal.h"
#include "common/encoding/update_encoding.h"
#include "common/model/model_state.h"
#include "consilium/v1/update.pb.h"

namespace consilium {
namespace {

using encoding::kBlock;
using encoding::kSteps;

constexpr int kCompressionLevel = 1;
constexpr std::size_t kSample = std::size_t{1} << 20;
constexpr double kWorthwhile = 0.95;

template <typename T>
void AppendRaw(std::span<const T> values, std::string& data) {
  data.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}
template <typename T>
void AppendRaw(const T& value, std::string& data) {
  AppendRaw(std::span(&value, 1), data);
}

void AppendVarint(std::uint64_t value, std::string& data) {
  for (; value > 0x7f; value >>= 7) data.push_back(static_cast<char>((value & 0x7f) | 0x80));
  data.push_back(static_cast<char>(value));
}

void AppendBfloat16(std::span<const float> changes, std::string& data) {
  for (const float change : changes) AppendRaw(encoding::ToBfloat16(change), data);
}

void AppendInt8(std::span<const float> changes, Random& random, std::string& data) {
  for (; !changes.empty(); changes = changes.subspan(std::min(kBlock, changes.size()))) {
    const auto block = changes.first(std::min(kBlock, changes.size()));
    float largest = 0;
    for (const float change : block) largest = std::max(largest, std::abs(change));
    const float scale = largest / kSteps;
    AppendRaw(scale, data);
    for (const float change : block) {
      const float up = static_cast<float>(random.Next() >> 40) * 0x1p-24F;  // in [0, 1)
      const float exact = scale > 0 ? change / scale : 0;
      const float step = std::clamp(std::floor(exact + up), -kSteps, kSteps);
      data.push_back(static_cast<char>(static_cast<std::int8_t>(step)));
    }
  }
}

// The magnitude from which on a change is among the `count` largest. Of those that are just as
// large, `ties` may go.
struct Threshold {
  float magnitude = 0;
  std::size_t ties = 0;
};
Threshold FindThreshold(std::vector<float> magnitudes, std::size_t count) {
  const auto last = magnitudes.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::ranges::nth_element(magnitudes, last, std::greater<>());
  const float magnitude = *last;
  const auto larger =
      std::count_if(magnitudes.begin(), last, [&](float other) { return other > magnitude; });
  return {magnitude, count - static_cast<std::size_t>(larger)};
}

// Takes what it sends out of the changes.
void AppendTopK(std::span<float> changes, Threshold& threshold, std::string& data) {
  std::vector<std::size_t> sent;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const float magnitude = std::abs(changes[i]);
    if (magnitude < threshold.magnitude || magnitude == 0) continue;
    if (magnitude == threshold.magnitude) {
      if (threshold.ties == 0) continue;
      --threshold.ties;
    }
    sent.push_back(i);
  }
  AppendVarint(sent.size(), data);
  std::size_t next = 0;
  for (const std::size_t i : sent) {
    AppendVarint(i - next, data);
    AppendRaw(std::exchange(changes[i], 0.0F), data);
    next = i + 1;
  }
}

bool IsParameter(const TensorSpec& tensor) { return tensor.role == TensorRole::kParameter; }

// What parameters are changed by, with what was left before; elsewhere 0.
std::vector<float> ChangesOf(const Layout& layout, std::span<const float> base,
                             std::span<const float> update, std::vector<float> residual) {
  std::vector<float> changes = std::move(residual);
  changes.resize(layout.size());
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    if (!IsParameter(layout.tensors()[t])) continue;
    const std::size_t end = layout.offset(t) + layout.tensors()[t].NumElements();
    for (std::size_t i = layout.offset(t); i < end; ++i) changes[i] += update[i] - base[i];
  }
  return changes;
}

Threshold ThresholdOf(const Layout& layout, std::span<const float> changes, double share) {
  std::vector<float> magnitudes;
  magnitudes.reserve(changes.size());
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    if (!IsParameter(layout.tensors()[t])) continue;
    for (const float change :
         changes.subspan(layout.offset(t), layout.tensors()[t].NumElements())) {
      magnitudes.push_back(std::abs(change));
    }
  }
  if (magnitudes.empty()) return {};
  const auto wanted = std::llround(share * static_cast<double>(magnitudes.size()));
  const auto count = static_cast<std::size_t>(std::max<long long>(1, wanted));
  return FindThreshold(std::move(magnitudes), count);
}

std::string Compress(std::string_view data) {
  std::string compressed(ZSTD_compressBound(data.size()), '\0');
  const std::size_t size = ZSTD_compress(compressed.data(), compressed.size(), data.data(),
                                         data.size(), kCompressionLevel);
  compressed.resize(ZSTD_isError(size) != 0 ? compressed.size() : size);
  return compressed;
}

// Judged by a piece of the middle.
bool IsWorthCompressing(std::string_view data) {
  const std::string_view piece =
      data.substr((data.size() - std::min(kSample, data.size())) / 2, kSample);
  return static_cast<double>(Compress(piece).size()) <
         kWorthwhile * static_cast<double>(piece.size());
}

}  // namespace

StatusOr<std::string> EncodeUpdate(const EncodedUpdateHead& head, const Layout& layout,
                                   std::span<const float> base, std::span<const float> update,
                                   const EncodingOptions& options, std::vector<float>& residual) {
  if (!AllFinite(update)) return InvalidArgument("the update has infinite or NaN values");
  std::vector<float> changes = ChangesOf(layout, base, update, std::move(residual));
  residual.clear();
  Threshold threshold;
  if (head.encoding == UpdateEncoding::kTopK) {
    threshold = ThresholdOf(layout, changes, options.top_k);
  }
  Random random(options.seed);
  std::string data;
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const TensorSpec& tensor = layout.tensors()[t];
    const auto part = std::span(changes).subspan(layout.offset(t), tensor.NumElements());
    if (!IsParameter(tensor)) {
      AppendRaw(update.subspan(layout.offset(t), part.size()), data);
    } else if (head.encoding == UpdateEncoding::kBfloat16) {
      AppendBfloat16(part, data);
    } else if (head.encoding == UpdateEncoding::kInt8) {
      AppendInt8(part, random, data);
    } else {
      AppendTopK(part, threshold, data);
    }
  }
  if (head.encoding == UpdateEncoding::kTopK) residual = std::move(changes);

  v1::EncodedUpdate message;
  message.set_run(head.run);
  message.set_round(static_cast<std::uint32_t>(head.round));
  message.set_base_digest(head.base_digest);
  message.set_model_header(head.model_header);
  message.set_encoding(std::string(UpdateEncodingName(head.encoding)));
  message.set_compressed(IsWorthCompressing(data));
  const std::string serialised = message.SerializeAsString();
  std::string file(encoding::kMagic);
  AppendRaw(static_cast<std::uint32_t>(serialised.size()), file);
  file += serialised;
  file += message.compressed() ? Compress(data) : data;
  return file;
}

}  // namespace consilium
