#pragma once

// The names, shapes and roles of a model's tensors, in order, and where each lies in the flat
// buffer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// What the federation does with a tensor.
enum class TensorRole : std::uint8_t {
  kParameter,  // trained; averaged over the sites
  kBuffer,     // batch-norm statistics; averaged over the sites
  kCounter,    // num_batches_tracked; the largest of the sites' values
  kLocal,      // never leaves the hospital
};

std::string_view TensorRoleName(TensorRole role);
StatusOr<TensorRole> ParseTensorRole(std::string_view name);

struct TensorSpec {
  std::string name;                 // as torchvision names it: "layer1.0.conv1.weight"
  std::vector<std::int64_t> shape;  // empty for a scalar
  TensorRole role = TensorRole::kParameter;

  std::size_t NumElements() const;
  bool operator==(const TensorSpec&) const = default;
};

// Immutable, so it is shared freely between threads.
class Layout {
 public:
  // INVALID_ARGUMENT for an empty or repeated name, a negative dimension, or more than
  // kMaxElements.
  static StatusOr<std::shared_ptr<const Layout>> Create(std::vector<TensorSpec> tensors);

  static constexpr std::size_t kMaxElements = std::size_t{1} << 33;  // 32 GiB of float32

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  // Where tensor i begins in the flat buffer, in elements.
  std::size_t offset(std::size_t i) const { return offsets_[i]; }
  // Elements of the flat buffer.
  std::size_t size() const { return size_; }

  bool operator==(const Layout& other) const { return tensors_ == other.tensors_; }

 private:
  explicit Layout(std::vector<TensorSpec> tensors);

  std::vector<TensorSpec> tensors_;
  std::vector<std::size_t> offsets_;
  std::size_t size_ = 0;
};

// OK if `got` equals `want`; otherwise INVALID_ARGUMENT that names the first tensor that differs.
Status CheckSameLayout(const Layout& want, const Layout& got);

// "[64, 3, 7, 7]".
std::string FormatShape(const std::vector<std::int64_t>& shape);

}  // namespace consilium
