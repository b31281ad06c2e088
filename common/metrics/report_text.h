#pragma once

// A report as JSON and as a table, the same at every place that shows one.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/metrics/report.h"

namespace consilium {

// Figures that the counts do not define are null. `classes` are the names, in the model's order.
nlohmann::ordered_json ReportToJson(const Evaluation& evaluation,
                                    const std::vector<std::string>& classes);

// A line of overall figures, a row a class, and the confusion matrix.
std::string ReportToText(const Evaluation& evaluation, const std::vector<std::string>& classes);

}  // namespace consilium
