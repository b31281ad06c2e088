#pragma once

// The interface's answers, without a socket: what each call gives for the bytes that it brings.

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "client/data/corrections.h"
#include "client/web/desk.h"
#include "common/base/clock.h"

namespace consilium {

struct ApiAnswer {
  std::string body;
  std::string type = "application/json";
  std::map<std::string, std::string> headers;
};

// The model in use: what it is, who trained it in how many rounds, what it may be asked, and what
// it is not.
ApiAnswer DescribeModel(const Desk& desk, bool takes_corrections);
StatusOr<ApiAnswer> PredictPicture(Desk& desk, const std::string& picture);
// The picture itself, as a PNG that a browser shows; its sides are in headers.
StatusOr<ApiAnswer> ShowPicture(const Desk& desk, const std::string& picture);
// A PNG that lies over it. INVALID_ARGUMENT for a class or method that does not exist; empty: the
// class that the model decides for, Grad-CAM.
StatusOr<ApiAnswer> ExplainPicture(Desk& desk, const std::string& picture, const std::string& of,
                                   const std::string& method, const std::stop_token& stop);
// How much of each lung is affected; as a PNG that lies over the picture, where. UNIMPLEMENTED
// where the desk has no model for it.
StatusOr<ApiAnswer> MeasureExtent(Desk& desk, const std::string& picture);
StatusOr<ApiAnswer> ShowExtent(Desk& desk, const std::string& picture);
// The picture that the calibration knows by this number, as ShowPicture gives it.
StatusOr<ApiAnswer> ShowKnownPicture(const Desk& desk, const std::string& number);

// Writes down what a reader says of a picture, beside what the model says of it. INVALID_ARGUMENT
// for a label that is none of the model's classes; UNIMPLEMENTED where there is no book.
StatusOr<ApiAnswer> CorrectPicture(Desk& desk, const std::optional<CorrectionBook>& book,
                                   const std::string& picture, const std::string& label,
                                   const std::string& reader, TimePoint now);

}  // namespace consilium
