#include "server/aggregate/server_optimizer.h"

#include <algorithm>
#include <cmath>

namespace consilium {
namespace {

double NextSquare(ServerOptimizerKind kind, double beta2, double v, double square) {
  switch (kind) {
    case ServerOptimizerKind::kAdagrad:
      return v + square;
    case ServerOptimizerKind::kAdam:
      return beta2 * v + (1 - beta2) * square;
    default: {  // Yogi
      const double sign = v > square ? 1 : v < square ? -1 : 0;
      return v - (1 - beta2) * square * sign;
    }
  }
}

void StepWithMomentum(const ServerOptimizer& optimizer, std::span<const float> base,
                      std::span<float> moments, std::span<float> model) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    const double x = base[i];
    const double m = optimizer.beta1 * moments[i] + (model[i] - x);
    moments[i] = static_cast<float>(m);
    model[i] = static_cast<float>(x + optimizer.learning_rate * m);
  }
}

void StepAdaptively(const ServerOptimizer& optimizer, std::span<const float> base,
                    std::span<float> moments, std::span<float> model) {
  const double beta1 = optimizer.beta1;
  for (std::size_t i = 0; i < model.size(); ++i) {
    const double x = base[i];
    const double change = model[i] - x;
    const double m = beta1 * moments[2 * i] + (1 - beta1) * change;
    const double v =
        NextSquare(optimizer.kind, optimizer.beta2, moments[2 * i + 1], change * change);
    moments[2 * i] = static_cast<float>(m);
    moments[2 * i + 1] = static_cast<float>(v);
    model[i] = static_cast<float>(x + optimizer.learning_rate * m / (std::sqrt(v) + optimizer.tau));
  }
}

}  // namespace

std::size_t MomentsPerElement(ServerOptimizerKind kind) {
  switch (kind) {
    case ServerOptimizerKind::kAverage:
      return 0;
    case ServerOptimizerKind::kMomentum:
    case ServerOptimizerKind::kControlVariate:
      return 1;
    default:
      return 2;
  }
}

void BeginMoments(const ServerOptimizer& optimizer, std::span<float> moments) {
  std::ranges::fill(moments, 0.0F);
  if (MomentsPerElement(optimizer.kind) < 2) return;
  const auto square = static_cast<float>(optimizer.tau * optimizer.tau);
  for (std::size_t i = 1; i < moments.size(); i += 2) moments[i] = square;
}

void StepServer(const ServerOptimizer& optimizer, std::span<const float> base,
                std::span<float> moments, std::span<float> model) {
  if (optimizer.kind == ServerOptimizerKind::kAverage) return;
  if (optimizer.kind == ServerOptimizerKind::kMomentum) {
    StepWithMomentum(optimizer, base, moments, model);
  } else {
    StepAdaptively(optimizer, base, moments, model);
  }
}

}  // namespace consilium
