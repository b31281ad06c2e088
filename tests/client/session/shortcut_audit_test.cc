#include "client/session/shortcut_audit.h"

#include <gmock/gmock.h>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "client/session/local.h"
#include "common/base/random.h"
#include "common/config/plan.h"
#include "common/config/site.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// Pictures whose class shows in the "lung", a disc in the middle, or in a corner outside it.
class ShortcutAuditTest : public ::testing::Test {
 protected:
  static constexpr int kSide = 64;

  void Draw(bool in_lung) {
    Random random(1);
    for (int i = 0; i < 40; ++i) {
      const bool covid = i % 2 == 0;
      cv::Mat image(kSide, kSide, CV_8U);
      for (auto it = image.begin<unsigned char>(); it != image.end<unsigned char>(); ++it) {
        *it = static_cast<unsigned char>(60 + random.Below(40));
      }
      const cv::Point centre = in_lung ? cv::Point(32, 32) : cv::Point(6, 6);
      if (covid) cv::circle(image, centre, in_lung ? 12 : 5, 230, cv::FILLED);
      cv::Mat mask = cv::Mat::zeros(kSide, kSide, CV_8U);
      cv::circle(mask, {32, 32}, 18, 255, cv::FILLED);
      const std::string name = fmt::format("{}.png", i);
      Write(fmt::format("images/{}/{}", covid ? "covid" : "normal", name), image);
      Write("masks/" + name, mask);
    }
  }
  void Write(const std::string& name, const cv::Mat& image) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    cv::imwrite((folder_ / name).string(), image);
  }
  // Trains on the pictures and audits on them.
  StatusOr<ShortcutAudit> Audit() {
    v1::RunPlan plan = DefaultPlan();
    plan.set_rounds(8);
    plan.mutable_model()->set_architecture("simple_cnn");
    plan.mutable_model()->set_input_size(kSide);
    plan.mutable_model()->clear_classes();
    plan.mutable_model()->add_classes("covid");
    plan.mutable_model()->add_classes("normal");
    plan.mutable_training()->set_batch_size(8);
    plan.mutable_training()->set_learning_rate(0.03);
    v1::SiteConfig site = DefaultSite();
    site.set_threads(1);
    site.mutable_data()->set_path((folder_ / "images").string());
    CSL_RETURN_IF_ERROR(TrainLocally(plan, site, {}, folder_ / "m", {}, {}, [](const auto&) {}));
    CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(folder_ / "m"));
    CSL_ASSIGN_OR_RETURN(const ScoredImages all, ScoreModel(model, site, {.split = "all"}, {}));
    return AuditShortcuts(model, all, folder_ / "masks", site, {});
  }
  static double Accuracy(const Scores& scores) { return *Summarise(Count(scores)).accuracy; }

  testing::TempFolder folder_;
};

TEST_F(ShortcutAuditTest, LungsAloneAreEnoughForWhoLooksAtLungs) {
  Draw(/*in_lung=*/true);
  ASSERT_OK_AND_ASSIGN(const ShortcutAudit audit, Audit());
  EXPECT_EQ(audit.whole.size(), 40U);
  EXPECT_GT(Accuracy(audit.whole), 0.95);
  EXPECT_LT(Accuracy(audit.without_lungs), 0.7);
  EXPECT_NEAR(audit.lung_area, 3.1416 * 18 * 18 / (kSide * kSide), 0.02);
  ASSERT_TRUE(audit.attention_in_lungs);
}

TEST_F(ShortcutAuditTest, AMarkInTheCornerIsFoundOut) {
  Draw(/*in_lung=*/false);
  ASSERT_OK_AND_ASSIGN(const ShortcutAudit audit, Audit());
  EXPECT_GT(Accuracy(audit.whole), 0.95);
  EXPECT_LT(Accuracy(audit.lungs_alone), 0.7);
}

TEST_F(ShortcutAuditTest, MasksThatAreMissingOrDoNotFitAreSaid) {
  Draw(true);
  std::filesystem::remove(folder_ / "masks/3.png");
  ASSERT_OK_AND_ASSIGN(const ShortcutAudit audit, Audit());
  EXPECT_EQ(audit.without_mask, 1U);
  EXPECT_EQ(audit.whole.size(), 39U);
  Write("masks/5.png", cv::Mat::zeros(32, 32, CV_8U));
  EXPECT_THAT(Audit(), StatusIs(testing::kInvalid, HasSubstr("5.png")));
  std::filesystem::remove_all(folder_ / "masks");
  std::filesystem::create_directory(folder_ / "masks");
  EXPECT_THAT(Audit(), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace consilium
