#include "client/main/prediction_printer.h"

#include <nlohmann/json.hpp>

#include "client/infer/prediction_json.h"
#include "client/main/json_text.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kAbstains[] = "abstains";

// A CSV field, quoted where it must be (RFC 4180, section 2).
std::string QuoteCsv(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

}  // namespace

PredictionPrinter::PredictionPrinter(std::string format, const Predictor& predictor)
    : format_(std::move(format)),
      classes_(predictor.spec().classes),
      is_judged_(predictor.calibration().has_value()) {
  std::string columns;
  if (format_ == "table") {
    for (const std::string& name : classes_) columns += fmt::format("{:>11}", name);
    if (is_judged_) {
      columns += fmt::format("  called at {:.0f}% specificity",
                             100 * predictor.calibration()->specificity);
    }
    fmt::print("{:<48}{:<12}{}\n", "image", "prediction", columns);
  } else if (format_ == "csv") {
    for (const std::string& name : classes_) columns += QuoteCsv("p_" + name) + ",";
    for (const std::string& name : classes_) columns += QuoteCsv("spread_" + name) + ",";
    fmt::print("path,prediction,{}called,abstains,distance,energy,layout_distance\n", columns);
  }
}

void PredictionPrinter::Print(const StatusOr<Prediction>& result) {
  if (!result.ok()) {
    ++failures_;
    fmt::print(stderr, "left out: {}\n", std::string(result.status().message()));
  } else if (format_ == "json") {
    PrintJson(*result);
  } else if (format_ == "csv") {
    PrintLine(*result);
  } else {
    PrintRow(*result);
  }
}

std::string PredictionPrinter::Decision(const Prediction& prediction) const {
  return Abstains(prediction) ? kAbstains
                              : classes_[static_cast<std::size_t>(prediction.predicted)];
}

void PredictionPrinter::PrintRow(const Prediction& prediction) const {
  const std::string path = prediction.path.string();
  fmt::print("{:<48}{:<12}", path.size() > 46 ? "…" + path.substr(path.size() - 45) : path,
             Decision(prediction));
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    const float p = 100 * prediction.probabilities[c];
    if (prediction.spread.empty()) {
      fmt::print("{:>10.1f}%", p);
    } else {
      fmt::print("{:>11}", fmt::format("{:.1f}±{:.1f}%", p, 100 * prediction.spread[c]));
    }
  }
  if (Abstains(prediction)) {
    fmt::print("  unlike what the model knows");
  } else if (is_judged_) {
    fmt::print("  {}", fmt::join(CalledClasses(prediction, classes_), ", "));
  }
  fmt::print("\n");
}

void PredictionPrinter::PrintLine(const Prediction& prediction) const {
  fmt::print("{},{}", QuoteCsv(prediction.path.string()), QuoteCsv(Decision(prediction)));
  for (const float p : prediction.probabilities) fmt::print(",{:.6f}", p);
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (prediction.spread.empty()) {
      fmt::print(",");
    } else {
      fmt::print(",{:.6f}", prediction.spread[c]);
    }
  }
  if (prediction.judgement) {
    fmt::print(",{},{},{:.6f},{:.6f},{:.6f}\n",
               QuoteCsv(fmt::format("{}", fmt::join(CalledClasses(prediction, classes_), ";"))),
               Abstains(prediction), prediction.judgement->distance, prediction.judgement->energy,
               prediction.judgement->layout_distance);
  } else {
    fmt::print(",,,,,\n");
  }
}

void PredictionPrinter::PrintJson(const Prediction& prediction) const {
  Json json = {{"path", prediction.path.string()}};
  json.update(ToJson(prediction, classes_));
  fmt::print("{}\n", ToText(json));
}

}  // namespace consilium
