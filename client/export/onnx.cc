#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <functional>
#include <map>
#include <set>

#include "client/export/formats_internal.h"

namespace consilium {
namespace {

using torch::jit::Node;
using torch::jit::Value;
using Dims = std::vector<std::int64_t>;

constexpr int kIrVersion = 7;
constexpr int kOpset = 13;

// What ONNX cannot say of a network.
Status Unsayable(const Node* node, const char* why) {
  return FailedPrecondition("ONNX cannot say '{}': {}", node->kind().toQualString(), why);
}

// A list or a number that is written into the recording.
Dims IntsOf(const Value* value) {
  if (const auto constant = torch::jit::toIValue(value)) return constant->toIntVector();
  Dims ints;
  for (const Value* item : value->node()->inputs()) {
    ints.push_back(torch::jit::toIValue(item)->toInt());
  }
  return ints;
}
// Of a height and a width; one number stands for both.
Dims PairOf(const Value* value) {
  const Dims ints = IntsOf(value);
  return ints.size() == 1 ? Dims{ints[0], ints[0]} : ints;
}
double NumberOf(const Value* value) { return torch::jit::toIValue(value)->toScalar().toDouble(); }
std::int64_t IntOf(const Value* value) { return torch::jit::toIValue(value)->toInt(); }
bool BoolOf(const Value* value) { return torch::jit::toIValue(value)->toBool(); }

Dims ShapeOf(const Value* value) {
  return *value->type()->expect<c10::TensorType>()->sizes().concrete_sizes();
}

// Writes a recording's nodes, one after another, as ONNX's.
class Writer {
 public:
  explicit Writer(onnx::GraphProto& graph) : graph_(graph) {}

  void Name(const Value* value, std::string name) { names_[value] = std::move(name); }
  const std::string& NameOf(const Value* value) const { return names_.at(value); }

  // A tensor of the network by its name.
  std::string AddTensor(const std::string& name, const torch::Tensor& tensor) {
    if (!shapes_.try_emplace(name, tensor.sizes().vec()).second) return name;
    const torch::Tensor plain = tensor.detach().to(torch::kFloat32).contiguous();
    onnx::TensorProto& proto = *graph_.add_initializer();
    proto.set_name(name);
    proto.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t side : plain.sizes()) proto.add_dims(side);
    proto.set_raw_data(plain.data_ptr<float>(), plain.nbytes());
    return name;
  }
  std::string AddInts(const Dims& ints) {
    const std::string name = Fresh("shape");
    onnx::TensorProto& proto = *graph_.add_initializer();
    proto.set_name(name);
    proto.set_data_type(onnx::TensorProto::INT64);
    proto.add_dims(static_cast<std::int64_t>(ints.size()));
    for (const std::int64_t value : ints) proto.add_int64_data(value);
    return name;
  }
  std::string Fresh(const std::string& stem) { return fmt::format("{}_{}", stem, ++fresh_); }

  // A node of one output, which gets a name of its own.
  std::string Add(const std::string& type, const std::vector<std::string>& inputs,
                  const std::function<void(onnx::NodeProto&)>& attributes = {}) {
    onnx::NodeProto& node = *graph_.add_node();
    node.set_op_type(type);
    node.set_name(Fresh(type));
    for (const std::string& input : inputs) node.add_input(input);
    node.add_output(node.name() + "_out");
    if (attributes) attributes(node);
    return node.output(0);
  }

  Status Write(const Node* node);

 private:
  Status WriteConvolution(const Node* node);
  Status WritePool(const Node* node, const std::string& type);
  Status WriteAdaptivePool(const Node* node);
  void WriteGroupNorm(const Node* node);
  std::string AddHardSigmoid(const std::string& input);
  void WriteProduct(const Node* node);

