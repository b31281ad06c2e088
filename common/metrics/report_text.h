#pragma once

// A report as JSON and as a table, the same at every place that shows one.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/metrics/breakdown.h"
#include "common/metrics/report.h"
#include "common/metrics/scores.h"

namespace consilium {

// Figures that the counts do not define are null. `classes` are the names, in the model's order.
nlohmann::ordered_json ReportToJson(const Evaluation& evaluation,
                                    const std::vector<std::string>& classes);
// With "by_patient": how many there are, and the intervals that drawing them gives.
nlohmann::ordered_json ReportToJson(const Scores& scores, const std::vector<std::string>& classes);

// A list of {"by", "groups"}; the figures of a group that is too small are null.
nlohmann::ordered_json BreakdownsToJson(const std::vector<Breakdown>& breakdowns);

// A line of overall figures, a row a class, and the confusion matrix.
std::string ReportToText(const Evaluation& evaluation, const std::vector<std::string>& classes);
// With a line of the intervals by patient, and one a class.
std::string ReportToText(const Scores& scores, const std::vector<std::string>& classes);

}  // namespace consilium
