#pragma once

// Weights that others have trained: PyTorch's checkpoints and safetensors as a beginning.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "client/nn/network.h"
#include "common/base/status.h"

namespace consilium {

// A tensor of a checkpoint, its values as float32, row-major.
struct CheckpointTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// Reads a state dict: a file of torch.save in the format of PyTorch 1.6 and later (a zip archive),
// as it is or under "state_dict" or "model", of whose program nothing is executed; or safetensors.
// float64, float32, float16, bfloat16 and int64. INVALID_ARGUMENT naming the path for anything
// else.
StatusOr<std::vector<CheckpointTensor>> ReadCheckpoint(const std::filesystem::path& path);

// What became of a checkpoint in a network, by the tensors' names.
struct Adoption {
  std::vector<std::string> taken;
  std::vector<std::string> adapted;  // the first layer, from colour to grey or back
  std::vector<std::string> fresh;    // the head, of other classes; counters that it lacks
  std::vector<std::string> unused;   // of the checkpoint
};

// Puts a checkpoint's values into the network's tensors of the same name. Of a first layer with
// another number of channels, each filter gets what gives the same answer to a grey picture: the
// sum over colours, or a third for each. A last layer of other classes stays as it was drawn.
// INVALID_ARGUMENT naming the first tensor that is missing or has another shape; nothing is changed
// then.
StatusOr<Adoption> Adopt(const std::vector<CheckpointTensor>& checkpoint, Network& network);

}  // namespace consilium