  onnx::GraphProto& graph_;
  std::map<const Value*, std::string> names_;
  std::map<std::string, Dims> shapes_;  // of tensors
  std::set<const Value*> transposed_;   // that are named by what they are the transpose of
  int fresh_ = 0;
};

void SetInts(onnx::NodeProto& node, const char* name, const Dims& ints) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : ints) attribute.add_ints(value);
}
void SetInt(onnx::NodeProto& node, const char* name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}
void SetFloat(onnx::NodeProto& node, const char* name, double value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(static_cast<float>(value));
}

void SetText(onnx::NodeProto& node, const char* name, const char* value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

// Above and left, then below and right.
Dims BothSides(const Dims& padding) {
  return {padding.at(0), padding.at(1), padding.at(0), padding.at(1)};
}

// conv(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, …)
Status Writer::WriteConvolution(const Node* node) {
  if (BoolOf(node->input(6))) return Unsayable(node, "a transposed convolution");
  std::vector<std::string> inputs = {NameOf(node->input(0)), NameOf(node->input(1))};
  if (node->input(2)->type()->kind() != c10::TypeKind::NoneType) {
    inputs.push_back(NameOf(node->input(2)));
  }
  const Dims& weight = shapes_.at(inputs[1]);
  Name(node->output(), Add("Conv", inputs, [&](onnx::NodeProto& conv) {
         SetInts(conv, "kernel_shape", {weight.at(2), weight.at(3)});
         SetInts(conv, "strides", PairOf(node->input(3)));
         SetInts(conv, "pads", BothSides(PairOf(node->input(4))));
         SetInts(conv, "dilations", PairOf(node->input(5)));
         SetInt(conv, "group", IntOf(node->input(8)));
       }));
  return OkStatus();
}

// max_pool2d(input, kernel, stride, padding, dilation, ceil_mode), avg_pool2d(input, kernel,
// stride, padding, ceil_mode, …)
Status Writer::WritePool(const Node* node, const std::string& type) {
  const bool is_max = type == "MaxPool";
  if (BoolOf(node->input(is_max ? 5 : 4))) return Unsayable(node, "sizes rounded up");
  const Dims kernel = PairOf(node->input(1));
  const Dims stride = PairOf(node->input(2));
  const Dims padding = PairOf(node->input(3));
  if (!is_max && (padding.at(0) > 0 || padding.at(1) > 0)) return Unsayable(node, "a padded mean");
  Name(node->output(), Add(type, {NameOf(node->input(0))}, [&](onnx::NodeProto& pool) {
         SetInts(pool, "kernel_shape", kernel);
         SetInts(pool, "strides", stride.empty() ? kernel : stride);
         SetInts(pool, "pads", BothSides(padding));
       }));
  return OkStatus();
}

Status Writer::WriteAdaptivePool(const Node* node) {
  const Dims from = ShapeOf(node->input(0));
  const Dims to = PairOf(node->input(1));
  const std::string& input = NameOf(node->input(0));
  if (to == Dims{1, 1}) {
    Name(node->output(), Add("GlobalAveragePool", {input}));
  } else if (from.at(2) == to.at(0) && from.at(3) == to.at(1)) {
    Name(node->output(), input);
  } else if (from.at(2) % to.at(0) == 0 && from.at(3) % to.at(1) == 0) {
    const Dims kernel = {from.at(2) / to.at(0), from.at(3) / to.at(1)};
    Name(node->output(), Add("AveragePool", {input}, [&](onnx::NodeProto& pool) {
           SetInts(pool, "kernel_shape", kernel);
           SetInts(pool, "strides", kernel);
         }));
  } else {
    return Unsayable(node, "feature maps whose side the pooled side does not divide");
  }
  return OkStatus();
}

// group_norm(input, groups, weight, bias, eps, …), which this opset lacks: each group is an
// instance of its own.
void Writer::WriteGroupNorm(const Node* node) {
  const std::int64_t groups = IntOf(node->input(1));
  const Dims shape = ShapeOf(node->input(0));
  const std::string grouped = Add("Reshape", {NameOf(node->input(0)), AddInts({0, groups, -1})});
  const std::string normal =
      Add("InstanceNormalization",
          {grouped, AddTensor(fmt::format("ones_{}", groups), torch::ones({groups})),
           AddTensor(fmt::format("zeros_{}", groups), torch::zeros({groups}))},
          [&](onnx::NodeProto& norm) { SetFloat(norm, "epsilon", NumberOf(node->input(4))); });
  const std::string back =
      Add("Reshape", {normal, AddInts({0, shape.at(1), shape.at(2), shape.at(3)})});
  const Dims per_channel = {1, shape.at(1), 1, 1};
  const std::string scale = Add("Reshape", {NameOf(node->input(2)), AddInts(per_channel)});
  const std::string shift = Add("Reshape", {NameOf(node->input(3)), AddInts(per_channel)});
  Name(node->output(), Add("Add", {Add("Mul", {back, scale}), shift}));
}

// PyTorch's, clip(x + 3, 0, 6) / 6; ONNX's own slope is another.
std::string Writer::AddHardSigmoid(const std::string& input) {
  return Add("HardSigmoid", {input}, [](onnx::NodeProto& sigmoid) {
    SetFloat(sigmoid, "alpha", 1.0 / 6);
    SetFloat(sigmoid, "beta", 0.5);
  });
}

// N x C x H x W times either as much, or weights of channels, N x C x 1 x 1. These are made as wide
// first: OpenCV 4.6 spreads nothing where N is free, and takes the weights' own hard sigmoid for a
// part of a hard swish.
void Writer::WriteProduct(const Node* node) {
  const std::string& images = NameOf(node->input(0));
  std::string weights = NameOf(node->input(1));
  const Dims shape = ShapeOf(node->input(0));
  if (ShapeOf(node->input(1)) != shape) {
    const std::string scales =
        AddTensor(Fresh("scales"),
                  torch::tensor({std::int64_t{1}, std::int64_t{1}, shape.at(2), shape.at(3)}));
    weights = Add("Resize", {weights, /*roi=*/"", scales}, [](onnx::NodeProto& resize) {
      SetText(resize, "mode", "nearest");
      SetText(resize, "nearest_mode", "floor");
      SetText(resize, "coordinate_transformation_mode", "asymmetric");
    });
  }
  Name(node->output(), Add("Mul", {images, weights}));
}

Status Writer::Write(const Node* node) {
  std::string kind = node->kind().toUnqualString();
  if (kind.ends_with('_') && !kind.ends_with("__")) kind.pop_back();  // in place: the same value
  const auto input = [&](std::size_t i) { return NameOf(node->input(i)); };
  if (kind == "_convolution") return WriteConvolution(node);
  if (kind == "max_pool2d") return WritePool(node, "MaxPool");
  if (kind == "avg_pool2d") return WritePool(node, "AveragePool");
  if (kind == "adaptive_avg_pool2d") return WriteAdaptivePool(node);
  if (kind == "group_norm") {
    WriteGroupNorm(node);
  } else if (kind == "batch_norm") {
    Name(node->output(),
         Add("BatchNormalization", {input(0), input(1), input(2), input(3), input(4)},
             [&](onnx::NodeProto& norm) { SetFloat(norm, "epsilon", NumberOf(node->input(7))); }));
  } else if (kind == "relu") {
    Name(node->output(), Add("Relu", {input(0)}));
  } else if (kind == "hardsigmoid") {
    Name(node->output(), AddHardSigmoid(input(0)));
  } else if (kind == "hardswish") {  // which this opset lacks
    Name(node->output(), Add("Mul", {input(0), AddHardSigmoid(input(0))}));
  } else if (kind == "mul") {
    WriteProduct(node);
  } else if (kind == "add") {
    if (NumberOf(node->input(2)) != 1) return Unsayable(node, "a weighted sum");
    Name(node->output(), Add("Add", {input(0), input(1)}));
  } else if (kind == "cat") {
    std::vector<std::string> parts;
    for (const Value* part : node->input(0)->node()->inputs()) parts.push_back(NameOf(part));
    Name(node->output(), Add("Concat", parts, [&](onnx::NodeProto& concat) {
           SetInt(concat, "axis", IntOf(node->input(1)));
         }));
  } else if (kind == "flatten") {
    if (IntOf(node->input(1)) != 1) return Unsayable(node, "another axis than the first");
    Name(node->output(), Add("Flatten", {input(0)}));
  } else if (kind == "t") {  // the weights of a dense layer, which follows
    transposed_.insert(node->output());
    Name(node->output(), input(0));
  } else if (kind == "addmm") {  // (bias, x, weights)
    if (!transposed_.contains(node->input(2))) return Unsayable(node, "weights as they lie");
    Name(node->output(), Add("Gemm", {input(1), input(2), input(0)},
                             [](onnx::NodeProto& gemm) { SetInt(gemm, "transB", 1); }));
  } else if (kind == "linear") {
    Name(node->output(), Add("Gemm", {input(0), input(1), input(2)},
                             [](onnx::NodeProto& gemm) { SetInt(gemm, "transB", 1); }));
  } else if (kind == "dropout" || kind == "contiguous") {
    Name(node->output(), input(0));
  } else {
    return Unsayable(node, "this export does not know it");
  }
  return OkStatus();
}

// N x shape, N free.
void Describe(onnx::ValueInfoProto& info, const std::string& name, const Dims& shape) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t side : shape) tensor.mutable_shape()->add_dim()->set_dim_value(side);
}

