#pragma once

// A model in the forms that other programs read. What goes in and comes out is the same in each: N
// x C x H x W images as float32, normalised, to N x K scores before the softmax; N is free.
//
// With each goes a text of JSON that says how a picture becomes such an input, and what the scores
// are of (Preprocessing): classes, input_size, channels, mean, stddev, and the model it comes from.

#include <filesystem>
#include <string>

#include "common/base/status.h"
#include "common/model/model_file.h"

namespace consilium {

enum class ExportFormat {
  kOnnx,         // opset 13; the text in the model's metadata, as "consilium"
  kTorchScript,  // loads with torch.jit.load; the text as its extra file "consilium.json". The
                 // tensors have torchvision's names
  kSafetensors,  // tensors by torchvision's names, the text in the metadata, as "consilium"
};

// "onnx", "torchscript", "safetensors". INVALID_ARGUMENT for another name, with those.
StatusOr<ExportFormat> ParseExportFormat(const std::string& name);

// The text: one line of JSON.
std::string Preprocessing(const ModelInfo& info);

// Writes the file whole or not at all. FAILED_PRECONDITION where the format cannot say what the
// network does: ONNX has no average pool to a size that does not divide the feature maps' (vgg16
// wants an input size that is a multiple of 224, simple_cnn of 64).
Status ExportModel(const Model& model, ExportFormat format, const std::filesystem::path& path);

}  // namespace consilium
