#include "common/model/layout.h"

#include <algorithm>
#include <array>
#include <set>

namespace consilium {
namespace {

constexpr std::array<std::string_view, 4> kRoleNames = {"parameter", "buffer", "counter", "local"};

// The tensor's size, or an error for one that no model can have.
StatusOr<std::size_t> CheckedNumElements(const TensorSpec& tensor) {
  std::size_t count = 1;
  for (const std::int64_t dimension : tensor.shape) {
    if (dimension < 0) {
      return InvalidArgument("tensor {}: negative dimension in {}", tensor.name,
                             FormatShape(tensor.shape));
    }
    const auto factor = static_cast<std::size_t>(dimension);
    if (factor != 0 && count > Layout::kMaxElements / factor) {
      return InvalidArgument("tensor {}: shape {} is too large", tensor.name,
                             FormatShape(tensor.shape));
    }
    count *= factor;
  }
  return count;
}

}  // namespace

std::string_view TensorRoleName(TensorRole role) {
  return kRoleNames[static_cast<std::size_t>(role)];
}

StatusOr<TensorRole> ParseTensorRole(std::string_view name) {
  const auto found = std::find(kRoleNames.begin(), kRoleNames.end(), name);
  if (found == kRoleNames.end()) return InvalidArgument("unknown tensor role '{}'", name);
  return static_cast<TensorRole>(found - kRoleNames.begin());
}

std::size_t TensorSpec::NumElements() const {
  std::size_t count = 1;
  for (const std::int64_t dimension : shape) count *= static_cast<std::size_t>(dimension);
  return count;
}

StatusOr<std::shared_ptr<const Layout>> Layout::Create(std::vector<TensorSpec> tensors) {
  std::set<std::string_view> names;
  std::size_t total = 0;
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name.empty()) return InvalidArgument("a tensor has no name");
    if (!names.insert(tensor.name).second) {
      return InvalidArgument("tensor {} appears twice", tensor.name);
    }
    CSL_ASSIGN_OR_RETURN(const std::size_t count, CheckedNumElements(tensor));
    total += count;
    if (total > kMaxElements) {
      return InvalidArgument("the model has more than {} elements", kMaxElements);
    }
  }
  return std::shared_ptr<const Layout>(new Layout(std::move(tensors)));
}

Layout::Layout(std::vector<TensorSpec> tensors) : tensors_(std::move(tensors)) {
  offsets_.reserve(tensors_.size());
  for (const TensorSpec& tensor : tensors_) {
    offsets_.push_back(size_);
    size_ += tensor.NumElements();
  }
}

Status CheckSameLayout(const Layout& want, const Layout& got) {
  const std::size_t common = std::min(want.tensors().size(), got.tensors().size());
  for (std::size_t i = 0; i < common; ++i) {
    const TensorSpec& a = want.tensors()[i];
    const TensorSpec& b = got.tensors()[i];
    if (a.name != b.name) {
      return InvalidArgument("tensor {} is named {}, want {}", i, b.name, a.name);
    }
    if (a.shape != b.shape) {
      return InvalidArgument("tensor {} has shape {}, want {}", a.name, FormatShape(b.shape),
                             FormatShape(a.shape));
    }
    if (a.role != b.role) {
      return InvalidArgument("tensor {} has role {}, want {}", a.name, TensorRoleName(b.role),
                             TensorRoleName(a.role));
    }
  }
  if (want.tensors().size() > common) {
    return InvalidArgument("tensor {} is missing", want.tensors()[common].name);
  }
  if (got.tensors().size() > common) {
    return InvalidArgument("tensor {} is not part of the model", got.tensors()[common].name);
  }
  return OkStatus();
}

std::string FormatShape(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace consilium
