#pragma once

// The tensors of a model that a hospital keeps to itself (TensorRole::kLocal).

#include "common/base/status.h"
#include "common/model/model_state.h"

namespace consilium {

bool HasLocalPart(const Layout& layout);

// These tensors alone, with a layout of their own: an empty one where there are none.
ModelState LocalPart(const ModelState& state);

// Puts them in their places. INVALID_ARGUMENT unless `part` has just the local tensors of `state`;
// nothing is changed then.
Status PutLocalPart(const ModelState& part, ModelState& state);

}  // namespace consilium
