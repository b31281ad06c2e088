#include "common/metrics/report.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "common/base/random.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

struct Scored {
  std::vector<float> p;
  int label;
};

// Scores that lean toward the truth, on the bins' edges so that the histogram loses nothing.
std::vector<Scored> RandomScores(int n, std::uint64_t seed) {
  Random random(seed);
  std::vector<Scored> scores;
  for (int i = 0; i < n; ++i) {
    const int label = static_cast<int>(random.Below(3));
    std::vector<float> p(3, 0);
    int left = Evaluation::kBins;
    for (int c = 0; c < 2; ++c) {
      const int share = static_cast<int>(random.Below(static_cast<std::uint64_t>(left)));
      p[static_cast<std::size_t>((label + (random.Below(3) == 0 ? 1 : 0) + c) % 3)] +=
          static_cast<float>(share) / Evaluation::kBins;
      left -= share;
    }
    p[static_cast<std::size_t>(label)] += static_cast<float>(left) / Evaluation::kBins;
    scores.push_back({p, label});
  }
  return scores;
}

Evaluation Count(const std::vector<Scored>& scores) {
  Evaluation evaluation(3);
  for (const Scored& s : scores) {
    evaluation.Add(s.p, s.label, -std::log(s.p[static_cast<std::size_t>(s.label)] + 1e-3));
  }
  return evaluation;
}

// The definition: over all pairs, wins plus half the ties.
double SlowAuc(const std::vector<Scored>& scores, int positive) {
  const auto score = [&](const Scored& s) {
    return std::min(255, static_cast<int>(s.p[static_cast<std::size_t>(positive)] * 256));
  };
  double wins = 0;
  double pairs = 0;
  for (const Scored& a : scores) {
    if (a.label != positive) continue;
    for (const Scored& b : scores) {
      if (b.label == positive) continue;
      wins += score(a) > score(b) ? 1 : score(a) == score(b) ? 0.5 : 0;
      ++pairs;
    }
  }
  return wins / pairs;
}

TEST(Report, AucAgreesWithItsDefinition) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto scores = RandomScores(300, seed);
    const Report report = Summarise(Count(scores));
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(*report.classes[static_cast<std::size_t>(c)].roc_auc, SlowAuc(scores, c), 1e-12);
    }
  }
}

TEST(Report, SumOverSitesEqualsPooling) {
  const auto all = RandomScores(500, 4);
  const std::vector<Scored> one(all.begin(), all.begin() + 120);
  const std::vector<Scored> two(all.begin() + 120, all.end());
  Evaluation sum = Count(one);
  ASSERT_THAT(sum.Merge(Count(two)), IsOk());
  const Evaluation pooled = Count(all);
  EXPECT_EQ(sum.confusion_counts(), pooled.confusion_counts());
  EXPECT_EQ(sum.histogram_counts(), pooled.histogram_counts());
  EXPECT_NEAR(sum.loss_sum(), pooled.loss_sum(), 1e-9);
}

// Confusion matrix of a worked example, checked by hand.
TEST(Report, FiguresOfAKnownConfusionMatrix) {
  Evaluation evaluation(2);
  const auto add = [&](int truth, int predicted, int times) {
    const std::vector<float> p =
        predicted == 0 ? std::vector<float>{0.9F, 0.1F} : std::vector<float>{0.2F, 0.8F};
    for (int i = 0; i < times; ++i) evaluation.Add(p, truth, 0.5);
  };
  add(0, 0, 8);
  add(0, 1, 2);
  add(1, 0, 5);
  add(1, 1, 85);
  const Report report = Summarise(evaluation);
  EXPECT_DOUBLE_EQ(*report.accuracy, 0.93);
  EXPECT_DOUBLE_EQ(*report.balanced_accuracy, (0.8 + 85.0 / 90) / 2);
  EXPECT_DOUBLE_EQ(*report.loss, 0.5);
  EXPECT_DOUBLE_EQ(*report.classes[0].precision, 8.0 / 13);
  EXPECT_DOUBLE_EQ(*report.classes[0].recall, 0.8);
  EXPECT_DOUBLE_EQ(*report.classes[0].specificity, 85.0 / 90);
  EXPECT_DOUBLE_EQ(*report.classes[0].f1, 16.0 / 23);
  EXPECT_DOUBLE_EQ(*report.classes[0].average_precision, 0.8 * (8.0 / 13) + 0.2 * 0.1);
}

