#include "common/config/yaml_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <utf8.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <vector>

namespace consilium {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Walks one file; every error says where in it.
class Merger {
 public:
  explicit Merger(std::string_view file) : file_(file) {}

  Status MergeMap(const YAML::Node& node, Message* message) {
    if (!node.IsMap()) return Error(node, "want 'field: value' lines");
    std::set<std::string> seen;
    for (const auto& item : node) {
      const auto name = item.first.as<std::string>();
      const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
      if (field == nullptr) {
        return Error(item.first, fmt::format("unknown field '{}'; known: {}", name,
                                             FieldNames(*message->GetDescriptor())));
      }
      if (!seen.insert(name).second) {
        return Error(item.first, fmt::format("field '{}' appears twice", name));
      }
      CSL_RETURN_IF_ERROR(MergeField(item.second, *field, message));
    }
    return OkStatus();
  }

 private:
  Status Error(const YAML::Node& node, const std::string& what) const {
    return InvalidArgument("{}:{}: {}", file_, node.Mark().line + 1, what);
  }

  // A message holds no other text. YAML lets other bytes pass, and makes some of its own of a NUL.
  Status CheckText(const YAML::Node& node, const FieldDescriptor& field) const {
    if (utf8::is_valid(node.Scalar().begin(), node.Scalar().end())) return OkStatus();
    return Error(node, fmt::format("'{}' is not UTF-8", field.name()));
  }

  static std::string FieldNames(const Descriptor& descriptor) {
    std::vector<std::string> names;
    for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
    return fmt::format("{}", fmt::join(names, ", "));
  }

  Status MergeField(const YAML::Node& node, const FieldDescriptor& field, Message* message) {
    const auto* reflection = message->GetReflection();
    if (field.is_repeated()) return MergeList(node, field, message);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return MergeMap(node, reflection->MutableMessage(message, &field));
    }
    if (!node.IsScalar()) return Error(node, fmt::format("'{}' wants one value", field.name()));
    CSL_RETURN_IF_ERROR(CheckText(node, field));
    try {
      SetScalar(node, field, message);
    } catch (const YAML::Exception&) {
      return Error(node, fmt::format("'{}' cannot be '{}': want {}", field.name(), node.Scalar(),
                                     Wanted(field)));
    }
    return OkStatus();
  }

  // Lists are of text or of messages: no plan has others.
  Status MergeList(const YAML::Node& node, const FieldDescriptor& field, Message* message) {
    if (!node.IsSequence()) return Error(node, fmt::format("'{}' wants a list", field.name()));
    const auto* reflection = message->GetReflection();
    reflection->ClearField(message, &field);
    for (const YAML::Node& item : node) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        CSL_RETURN_IF_ERROR(MergeMap(item, reflection->AddMessage(message, &field)));
        continue;
      }
      if (!item.IsScalar()) {
        return Error(item, fmt::format("'{}' wants a list of names", field.name()));
      }
      CSL_RETURN_IF_ERROR(CheckText(item, field));
      reflection->AddString(message, &field, item.Scalar());
    }
    return OkStatus();
  }

  // Throws YAML::Exception where the text is not of the field's type.
  static void SetScalar(const YAML::Node& node, const FieldDescriptor& field, Message* message) {
    const auto* reflection = message->GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_UINT32:
        RejectSign(node);
        return reflection->SetUInt32(message, &field, node.as<std::uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        RejectSign(node);
        return reflection->SetUInt64(message, &field, node.as<std::uint64_t>());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection->SetDouble(message, &field, node.as<double>());
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->SetBool(message, &field, node.as<bool>());
      default:
        return reflection->SetString(message, &field, node.Scalar());
    }
  }

  // The conversion of "-1" to an unsigned type may wrap around instead of failing.
  static void RejectSign(const YAML::Node& node) {
    if (node.Scalar().starts_with('-')) throw YAML::BadConversion(node.Mark());
  }

  static std::string_view Wanted(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return "a whole number of at least 0";
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return "a number";
      default:
        return "true or false";
    }
  }

  std::string_view file_;
};

}  // namespace

Status MergeYaml(std::string_view file, const std::string& text, Message* message) {
  try {
    const YAML::Node node = YAML::Load(text);
    if (node.IsNull()) return OkStatus();
    return Merger(file).MergeMap(node, message);
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}:{}: {}", file, e.mark.line + 1, e.msg);
  }
}

}  // namespace consilium
