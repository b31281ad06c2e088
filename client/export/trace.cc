#include <torch/csrc/jit/frontend/tracer.h>

#include "client/export/formats_internal.h"
#include "client/nn/network_internal.h"

namespace consilium {
namespace {

// The child of a module by name, made where there is none yet.
torch::jit::Module ChildOf(torch::jit::Module& parent, const std::string& name,
                           const std::string& path) {
  if (parent.hasattr(name)) return parent.attr(name).toModule();
  torch::jit::Module child(c10::QualifiedName("__torch__.consilium." + path),
                           parent._ivalue()->compilation_unit());
  child.register_attribute("training", c10::BoolType::get(), false);
  parent.register_module(name, child);
  return child;
}

// A class name that TorchScript can say: "layer1.0.conv1" becomes "m_layer1_m_0_m_conv1".
std::string ClassOf(const std::string& path) {
  std::string name = "m_";
  for (const char c : path) name += c == '.' ? std::string("_m_") : std::string(1, c);
  return name;
}

void Register(torch::jit::Module& root, const TensorSpec& spec, const torch::Tensor& tensor) {
  torch::jit::Module module = root;
  std::size_t begin = 0;
  for (std::size_t dot = spec.name.find('.'); dot != std::string::npos;
       dot = spec.name.find('.', begin)) {
    module =
        ChildOf(module, spec.name.substr(begin, dot - begin), ClassOf(spec.name.substr(0, dot)));
    begin = dot + 1;
  }
  const std::string name = spec.name.substr(begin);
  if (tensor.requires_grad()) {
    module.register_parameter(name, tensor, /*is_buffer=*/false);
  } else {
    module.register_buffer(name, tensor);
  }
}

}  // namespace

torch::jit::Module Trace(const Network& network) {
  const Network::Impl& impl = network.impl();
  impl.module->eval();
  torch::jit::Module root("__torch__.consilium.Network");
  root.register_attribute("training", c10::BoolType::get(), false);
  for (std::size_t i = 0; i < impl.tensors.size(); ++i) {
    Register(root, impl.layout->tensors()[i], impl.tensors[i]);
  }
  const torch::Tensor example =
      torch::zeros({1, impl.spec.channels, impl.spec.input_size, impl.spec.input_size});
  const torch::NoGradGuard no_grad;
  const auto forward = [&](torch::jit::Stack inputs) -> torch::jit::Stack {
    return {impl.module->Forward(inputs.at(0).toTensor())};
  };
  const auto no_name = [](const torch::autograd::Variable&) { return std::string(); };
  const auto [state, outputs] =
      torch::jit::tracer::trace({example}, forward, no_name, /*strict=*/true,
                                /*force_outplace=*/true, &root, {"images"});
  torch::jit::Function* function = root._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*root.type()->name(), "forward"), state->graph);
  root.type()->addMethod(function);
  return root;
}

}  // namespace consilium
