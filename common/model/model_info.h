#pragma once

// What a model file says of itself beside its tensors.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// The network and the images it expects: enough to build it and to feed it.
struct ModelSpec {
  std::string architecture;          // "simple_cnn", "resnet18", … (client/nn/network.h)
  int channels = 1;                  // 1 (grey) or 3
  int input_size = 224;              // pixels, square
  std::vector<std::string> classes;  // in the order of the network's outputs
  double mean = 0.5;  // of intensities in [0, 1]: the network sees (x - mean) / stddev
  double stddev = 0.25;
  double dropout = 0.0;  // probability, where the architecture has dropout
  // Which of a DICOM file's values it sees, width of them about the centre, in the file's units
  // (Hounsfield for CT, whose lung window is 1500 about -600). Width 0: as each file says.
  double window_center = 0;
  double window_width = 0;
  // Tensors that each hospital keeps to itself: "norm" is those of every normalisation layer
  // (FedBN; Li et al., ICLR 2021, algorithm 1), anything else those whose name begins with it and a
  // dot ("fc": a head of one's own).
  std::vector<std::string> local_tensors;

  bool operator==(const ModelSpec&) const = default;
};

// A network of the architecture "unet" does not name a picture's class: it says of each pixel which
// of these it is. They are its classes, in this order.
inline constexpr std::array<std::string_view, 3> kTissues = {"elsewhere", "lung", "opacity"};
bool LabelsPixels(const ModelSpec& spec);

// INVALID_ARGUMENT that names the first field out of range. Does not know which architectures
// exist: the client does.
Status CheckModelSpec(const ModelSpec& spec);

// Where a model comes from. All empty for one that no federation made.
struct Provenance {
  std::string run;
  int round = 0;              // 0 is the initial model
  int training_sites = 0;     // how many sites' updates this round averaged
  std::string parent_digest;  // SHA-256 of the model file that the round started from

  bool operator==(const Provenance&) const = default;
};

struct ModelInfo {
  ModelSpec spec;
  Provenance provenance;

  bool operator==(const ModelInfo&) const = default;
};

// The metadata block of a model file: string to string, as safetensors has it. Documented in
// proto/README.md.
using Metadata = std::map<std::string, std::string>;
Metadata EncodeModelInfo(const ModelInfo& info);
// INVALID_ARGUMENT that names the missing or wrong key.
StatusOr<ModelInfo> DecodeModelInfo(const Metadata& metadata);

}  // namespace consilium
