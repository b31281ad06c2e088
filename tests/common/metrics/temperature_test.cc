#include "common/metrics/temperature.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/base/random.h"

namespace consilium {
namespace {

// Labels drawn from softmax(z); what is said of them is softmax(z / said).
Scores Drawn(int images, double said) {
  Random random(5);
  Scores scores{.classes = 3};
  for (int i = 0; i < images; ++i) {
    double z[3];
    double truth[3];
    double sum = 0;
    for (int c = 0; c < 3; ++c) {
      z[c] = 1.5 * random.Normal();
      truth[c] = std::exp(z[c]);
      sum += truth[c];
    }
    double draw = random.Uniform() * sum;
    int label = 0;
    while (label < 2 && draw > truth[label]) draw -= truth[label++];
    double said_sum = 0;
    for (const double value : z) said_sum += std::exp(value / said);
    for (const double value : z) {
      scores.probabilities.push_back(static_cast<float>(std::exp(value / said) / said_sum));
    }
    scores.labels.push_back(label);
    scores.patients.push_back(i);
  }
  return scores;
}

TEST(Temperature, FindsByHowMuchANetworkIsTooSure) {
  EXPECT_NEAR(FitTemperature(Drawn(20000, 1)), 1, 0.03);
  EXPECT_NEAR(FitTemperature(Drawn(20000, 0.4)), 2.5, 0.1);
  EXPECT_NEAR(FitTemperature(Drawn(20000, 2)), 0.5, 0.02);
}

TEST(Temperature, KeepsTheOrderAndTheSum) {
  const Scores scores = Drawn(50, 0.5);
  const Scores softened = AtTemperature(scores, 3);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto before = scores.row(i);
    const auto after = softened.row(i);
    EXPECT_NEAR(after[0] + after[1] + after[2], 1, 1e-5);
    EXPECT_EQ(std::max_element(before.begin(), before.end()) - before.begin(),
              std::max_element(after.begin(), after.end()) - after.begin());
  }
  const Scores same = AtTemperature(scores, 1);
  for (std::size_t i = 0; i < scores.probabilities.size(); ++i) {
    EXPECT_NEAR(same.probabilities[i], scores.probabilities[i], 1e-5);
  }
}

// A few sure mistakes among many right answers: less sure, not surer. The optimum by a fine grid.
TEST(Temperature, SureMistakesMakeItHigher) {
  Scores scores{.classes = 2};
  const auto add = [&](int images, float own) {
    for (int i = 0; i < images; ++i) {
      scores.probabilities.insert(scores.probabilities.end(), {own, 1 - own});
      scores.labels.push_back(0);
      scores.patients.push_back(static_cast<std::int64_t>(scores.labels.size()));
    }
  };
  add(50, 0.99F);
  add(40, 0.6F);
  add(10, 0.01F);
  double best = 0;
  double least = 1e9;
  for (double t = 0.1; t < 10; t += 0.01) {
    double loss = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double z = std::log(scores.row(i)[1] / static_cast<double>(scores.row(i)[0])) / t;
      loss += std::log1p(std::exp(z));
    }
    if (loss < least) {
      least = loss;
      best = t;
    }
  }
  EXPECT_NEAR(FitTemperature(scores), best, 0.02);
  EXPECT_GT(best, 1.5);
}

TEST(Temperature, CrossFittedLossIsBetterThanOfAnOversureNetwork) {
  const Scores scores = Drawn(2000, 0.3);
  EXPECT_LT(Count(CrossFitTemperature(scores)).loss_sum(), 0.9 * Count(scores).loss_sum());
}

TEST(Temperature, OfNothingOrOnePatientIsHarmless) {
  EXPECT_EQ(FitTemperature({.classes = 3}), 1);
  const Scores one = Drawn(1, 1);
  EXPECT_EQ(CrossFitTemperature(one).probabilities, one.probabilities);
}

// All right: as sure as it can be told, and no endless search.
TEST(Temperature, EndsWhereNothingIsWrong) {
  Scores scores{.classes = 2,
                .probabilities = {0.9F, 0.1F, 0.2F, 0.8F},
                .labels = {0, 1},
                .patients = {0, 1}};
  const double temperature = FitTemperature(scores);
  EXPECT_LT(temperature, 0.3);
  EXPECT_LT(Count(AtTemperature(scores, temperature)).loss_sum(), 1e-3);
}

}  // namespace
}  // namespace consilium
