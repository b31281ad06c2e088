#include "common/doctor/diagnosis.h"

#include <algorithm>

namespace consilium {
namespace {

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

}  // namespace

Diagnosis Fine(std::string code, std::string cause) {
  return {Level::kOk, std::move(code), std::move(cause), ""};
}
Diagnosis Warning(std::string code, std::string cause, std::string fix) {
  return {Level::kWarning, std::move(code), std::move(cause), std::move(fix)};
}
Diagnosis Error(std::string code, std::string cause, std::string fix) {
  return {Level::kError, std::move(code), std::move(cause), std::move(fix)};
}

std::string DiagnosesToText(const std::vector<Diagnosis>& diagnoses) {
  std::string text;
  for (const Diagnosis& one : diagnoses) {
    text += fmt::format("{:<8} {:<16} {}\n", LevelName(one.level), one.code, one.cause);
    if (!one.fix.empty()) text += fmt::format("{:<25} to do: {}\n", "", one.fix);
  }
  return text;
}

nlohmann::ordered_json DiagnosesToJson(const std::vector<Diagnosis>& diagnoses) {
  auto list = nlohmann::ordered_json::array();
  for (const Diagnosis& one : diagnoses) {
    list.push_back({{"level", LevelName(one.level)},
                    {"code", one.code},
                    {"cause", one.cause},
                    {"fix", one.fix}});
  }
  return list;
}

Status PrintDiagnoses(const std::vector<Diagnosis>& diagnoses, bool json) {
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  fmt::print("{}", json ? DiagnosesToJson(diagnoses).dump(2, ' ', false, kReplace) + "\n"
                        : DiagnosesToText(diagnoses));
  std::fflush(stdout);
  const auto errors = std::ranges::count(diagnoses, Level::kError, &Diagnosis::level);
  if (errors == 0) return OkStatus();
  return FailedPrecondition("{} to mend, see above",
                            errors == 1 ? "one error" : fmt::format("{} errors", errors));
}

}  // namespace consilium
