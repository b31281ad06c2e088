#pragma once

// Predictions as people and programs read them.

#include <string>
#include <vector>

#include "client/infer/predictor.h"
#include "common/base/status.h"

namespace consilium {

// Prints to stdout: "table", "csv" with a heading, or "json", a line an image. Images that could
// not be read go to stderr.
class PredictionPrinter {
 public:
  PredictionPrinter(std::string format, const Predictor& predictor);

  void Print(const StatusOr<Prediction>& result);

  std::size_t failures() const { return failures_; }

 private:
  void PrintRow(const Prediction& prediction) const;   // of the table
  void PrintLine(const Prediction& prediction) const;  // of the CSV
  void PrintJson(const Prediction& prediction) const;
  // "covid", or that the model abstains.
  std::string Decision(const Prediction& prediction) const;

  const std::string format_;
  const std::vector<std::string> classes_;
  const bool is_judged_;
  std::size_t failures_ = 0;
};

}  // namespace consilium
