#include <bit>
#include <cstring>
#include <map>

#include "client/nn/pickle_internal.h"

namespace consilium::pickle {
namespace {

using Values = std::deque<Value>;

template <typename T>
Pointer Make(Values& values, T value) {
  return &values.emplace_back(Value{std::move(value)});
}

template <typename T>
T* As(Pointer pointer) {
  return pointer == nullptr ? nullptr : std::get_if<T>(&pointer->is);
}

StatusOr<std::vector<std::int64_t>> Numbers(Pointer pointer) {
  const auto* sequence = As<Sequence>(pointer);
  if (sequence == nullptr) return InvalidArgument("a shape that is no tuple");
  std::vector<std::int64_t> numbers;
  for (const Pointer& item : sequence->items) {
    const auto* number = As<std::int64_t>(item);
    if (number == nullptr || *number < 0) return InvalidArgument("a shape that is not of numbers");
    numbers.push_back(*number);
  }
  return numbers;
}

// ("storage", type, key, device, size).
StatusOr<Pointer> StorageOf(Values& values, Pointer id) {
  const auto* sequence = As<Sequence>(id);
  if (sequence == nullptr || sequence->items.size() < 5) return InvalidArgument("no storage");
  const auto* type = As<Global>(sequence->items[1]);
  const auto* key = As<std::string>(sequence->items[2]);
  const auto* size = As<std::int64_t>(sequence->items[4]);
  if (type == nullptr || key == nullptr || size == nullptr || *size < 0) {
    return InvalidArgument("a storage that does not say what it is");
  }
  return Make(values, Storage{type->name, *key, *size});
}

StatusOr<Pointer> TensorOf(Values& values, const Sequence& arguments) {
  if (arguments.items.size() < 4) return InvalidArgument("a tensor that is not whole");
  const auto* storage = As<Storage>(arguments.items[0]);
  const auto* offset = As<std::int64_t>(arguments.items[1]);
  if (storage == nullptr || offset == nullptr || *offset < 0) {
    return InvalidArgument("a tensor without a storage");
  }
  Tensor tensor{.storage = *storage, .offset = *offset, .shape = {}, .strides = {}};
  CSL_ASSIGN_OR_RETURN(tensor.shape, Numbers(arguments.items[2]));
  CSL_ASSIGN_OR_RETURN(tensor.strides, Numbers(arguments.items[3]));
  if (tensor.shape.size() != tensor.strides.size()) {
    return InvalidArgument("a tensor whose shape and strides differ");
  }
  return Make(values, std::move(tensor));
}

// What a call of Python would give, for the functions that state dicts are made of.
StatusOr<Pointer> Apply(Values& values, Pointer callee, Pointer arguments) {
  const auto* function = As<Global>(callee);
  const auto* given = As<Sequence>(arguments);
  if (function == nullptr || given == nullptr) return InvalidArgument("a call of no function");
  const std::string name = function->module + "." + function->name;
  if (name == "collections.OrderedDict") return Make(values, Dictionary{});
  if (name == "torch._utils._rebuild_tensor_v2") return TensorOf(values, *given);
  if (name == "torch._utils._rebuild_parameter" && !given->items.empty()) return given->items[0];
  return InvalidArgument("it calls '{}', which no state dict needs: it was not called", name);
}

// A machine with a stack, as pickle has it (Python's Lib/pickletools.py describes each
// instruction).
class Machine {
 public:
  explicit Machine(std::string_view bytes) : bytes_(bytes) {}

  StatusOr<Document> Run() && {
    while (true) {
      CSL_ASSIGN_OR_RETURN(const std::string_view instruction, Take(1));
      if (instruction[0] == '.') break;
      CSL_RETURN_IF_ERROR(Do(instruction[0]));
    }
    CSL_ASSIGN_OR_RETURN(document_.root, Pop());
    return std::move(document_);
  }