TEST(Report, WhatCountsDoNotDefineIsAbsent) {
  const Report empty = Summarise(Evaluation(3));
  EXPECT_FALSE(empty.accuracy);
  EXPECT_FALSE(empty.balanced_accuracy);

  Evaluation one_class(3);
  one_class.Add(std::vector<float>{0.1F, 0.8F, 0.1F}, 1, 0.2);
  const Report report = Summarise(one_class);
  EXPECT_FALSE(report.classes[0].recall);
  EXPECT_FALSE(report.classes[0].precision);
  EXPECT_FALSE(report.classes[1].roc_auc);
  EXPECT_FALSE(report.classes[1].specificity);
  EXPECT_DOUBLE_EQ(*report.balanced_accuracy, 1);  // over the classes that are there
}

TEST(Report, PairwiseAucLooksAtTwoClassesAlone) {
  Evaluation evaluation(3);
  evaluation.Add(std::vector<float>{0.6F, 0.3F, 0.1F}, 0, 0.1);
  evaluation.Add(std::vector<float>{0.4F, 0.5F, 0.1F}, 1, 0.1);
  evaluation.Add(std::vector<float>{0.9F, 0.0F, 0.1F}, 2, 0.1);
  EXPECT_DOUBLE_EQ(*PairwiseAuc(evaluation, 0, 1), 1);
  EXPECT_DOUBLE_EQ(*PairwiseAuc(evaluation, 0, 2), 0);
}

TEST(Report, WilsonIntervalMatchesPublishedValues) {
  // Newcombe 1998, table I, method 3.
  const Interval a = WilsonInterval(81, 263);
  EXPECT_NEAR(a.low, 0.2553, 5e-5);
  EXPECT_NEAR(a.high, 0.3662, 5e-5);
  const Interval b = WilsonInterval(0, 20);
  EXPECT_NEAR(b.low, 0.0, 5e-5);
  EXPECT_NEAR(b.high, 0.1611, 5e-5);
}

TEST(Evaluation, CountsFromOutsideMustAgree) {
  const Evaluation good = Count(RandomScores(20, 9));
  EXPECT_THAT(Evaluation::FromCounts(3, good.confusion_counts(), good.histogram_counts(), 1.0),
              IsOk());
  auto confusion = good.confusion_counts();
  ++confusion[0];
  EXPECT_THAT(Evaluation::FromCounts(3, confusion, good.histogram_counts(), 1.0),
              StatusIs(testing::kInvalid, HasSubstr("disagree")));
  EXPECT_THAT(Evaluation::FromCounts(2, good.confusion_counts(), good.histogram_counts(), 1.0),
              StatusIs(testing::kInvalid));
  EXPECT_THAT(
      Evaluation::FromCounts(3, good.confusion_counts(), good.histogram_counts(), std::nan("")),
      StatusIs(testing::kInvalid));
  EXPECT_THAT(Evaluation::FromCounts(1 << 20, {}, {}, 0), StatusIs(testing::kInvalid));
  confusion[0] = ~std::uint64_t{0};
  EXPECT_THAT(Evaluation::FromCounts(3, confusion, good.histogram_counts(), 1.0),
              StatusIs(testing::kInvalid));
}

TEST(Evaluation, DifferentClassesDoNotSum) {
  Evaluation three(3);
  EXPECT_THAT(three.Merge(Evaluation(2)), StatusIs(testing::kInvalid));
  EXPECT_THAT(three.Merge(Evaluation()), IsOk());
}

TEST(Goodness, IsTheFigureOfThatName) {
  Evaluation evaluation(2);
  evaluation.Add(std::vector<float>{0.8F, 0.2F}, 0, 0.5);
  evaluation.Add(std::vector<float>{0.6F, 0.4F}, 1, 1.5);
  const Report report = Summarise(evaluation);
  const std::vector<std::string> classes = {"covid", "normal"};
  EXPECT_EQ(*Goodness(report, classes, "accuracy"), 0.5);
  EXPECT_EQ(*Goodness(report, classes, "loss"), -1);
  EXPECT_EQ(*Goodness(report, classes, "recall:covid"), 1);
  EXPECT_EQ(*Goodness(report, classes, "recall:normal"), 0);
  EXPECT_EQ(*Goodness(report, classes, "roc_auc:covid"), 1);
  for (const char* wrong : {"", "auc", "recall", "recall:flu", "accuracy:covid", ":covid"}) {
    EXPECT_EQ(Goodness(report, classes, wrong).status().code(), absl::StatusCode::kInvalidArgument)
        << wrong;
  }
  EXPECT_EQ(Goodness(Summarise(Evaluation(2)), classes, "accuracy").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace consilium
