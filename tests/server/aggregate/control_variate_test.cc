#include "server/aggregate/control_variate.h"

#include <gmock/gmock.h>

#include <vector>

#include "server/aggregate/update_terms.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

// Two sites of three took part: x = 1, gradients (x - y) / reach = 2 and -1, weights 3 and 1.
TEST(ControlVariate, StepsAsItsEquationSays) {
  const std::vector<float> base = {9, 1};
  const std::vector<float> a = {9, 0};
  const std::vector<float> b = {9, 3};
  const std::vector<WeightedUpdate> updates = {{a, {.weight = 3, .reach = 0.5}},
                                               {b, {.weight = 1, .reach = 2}}};
  std::vector<float> control = {0.5F};
  StepControlVariate(std::span(base).subspan(1), updates, 2.0 / 3, 1, control);
  const double mean = 0.75 * 2 - 0.25 * 1;
  EXPECT_THAT(control,
              ElementsAre(FloatNear(static_cast<float>(0.5 + 2.0 / 3 * (mean - 0.5)), 1e-6F)));
}

// Where everybody takes part, nothing of the c before is left.
TEST(ControlVariate, IsTheMeanGradientWhereEverySiteDelivers) {
  const std::vector<float> base = {1};
  const std::vector<float> a = {0};
  std::vector<float> control = {100};
  StepControlVariate(base, std::vector<WeightedUpdate>{{a, {.weight = 3, .reach = 0.5}}}, 1, 0,
                     control);
  EXPECT_THAT(control, ElementsAre(2));
}

TEST(UpdateTerms, ReachIsTheRateTimesTheProgress) {
  RunConfig config{.rounds = 4,
                   .local = {.momentum = 0.5, .learning_rate = 0.2, .schedule = Schedule::kCosine}};
  const auto terms = TermsOf(config, 2, {{.examples = 10, .steps = 3}});
  ASSERT_EQ(terms.size(), 1U);
  EXPECT_EQ(terms[0].weight, 10);
  EXPECT_EQ(terms[0].stretch, 1);
  // Steps of 1, 1.5 and 1.75 gradients.
  EXPECT_NEAR(terms[0].reach, 0.2 * RateFactor(Schedule::kCosine, 0, 0.375) * 4.25, 1e-12);
  config.normalise = true;
  const auto nova = TermsOf(config, 2, {{10, 3}, {10, 1}});
  EXPECT_NEAR(nova[0].stretch, (4.25 + 1) / 2 / 4.25, 1e-12);
  EXPECT_NEAR(nova[1].stretch, (4.25 + 1) / 2, 1e-12);
}

}  // namespace
}  // namespace consilium