 private:
  StatusOr<std::string_view> Take(std::size_t count) {
    if (bytes_.size() - at_ < count) return InvalidArgument("it ends early");
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  // Little-endian.
  template <typename T>
  StatusOr<T> Number() {
    CSL_ASSIGN_OR_RETURN(const std::string_view bytes, Take(sizeof(T)));
    T value{};
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  StatusOr<std::string> Line() {
    const auto end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) return InvalidArgument("it ends early");
    const std::string line(bytes_.substr(at_, end - at_));
    at_ = end + 1;
    return line;
  }
  StatusOr<Pointer> Pop() {
    if (stack_.empty()) return InvalidArgument("it takes what is not there");
    const Pointer top = stack_.back();
    stack_.pop_back();
    return top;
  }
  void Push(Pointer value) { stack_.push_back(value); }
  StatusOr<std::vector<Pointer>> PopToMark() {
    if (marks_.empty() || marks_.back() > stack_.size()) return InvalidArgument("no mark");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    marks_.pop_back();
    std::vector<Pointer> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return items;
  }
  Status PushTuple(std::size_t count) {
    Sequence tuple;
    if (stack_.size() < count) return InvalidArgument("it takes what is not there");
    tuple.items.assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    Push(Make(document_.values, std::move(tuple)));
    return OkStatus();
  }
  Status Put(std::uint32_t place) {
    if (stack_.empty()) return InvalidArgument("it keeps what is not there");
    memo_[place] = stack_.back();
    return OkStatus();
  }
  Status Get(std::uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) return InvalidArgument("it names what was never kept");
    Push(found->second);
    return OkStatus();
  }
  Status PushText(std::size_t length) {
    CSL_ASSIGN_OR_RETURN(const std::string_view text, Take(length));
    Push(Make(document_.values, std::string(text)));
    return OkStatus();
  }
  // Puts pairs, one item after the other, into the dictionary on top.
  Status SetItems(const std::vector<Pointer>& items) {
    auto* dictionary = stack_.empty() ? nullptr : As<Dictionary>(stack_.back());
    if (dictionary == nullptr || items.size() % 2 != 0) return InvalidArgument("no dictionary");
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dictionary->items.emplace_back(items[i], items[i + 1]);
    }
    return OkStatus();
  }
  Status Append(const std::vector<Pointer>& items) {
    auto* list = stack_.empty() ? nullptr : As<Sequence>(stack_.back());
    if (list == nullptr) return InvalidArgument("no list");
    list->items.insert(list->items.end(), items.begin(), items.end());
    return OkStatus();
  }
  Status PushLong(std::size_t length) {
    CSL_ASSIGN_OR_RETURN(const std::string_view bytes, Take(length));
    if (length > 8) return InvalidArgument("a number of {} bytes", length);
    std::uint64_t value = length > 0 && (bytes.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (std::size_t i = length; i > 0; --i) {
      value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
    }
    Push(Make(document_.values, static_cast<std::int64_t>(value)));
    return OkStatus();
  }
  // Big-endian.
  Status PushDouble() {
    CSL_ASSIGN_OR_RETURN(const std::string_view bytes, Take(8));
    std::uint64_t bits = 0;
    for (const char byte : bytes) bits = bits << 8 | static_cast<unsigned char>(byte);
    Push(Make(document_.values, std::bit_cast<double>(bits)));
    return OkStatus();
  }

  Status Do(char instruction) {
    switch (static_cast<unsigned char>(instruction)) {
      case 0x80:  // PROTO
        return Take(1).status();
      case 0x95:  // FRAME
        return Take(8).status();
      case 'N':
        Push(Make(document_.values, None{}));
        return OkStatus();
      case 0x88:
      case 0x89:
        Push(Make(document_.values, instruction == '\x88'));
        return OkStatus();
      case '}':
        Push(Make(document_.values, Dictionary{}));
        return OkStatus();
      case ']':
      case ')':
        Push(Make(document_.values, Sequence{}));
        return OkStatus();
      case '(':
        marks_.push_back(stack_.size());
        return OkStatus();
      case 't': {
        CSL_ASSIGN_OR_RETURN(auto items, PopToMark());
        Push(Make(document_.values, Sequence{std::move(items)}));
        return OkStatus();
      }
      case 0x85:
      case 0x86:
      case 0x87:
        return PushTuple(static_cast<std::size_t>(static_cast<unsigned char>(instruction) - 0x84));
      default:
        return DoValue(instruction);
    }
  }

  Status DoValue(char instruction) {
    switch (static_cast<unsigned char>(instruction)) {
      case 'K': {
        CSL_ASSIGN_OR_RETURN(const auto value, Number<std::uint8_t>());
        Push(Make(document_.values, std::int64_t{value}));
        return OkStatus();
      }
      case 'M': {
        CSL_ASSIGN_OR_RETURN(const auto value, Number<std::uint16_t>());
        Push(Make(document_.values, std::int64_t{value}));
        return OkStatus();
      }
      case 'J': {
        CSL_ASSIGN_OR_RETURN(const auto value, Number<std::int32_t>());
        Push(Make(document_.values, std::int64_t{value}));
        return OkStatus();
      }
      case 0x8a: {
        CSL_ASSIGN_OR_RETURN(const auto length, Number<std::uint8_t>());
        return PushLong(length);
      }
      case 'G':
        return PushDouble();
      case 'X': {
        CSL_ASSIGN_OR_RETURN(const auto length, Number<std::uint32_t>());
        return PushText(length);
      }
      case 0x8c: {
        CSL_ASSIGN_OR_RETURN(const auto length, Number<std::uint8_t>());
        return PushText(length);
      }
      case 'q': {
        CSL_ASSIGN_OR_RETURN(const auto place, Number<std::uint8_t>());
        return Put(place);
      }
      case 'r': {
        CSL_ASSIGN_OR_RETURN(const auto place, Number<std::uint32_t>());
        return Put(place);
      }
      case 0x94:
        return Put(static_cast<std::uint32_t>(memo_.size()));
      case 'h': {
        CSL_ASSIGN_OR_RETURN(const auto place, Number<std::uint8_t>());
        return Get(place);
      }
      case 'j': {
        CSL_ASSIGN_OR_RETURN(const auto place, Number<std::uint32_t>());
        return Get(place);
      }
      default:
        return DoObject(instruction);
    }
  }

  Status DoObject(char instruction) {
    switch (static_cast<unsigned char>(instruction)) {
      case 'c': {
        CSL_ASSIGN_OR_RETURN(const std::string module, Line());
        CSL_ASSIGN_OR_RETURN(const std::string name, Line());
        Push(Make(document_.values, Global{module, name}));
        return OkStatus();
      }
      case 0x93: {
        CSL_ASSIGN_OR_RETURN(const Pointer name, Pop());
        CSL_ASSIGN_OR_RETURN(const Pointer module, Pop());
        if (As<std::string>(name) == nullptr || As<std::string>(module) == nullptr) {
          return InvalidArgument("a global without a name");
        }
        Push(Make(document_.values, Global{*As<std::string>(module), *As<std::string>(name)}));
        return OkStatus();
      }
      case 'Q': {
        CSL_ASSIGN_OR_RETURN(const Pointer id, Pop());
        CSL_ASSIGN_OR_RETURN(const Pointer storage, StorageOf(document_.values, id));
        Push(storage);
        return OkStatus();
      }
      case 'R': {
        CSL_ASSIGN_OR_RETURN(const Pointer arguments, Pop());
        CSL_ASSIGN_OR_RETURN(const Pointer callee, Pop());
        CSL_ASSIGN_OR_RETURN(const Pointer made, Apply(document_.values, callee, arguments));
        Push(made);
        return OkStatus();
      }
      case 'b':  // an object's attributes: a state dict's versions, which nothing here asks for
        return Pop().status();
      case 's': {
        CSL_ASSIGN_OR_RETURN(const Pointer value, Pop());
        CSL_ASSIGN_OR_RETURN(const Pointer key, Pop());
        return SetItems({key, value});
      }
      case 'u': {
        CSL_ASSIGN_OR_RETURN(const auto items, PopToMark());
        return SetItems(items);
      }
      case 'a': {
        CSL_ASSIGN_OR_RETURN(const Pointer item, Pop());
        return Append({item});
      }
      case 'e': {
        CSL_ASSIGN_OR_RETURN(auto items, PopToMark());
        return Append(items);
      }
      default:
        return InvalidArgument("instruction {:#04x} at byte {}, which no state dict needs",
                               static_cast<unsigned>(static_cast<unsigned char>(instruction)),
                               at_ - 1);
    }
  }

  const std::string_view bytes_;
  std::size_t at_ = 0;
  std::vector<Pointer> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, Pointer> memo_;
  Document document_;
};

}  // namespace

StatusOr<Document> Parse(std::string_view bytes) { return Machine(bytes).Run(); }

}  // namespace consilium::pickle
