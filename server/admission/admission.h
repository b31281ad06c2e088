#pragma once

// What a model file must be before the federation counts it. The file comes from outside: nothing
// in it is believed until it was checked.

#include <span>

#include "common/base/status.h"
#include "common/model/model_file.h"
#include "server/admission/update_inspection.h"

namespace consilium {

// Gives the update's norm: the L2 norm of what it changes in the base model's parameters (buffers
// and counters are not counted). INVALID_ARGUMENT, naming what differs first, unless the file is an
// update of that round in that encoding, with the base model's network and those of its tensors
// that are not frozen, every value finite, and the norm at most `max_norm` (0: any).
StatusOr<double> CheckUpdate(std::span<const std::byte> file, std::span<const std::byte> base,
                             const ExpectedUpdate& expected, double max_norm);

// OK unless the norm is above that.
Status CheckNorm(double norm, double max_norm);

// OK where a model's network is the one that is wanted.
Status CheckSpec(const ModelSpec& want, const ModelSpec& got);

// As CheckUpdate for an initial model: the network must be the plan's, the values finite.
Status CheckInitialModel(std::span<const std::byte> file, const ModelSpec& expected);

}  // namespace consilium
