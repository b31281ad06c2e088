#include "client/data/patients.h"

#include <map>
#include <string_view>

namespace consilium {

std::vector<std::int64_t> NumberPatients(const Manifest& examples) {
  std::map<std::string_view, std::int64_t> known;
  std::vector<std::int64_t> numbers;
  numbers.reserve(examples.size());
  std::int64_t next = 0;
  for (const Example& example : examples) {
    if (example.patient.empty()) {
      numbers.push_back(next++);
      continue;
    }
    const auto [patient, is_new] = known.emplace(example.patient, next);
    if (is_new) ++next;
    numbers.push_back(patient->second);
  }
  return numbers;
}

}  // namespace consilium
