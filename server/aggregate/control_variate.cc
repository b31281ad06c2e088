#include "server/aggregate/control_variate.h"

namespace consilium {

void StepControlVariate(std::span<const float> base, std::span<const WeightedUpdate> updates,
                        double participation, std::size_t begin, std::span<float> control) {
  double total = 0;
  for (const WeightedUpdate& update : updates) total += update.terms.weight;
  for (std::size_t i = 0; i < control.size(); ++i) {
    const double x = base[i];
    double mean_gradient = 0;
    for (const WeightedUpdate& update : updates) {
      mean_gradient +=
          update.terms.weight / total * (x - update.at(begin + i, 1)[0]) / update.terms.reach;
    }
    const double c = control[i];
    control[i] = static_cast<float>(c + participation * (mean_gradient - c));
  }
}

}  // namespace consilium
