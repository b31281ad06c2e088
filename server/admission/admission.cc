#include "server/admission/admission.h"

namespace consilium {
namespace {

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

Status CheckFinite(const ModelHeader& header, std::span<const std::byte> file) {
  if (AllFinite(ModelValues(header, file))) return OkStatus();
  return InvalidArgument("it has infinite or NaN values");
}

}  // namespace

StatusOr<double> CheckUpdate(std::span<const std::byte> file, std::span<const std::byte> base_file,
                             const ExpectedUpdate& expected, double max_norm) {
  CSL_ASSIGN_OR_RETURN(const ModelHeader base, ParseModelHeader(base_file));
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(file));
  const Provenance& provenance = header.info.provenance;
  if (provenance.run != expected.run || provenance.round != expected.round ||
      provenance.parent_digest != expected.base_digest) {
    return InvalidArgument(
        "it is for run '{}' round {} from model {}, want run '{}' round {} from {}", provenance.run,
        provenance.round, provenance.parent_digest, expected.run, expected.round,
        expected.base_digest);
  }
  CSL_RETURN_IF_ERROR(CheckSpec(base.info.spec, header.info.spec));
  const TensorMask frozen =
      FrozenTensors(*base.layout, expected.stages, expected.round, expected.rounds);
  CSL_RETURN_IF_ERROR(CheckSameLayout(*PartOf(*base.layout, Inverse(frozen)), *header.layout));
  CSL_RETURN_IF_ERROR(CheckFinite(header, file));
  const double norm = NormOfChange(*base.layout, ModelValues(base, base_file),
                                   ModelValues(header, file), PlacesWithout(*base.layout, frozen));
  if (max_norm > 0 && !(norm <= max_norm)) {
    return InvalidArgument("its norm is {:.4g}, the plan allows {:.4g} (admission.max_norm)", norm,
                           max_norm);
  }
  return norm;
}

Status CheckInitialModel(std::span<const std::byte> file, const ModelSpec& expected) {
  CSL_ASSIGN_OR_RETURN(const ModelHeader header, ParseModelHeader(file));
  CSL_RETURN_IF_ERROR(CheckSpec(expected, header.info.spec));
  return CheckFinite(header, file);
}

}  // namespace consilium
