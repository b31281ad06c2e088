#include "server/admission/admission.h"

namespace consilium {

StatusOr<double> CheckUpdate(std::span<const std::byte> file, std::span<const std::byte> base,
                             const ExpectedUpdate& expected, double max_norm) {
  CSL_ASSIGN_OR_RETURN(auto inspection,
                       UpdateInspection::Begin(base, nullptr, expected, file.size()));
  inspection.Append(file);
  CSL_ASSIGN_OR_RETURN(const double norm, inspection.Finish());
  CSL_RETURN_IF_ERROR(CheckNorm(norm, max_norm));
  return norm;
}

Status CheckNorm(double norm, double max_norm) {
  if (max_norm <= 0 || norm <= max_norm) return OkStatus();
  return InvalidArgument("its norm is {:.4g}, the plan allows {:.4g} (admission.max_norm)", norm,
                         max_norm);
}

Status CheckSpec(const ModelSpec& want, const ModelSpec& got) {
  if (got.architecture != want.architecture) {
    return InvalidArgument("architecture is '{}', want '{}'", got.architecture, want.architecture);
  }
  if (got.classes != want.classes) {
    return InvalidArgument("classes are ({}), want ({})", fmt::join(got.classes, ", "),
                           fmt::join(want.classes, ", "));
  }
  if (got != want) {
    return InvalidArgument(
        "input is {}x{}x{} with mean {} stddev {} dropout {}, "
        "want {}x{}x{} with mean {} stddev {} dropout {}",
        got.channels, got.input_size, got.input_size, got.mean, got.stddev, got.dropout,
        want.channels, want.input_size, want.input_size, want.mean, want.stddev, want.dropout);
  }
  return OkStatus();
}

Status CheckInitialModel(std::span<const std::byte> file, const ModelSpec& expected) {
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(file));
  CSL_RETURN_IF_ERROR(CheckSpec(expected, header.info.spec));
  if (AllFinite(ModelValues(header, file))) return OkStatus();
  return InvalidArgument("it has infinite or NaN values");
}

}  // namespace consilium
