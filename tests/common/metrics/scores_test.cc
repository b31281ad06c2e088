#include "common/metrics/scores.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/base/random.h"

namespace consilium {
namespace {

using ::testing::DoubleNear;

// Two classes; each patient's images are all right or all wrong, with this chance of being right.
Scores Patients(int patients, int images_each, double right) {
  Random random(7);
  Scores scores{.classes = 2};
  for (int p = 0; p < patients; ++p) {
    const bool hit = random.Uniform() < right;
    for (int i = 0; i < images_each; ++i) {
      const std::int64_t label = p % 2;
      const bool says_one = (label == 1) == hit;
      scores.probabilities.push_back(says_one ? 0.2F : 0.8F);
      scores.probabilities.push_back(says_one ? 0.8F : 0.2F);
      scores.labels.push_back(label);
      scores.patients.push_back(p);
    }
  }
  return scores;
}

double Width(const std::optional<Interval>& interval) { return interval->high - interval->low; }

TEST(Scores, CountIsWhatTheImagesComeTo) {
  const Scores scores{.classes = 2,
                      .probabilities = {0.9F, 0.1F, 0.4F, 0.6F, 1, 0},
                      .labels = {0, 0, 1},
                      .patients = {0, 1, 2}};
  const Evaluation evaluation = Count(scores);
  EXPECT_EQ(evaluation.examples(), 3U);
  EXPECT_EQ(evaluation.confusion(0, 0), 1U);
  EXPECT_EQ(evaluation.confusion(0, 1), 1U);
  EXPECT_EQ(evaluation.confusion(1, 0), 1U);
  // The sure mistake costs -log(1e-12) and not infinity.
  EXPECT_NEAR(evaluation.loss_sum(), -std::log(0.9F) - std::log(0.4F) - std::log(1e-12), 1e-4);
}

// A proportion of independent patients: the bootstrap's interval is the normal one.
TEST(BootstrapByPatient, OfIndependentPatientsIsTheBinomialInterval) {
  const Scores scores = Patients(400, 1, 0.8);
  const PatientIntervals intervals = IntervalsByPatient(scores);
  const double p = *Summarise(Count(scores)).accuracy;
  const double half = 1.96 * std::sqrt(p * (1 - p) / 400);
  EXPECT_EQ(intervals.patients, 400U);
  ASSERT_TRUE(intervals.accuracy);
  EXPECT_NEAR(intervals.accuracy->low, p - half, 0.006);
  EXPECT_NEAR(intervals.accuracy->high, p + half, 0.006);
}

// Ten images of each patient that are right or wrong together say no more than one.
TEST(BootstrapByPatient, ImagesOfOnePatientDoNotCountAsIndependent) {
  const auto ten = IntervalsByPatient(Patients(100, 10, 0.8));
  const auto one = IntervalsByPatient(Patients(100, 1, 0.8));
  EXPECT_THAT(Width(ten.accuracy), DoubleNear(Width(one.accuracy), 0.01));
  EXPECT_GT(Width(ten.accuracy), 0.1);
}

TEST(BootstrapByPatient, SameSeedSameInterval) {
  const Scores scores = Patients(50, 2, 0.7);
  const Figures accuracy = [](const Evaluation& evaluation) {
    return std::vector{Summarise(evaluation).accuracy};
  };
  const auto first = BootstrapByPatient(scores, accuracy, 200, 3);
  const auto again = BootstrapByPatient(scores, accuracy, 200, 3);
  const auto other = BootstrapByPatient(scores, accuracy, 200, 4);
  EXPECT_EQ(first[0]->low, again[0]->low);
  EXPECT_EQ(first[0]->high, again[0]->high);
  EXPECT_NE(first[0]->low, other[0]->low);
}

TEST(BootstrapByPatient, FigureThatIsOftenUndefinedHasNoInterval) {
  // One patient of class 1 among three: a draw in three or so is without it.
  Scores scores = Patients(3, 1, 1);
  const PatientIntervals intervals = IntervalsByPatient(scores);
  EXPECT_TRUE(intervals.accuracy);
  EXPECT_FALSE(intervals.classes[1].recall);
  EXPECT_FALSE(intervals.classes[0].roc_auc);
}

TEST(BootstrapByPatient, OfNothingIsNothing) {
  const PatientIntervals intervals = IntervalsByPatient({.classes = 3});
  EXPECT_EQ(intervals.patients, 0U);
  EXPECT_FALSE(intervals.accuracy);
  EXPECT_EQ(intervals.classes.size(), 3U);
}

TEST(BootstrapByPatient, AreaOfAPerfectScoreIsOneThroughout) {
  const PatientIntervals intervals = IntervalsByPatient(Patients(60, 1, 1));
  EXPECT_THAT(intervals.classes[0].roc_auc->low, 1);
  EXPECT_THAT(intervals.classes[1].roc_auc_against[0]->low, 1);
  EXPECT_FALSE(intervals.classes[1].roc_auc_against[1]);
}

}  // namespace
}  // namespace consilium
