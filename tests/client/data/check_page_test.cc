#include "client/data/check_page.h"

#include <gmock/gmock.h>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;

class CheckPageTest : public ::testing::Test {
 protected:
  CheckPageTest() {
    std::string csv = "path,label,patient_id,split,site,view\n";
    for (int i = 0; i < 12; ++i) {
      cv::Mat picture(256, 256 + i, CV_8U);
      cv::theRNG().state = static_cast<std::uint64_t>(i + 1);
      cv::randn(picture, i < 8 ? 90 : 160, 6);
      if (i == 3) cv::putText(picture, "DOE JOHN", {8, 60}, cv::FONT_HERSHEY_SIMPLEX, 0.45, 255, 1);
      const std::string name = fmt::format("doe-john-{}.png", i);
      cv::imwrite((folder_ / name).string(), picture);
      csv += fmt::format("{},{},patient-{},{},{},{}\n", name, i < 8 ? "normal" : "covid", i,
                         i % 2 == 0 ? "train" : "val", i < 10 ? "east" : "west<b>",
                         i == 0 ? "L" : "PA");
    }
    EXPECT_THAT(WriteFileAtomically(folder_ / "m.csv", csv), IsOk());
    source_.path = folder_ / "m.csv";
    report_ = *CheckData(source_, {}, {});
  }

  testing::TempFolder folder_;
  DataSource source_;
  DataReport report_;
};

TEST_F(CheckPageTest, ReportCountsGroupsAndPixels) {
  EXPECT_EQ(report_.patients_by_label.at("normal"), 8U);
  EXPECT_EQ(report_.views.at("PA"), 11U);
  EXPECT_EQ(report_.sources.at("east"), 10U);
  EXPECT_EQ(report_.shorter_sides.at(256), 12U);
  EXPECT_THAT(report_.with_text, ElementsAre(folder_ / "doe-john-3.png"));
  EXPECT_EQ(report_.lateral, 1U);
  double sum = 0;
  double mean = 0;
  for (std::size_t b = 0; b < DataReport::kBrightnesses; ++b) {
    sum += report_.brightness.at("covid")[b];
    mean += report_.brightness.at("covid")[b] * (static_cast<double>(b) + 0.5) * 16;
  }
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_NEAR(mean, 160, 8);
}

TEST_F(CheckPageTest, NamesNobodyUnlessAsked) {
  ASSERT_OK_AND_ASSIGN(const std::string page, ToPage(report_, /*names=*/false));
  EXPECT_THAT(page, HasSubstr("data:image/png;base64,"));
  EXPECT_THAT(page, Not(HasSubstr("there are 2.0 of")));  // four, which the table hides
  EXPECT_THAT(page, HasSubstr("about 10 images"));
  EXPECT_THAT(page, HasSubstr("under 5"));  // the west's two images
  EXPECT_THAT(page, HasSubstr("what looks like a line of text in the picture: 1"));
  EXPECT_THAT(page, Not(HasSubstr("doe-john")));
  EXPECT_THAT(page, Not(HasSubstr("patient-")));
  EXPECT_THAT(page, Not(HasSubstr("<b>")));
  for (const char* outside : {"src=\"http", "href=", "https://", "<script", "@import"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  ASSERT_OK_AND_ASSIGN(const std::string named, ToPage(report_, /*names=*/true));
  EXPECT_THAT(named, HasSubstr("doe-john-3.png"));
  EXPECT_THAT(named, Not(HasSubstr("under 5")));
  EXPECT_THAT(named, HasSubstr("For each image of covid there are 2.0 of normal"));
}

}  // namespace
}  // namespace consilium
