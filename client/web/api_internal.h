#pragma once

// The interface's answers, without a socket: what each call gives for the bytes that it brings.

#include <map>
#include <stop_token>
#include <string>

#include "client/web/desk.h"

namespace consilium {

struct ApiAnswer {
  std::string body;
  std::string type = "application/json";
  std::map<std::string, std::string> headers;
};

// The model in use: what it is, who trained it in how many rounds, what it may be asked, and what
// it is not.
ApiAnswer DescribeModel(const Desk& desk);
StatusOr<ApiAnswer> PredictPicture(Desk& desk, const std::string& picture);
// The picture itself, as a PNG that a browser shows; its sides are in headers.
StatusOr<ApiAnswer> ShowPicture(const Desk& desk, const std::string& picture);
// A PNG that lies over it. INVALID_ARGUMENT for a class or method that does not exist; empty: the
// class that the model decides for, Grad-CAM.
StatusOr<ApiAnswer> ExplainPicture(Desk& desk, const std::string& picture, const std::string& of,
                                   const std::string& method, const std::stop_token& stop);
// The picture that the calibration knows by this number, as ShowPicture gives it.
StatusOr<ApiAnswer> ShowKnownPicture(const Desk& desk, const std::string& number);

}  // namespace consilium