// The network's tensor that a chain of attributes comes to.
torch::Tensor Find(const torch::jit::Module& module, const std::string& path) {
  torch::jit::Module at = module;
  std::size_t begin = 0;
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    at = at.attr(path.substr(begin, dot - begin)).toModule();
    begin = dot + 1;
  }
  return at.attr(path.substr(begin)).toTensor();
}

Status WriteGraph(const torch::jit::Module& traced, const ModelSpec& spec,
                  onnx::GraphProto& proto) {
  const auto graph = traced.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  proto.set_name(spec.architecture);
  Describe(*proto.add_input(), "images", {spec.channels, spec.input_size, spec.input_size});
  Writer writer(proto);
  writer.Name(graph->inputs().at(1), "images");
  std::map<const Value*, std::string> paths = {{graph->inputs().at(0), ""}};  // of modules
  for (const Node* node : graph->nodes()) {
    const std::string kind = node->kind().toQualString();
    if (kind == "prim::Constant" || kind == "prim::ListConstruct") continue;  // read where used
    if (kind != "prim::GetAttr") {
      CSL_RETURN_IF_ERROR(writer.Write(node));
      continue;
    }
    const std::string& of = paths.at(node->input());
    const std::string name = node->s(c10::attr::name);
    const std::string path = of.empty() ? name : of + "." + name;
    if (node->output()->type()->isSubtypeOf(*c10::TensorType::get())) {
      writer.Name(node->output(), writer.AddTensor(path, Find(traced, path)));
    } else {
      paths[node->output()] = path;
    }
  }
  Describe(*proto.add_output(), "scores", {static_cast<std::int64_t>(spec.classes.size())});
  onnx::NodeProto& last = *proto.add_node();
  last.set_op_type("Identity");
  last.set_name("scores");
  last.add_input(writer.NameOf(graph->outputs().at(0)));
  last.add_output("scores");
  return OkStatus();
}

}  // namespace

StatusOr<std::string> ToOnnx(const torch::jit::Module& traced, const ModelSpec& spec,
                             const std::string& text) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("consilium");
  model.add_opset_import()->set_version(kOpset);
  onnx::StringStringEntryProto& metadata = *model.add_metadata_props();
  metadata.set_key("consilium");
  metadata.set_value(text);
  CSL_RETURN_IF_ERROR(WriteGraph(traced, spec, *model.mutable_graph()));
  onnx::checker::check_model(model);
  return model.SerializeAsString();
}

}  // namespace consilium
