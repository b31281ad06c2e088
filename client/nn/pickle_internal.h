#pragma once

// What a PyTorch checkpoint's pickle says, without doing what it says: a pickle is a program that
// can call any function of Python; this reads the few instructions that torch.save writes for
// tensors and plain containers, calls nothing, and refuses the rest by name.

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/status.h"

namespace consilium::pickle {

struct Value;
using Pointer = Value*;  // into its document

struct None {};
struct Global {  // "torch._utils" and "_rebuild_tensor_v2": a name, nothing that was looked up
  std::string module;
  std::string name;
};
struct Sequence {  // a tuple or a list
  std::vector<Pointer> items;
};
struct Dictionary {
  std::vector<std::pair<Pointer, Pointer>> items;
};
// Numbers that lie in the archive as data/KEY.
struct Storage {
  std::string type;  // "FloatStorage", …
  std::string key;
  std::int64_t size = 0;  // numbers
};
// A view of a storage.
struct Tensor {
  Storage storage;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

struct Value {
  std::variant<None, bool, std::int64_t, double, std::string, Global, Sequence, Dictionary, Storage,
               Tensor>
      is;
};

// All that was said, and what came of it. It owns its values one by one, so that neither depth nor
// a circle among them matters. The values stay where they are when it is moved.
struct Document {
  std::deque<Value> values;
  Pointer root = nullptr;
};

// INVALID_ARGUMENT for an instruction or a function that a state dict does not need, and for bytes
// that end early. Takes memory in proportion to them.
StatusOr<Document> Parse(std::string_view bytes);

}  // namespace consilium::pickle
