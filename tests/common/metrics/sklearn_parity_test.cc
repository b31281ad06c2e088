// Every figure of a report against scikit-learn's, on random and on degenerate cases.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/random.h"
#include "common/metrics/report_text.h"
#include "tests/testing/python.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

// n examples of the classes in `labels`, with probabilities that lean towards the truth by
// `skill` and lie at the centres of the histogram's bins, so that nothing is lost in it.
Json Case(int n, const std::vector<int>& labels, double skill, std::uint64_t seed) {
  Random random(seed);
  Evaluation evaluation(3);
  Json truths = Json::array();
  Json scores = Json::array();
  for (int i = 0; i < n; ++i) {
    const int label = labels[random.Below(labels.size())];
    std::vector<float> p;
    for (int c = 0; c < 3; ++c) {
      const double raw =
          std::min(1.0, 0.5 * random.Uniform() + (c == label ? skill * random.Uniform() : 0));
      p.push_back((std::floor(static_cast<float>(raw) * 255.0F) + 0.5F) / 256);
    }
    evaluation.Add(p, label, 0);
    truths.push_back(label);
    scores.push_back(p);
  }
  return {{"labels", truths},
          {"scores", scores},
          {"report", ReportToJson(evaluation, {"a", "b", "c"})}};
}

TEST(ReportParity, EveryFigureIsScikitLearns) {
  if (!testing::PythonHas("sklearn")) GTEST_SKIP() << "python3-sklearn is not installed";
  Json cases = Json::array();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    cases.push_back(
        Case(50 + static_cast<int>(20 * seed), {0, 1, 2}, 0.05 * static_cast<double>(seed), seed));
  }
  cases.push_back(Case(400, {0, 1, 1, 1, 1, 1, 1, 1, 1, 2}, 0.3, 31));  // few of a class
  cases.push_back(Case(60, {0, 2}, 0.3, 32));                           // none of a class
  cases.push_back(Case(60, {1}, 0.3, 33));                              // one class
  cases.push_back(Case(1, {1}, 0.5, 34));
  cases.push_back(Case(2, {0, 1}, 0.5, 35));
  cases.push_back(Case(90, {0, 1, 2}, 0, 36));  // no skill at all
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "cases.json", cases.dump()), testing::IsOk());
  EXPECT_TRUE(
      testing::RunPython("common/metrics/sklearn_parity.py", (folder / "cases.json").string()));
}

}  // namespace
}  // namespace consilium
