#include "common/metrics/report_html.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

// Twelve patients with one image each; the last two are called wrongly.
Scores TwelvePatients() {
  Scores scores{.classes = 2};
  for (int i = 0; i < 12; ++i) {
    const int label = i % 2;
    const bool right = i < 10;
    const float own = right ? 0.9F : 0.3F;
    scores.probabilities.push_back(label == 0 ? own : 1 - own);
    scores.probabilities.push_back(label == 1 ? own : 1 - own);
    scores.labels.push_back(label);
    scores.patients.push_back(i);
  }
  return scores;
}

TEST(BreakDown, DescribesGroupsAndKeepsSmallOnesToItself) {
  const std::vector<std::string> names = {"PA", "PA", "PA", "PA", "PA", "PA",
                                          "PA", "AP", "AP", "AP", "",   "PA"};
  const Breakdown breakdown = BreakDown("view", TwelvePatients(), names);
  ASSERT_THAT(breakdown.groups, SizeIs(3));
  EXPECT_EQ(breakdown.groups[0].name, "AP");
  EXPECT_FALSE(breakdown.groups[0].images);
  EXPECT_FALSE(breakdown.groups[0].accuracy);
  EXPECT_EQ(breakdown.groups[1].name, "PA");
  EXPECT_EQ(breakdown.groups[1].images, 8U);
  EXPECT_EQ(breakdown.groups[1].accuracy, 7.0 / 8);
  EXPECT_TRUE(breakdown.groups[1].accuracy_ci);
  EXPECT_EQ(breakdown.groups[2].name, "not given");
}

TEST(AgeBand, IsOfYears) {
  EXPECT_EQ(AgeBand("17"), "under 18");
  EXPECT_EQ(AgeBand("18"), "18-39");
  EXPECT_EQ(AgeBand("59.9"), "40-59");
  EXPECT_EQ(AgeBand("80"), "80 and over");
  for (const char* none : {"", "052Y", "-1", "nan", "old"}) EXPECT_EQ(AgeBand(none), "");
}

TEST(Plots, CurvesBeginAndEndWhereTheyMust) {
  const Plot roc = RocPlot(Count(TwelvePatients()), {"covid", "normal"});
  ASSERT_THAT(roc.series, SizeIs(2));
  EXPECT_THAT(roc.series[0].points.front(), Pair(0, 0));
  EXPECT_THAT(roc.series[0].points.back(), Pair(1, 1));
  const Plot reliability = ReliabilityPlot(Count(TwelvePatients()), {"covid", "normal"});
  // At about 0.1, 0.3, 0.7 and 0.9: none, all, none and all of the class.
  ASSERT_THAT(reliability.series[0].points, SizeIs(4));
  EXPECT_EQ(reliability.series[0].points[0].second, 0);
  EXPECT_EQ(reliability.series[0].points[1].second, 1);
}

TEST(Plots, OfOneClassAreEmpty) {
  Evaluation evaluation(2);
  evaluation.Add(std::vector<float>{0.8F, 0.2F}, 0, 0);
  EXPECT_THAT(RocPlot(evaluation, {"a", "b"}).series, SizeIs(0));
  EXPECT_THAT(ToSvg(RocPlot(evaluation, {"a", "b"})), HasSubstr("</svg>"));
}

TEST(ToHtml, HoldsFiguresLimitsAndNoMarkupOfOthers) {
  const Scores scores = TwelvePatients();
  const std::string html =
      ToHtml({.title = "Evaluation",
              .subject = "<script>alert(1)</script>",
              .classes = {"covid", "a<b"},
              .scores = scores,
              .breakdowns = {BreakDown("site", scores, std::vector<std::string>(12, "one"))}});
  EXPECT_THAT(html, HasSubstr("12 images of 12 patients"));
  EXPECT_THAT(html, HasSubstr("0.833"));  // accuracy
  EXPECT_THAT(html, HasSubstr("Research use only"));
  EXPECT_THAT(html, HasSubstr("By site"));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("a&lt;b"));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
}

TEST(ToHtml, OfARunShowsItsCourseAndTheLastModelBySite) {
  const Evaluation evaluation = Count(TwelvePatients());
  HtmlRun run{.title = "r1 'first'",
              .subject = "COMPLETED",
              .classes = {"covid", "normal"},
              .rounds = 2,
              .models = {}};
  EXPECT_THAT(ToHtml(run), HasSubstr("No model was scored yet"));
  for (int round = 0; round <= 2; ++round) {
    Evaluation pooled = evaluation;
    ASSERT_TRUE(pooled.Merge(evaluation).ok());
    run.models.push_back({.round = round,
                          .sites = {{"north", evaluation}, {"south", evaluation}},
                          .pooled = pooled});
  }
  const std::string html = ToHtml(run);
  EXPECT_THAT(html, HasSubstr("Balanced accuracy"));
  EXPECT_THAT(html, HasSubstr("<td>north</td><td>12</td>"));
  EXPECT_THAT(html, HasSubstr("The model of round 2, all sites"));
  EXPECT_THAT(html, HasSubstr("<td>2</td><td>2</td><td>24</td>"));
}

}  // namespace
}  // namespace consilium
