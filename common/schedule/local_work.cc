#include "common/schedule/local_work.h"

#include <cmath>
#include <numbers>

namespace consilium {

Schedule ScheduleOf(std::string_view name) {
  if (name == "cosine") return Schedule::kCosine;
  if (name == "one_cycle") return Schedule::kOneCycle;
  return Schedule::kConstant;
}

double RateFactor(Schedule schedule, double warmup, double progress) {
  if (schedule == Schedule::kOneCycle) {
    constexpr double kFirst = 1.0 / 25;  // of the highest rate
    constexpr double kLast = kFirst / 1e4;
    const auto between = [](double from, double to, double part) {
      return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part));
    };
    if (progress < warmup) return between(kFirst, 1, progress / warmup);
    return warmup < 1 ? between(1, kLast, (progress - warmup) / (1 - warmup)) : 1;
  }
  if (progress < warmup) return progress / warmup;
  if (schedule == Schedule::kConstant || warmup >= 1) return 1;
  return 0.5 * (1 + std::cos(std::numbers::pi * (progress - warmup) / (1 - warmup)));
}

double RateFactorOfRound(Schedule schedule, double warmup, int round, int rounds) {
  return RateFactor(schedule, warmup, (round - 0.5) / rounds);
}

double LocalProgress(std::uint64_t steps, double momentum) {
  const auto tau = static_cast<double>(steps);
  if (momentum == 0) return tau;
  return (tau - momentum * (1 - std::pow(momentum, tau)) / (1 - momentum)) / (1 - momentum);
}

}  // namespace consilium
