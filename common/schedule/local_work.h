#pragma once

// How far a hospital's local steps carry a model: what its trainer follows, and what the
// coordinator divides by.

#include <cstdint>
#include <string_view>

namespace consilium {

enum class Schedule : std::uint8_t { kConstant, kCosine, kOneCycle };  // of the learning rate

// As a checked plan names it: cosine, one_cycle, or else constant.
Schedule ScheduleOf(std::string_view name);

// The factor on the learning rate at a point of the whole run: linear warm-up, then constant or
// half a cosine down to 0 (Loshchilov and Hutter, ICLR 2017, equation 5 with one period). One
// cycle: half a cosine up from 1/25 over the warm-up, then one down to 1/250,000 (Smith and Topin,
// 2019, section 3, with PyTorch's figures). Warm-up and progress are in [0, 1].
double RateFactor(Schedule schedule, double warmup, double progress);
// The same in the middle of a run's round; 1 is the first.
double RateFactorOfRound(Schedule schedule, double warmup, int round, int rounds);

// By how much `steps` local steps of gradient descent with this momentum move a model, in steps
// without it: the sum of the weights that each step's gradient has in the change (Wang et al.,
// NeurIPS 2020, |a_i| of section 4: tau for momentum 0, else
// (tau - rho (1 - rho^tau) / (1 - rho)) / (1 - rho)). As if the learning rate were the same in all
// steps of a round, which a schedule makes nearly true.
double LocalProgress(std::uint64_t steps, double momentum);

}  // namespace consilium
