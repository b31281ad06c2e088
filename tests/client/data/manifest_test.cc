#include "client/data/manifest.h"

#include <gmock/gmock.h>

#include <set>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using ::testing::SizeIs;
using testing::StatusIs;

class ManifestTest : public ::testing::Test {
 protected:
  std::filesystem::path Csv(const std::string& text, const std::string& name = "m.csv") {
    EXPECT_THAT(WriteFileAtomically(folder_ / name, text), IsOk());
    return folder_ / name;
  }
  void Touch(const std::string& name) {
    EXPECT_THAT(MakeFolders((folder_ / name).parent_path()), IsOk());
    EXPECT_THAT(WriteFileAtomically(folder_ / name, "x"), IsOk());
  }
  testing::TempFolder folder_;
};

TEST_F(ManifestTest, CsvInAnyColumnOrderWithQuotesAndExtraColumns) {
  ASSERT_OK_AND_ASSIGN(const Manifest manifest,
                       ReadManifest(Csv("note,label,path,patient_id,split\r\n"
                                        "\"a, b\",covid,\"x, y.png\",p1,train\r\n"
                                        ",normal,z.png,,val\r\n")));
  ASSERT_THAT(manifest, SizeIs(2));
  EXPECT_EQ(manifest[0].path, folder_ / "x, y.png");
  EXPECT_EQ(manifest[0].patient, "p1");
  EXPECT_EQ(manifest[1].label, "normal");
  EXPECT_EQ(manifest[1].split, Split::kValidation);
}

TEST_F(ManifestTest, MissingColumnIsNamed) {
  EXPECT_THAT(ReadManifest(Csv("path,class\na.png,covid\n")),
              StatusIs(kInvalid, AllOf(HasSubstr("m.csv:1"), HasSubstr("'label'"))));
}

TEST_F(ManifestTest, BadRowsAreNamedByLine) {
  EXPECT_THAT(ReadManifest(Csv("path,label\na.png,covid\nb.png,\n")),
              StatusIs(kInvalid, AllOf(HasSubstr("m.csv:3"), HasSubstr("empty label"))));
  EXPECT_THAT(ReadManifest(Csv("path,label\n,covid\n")),
              StatusIs(kInvalid, HasSubstr("empty path")));
  EXPECT_THAT(ReadManifest(Csv("path,label,split\na.png,covid,tryout\n")),
              StatusIs(kInvalid, AllOf(HasSubstr("m.csv:2"), HasSubstr("tryout"))));
  EXPECT_THAT(ReadManifest(Csv("path,label\na.png\n")), StatusIs(kInvalid, HasSubstr("m.csv")));
  EXPECT_THAT(ReadManifest(Csv("path,label\n")), StatusIs(kInvalid, HasSubstr("no images")));
  EXPECT_THAT(ReadManifest(Csv("")), StatusIs(kInvalid));
  EXPECT_THAT(ReadManifest(folder_ / "absent.csv"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ManifestTest, FolderPerClass) {
  Touch("set/covid/b.PNG");
  Touch("set/covid/sub/a.jpeg");
  Touch("set/covid/notes.txt");
  Touch("set/normal/c.jpg");
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, ReadManifest(folder_ / "set"));
  EXPECT_EQ(CountLabels(manifest),
            (std::map<std::string, std::uint64_t>{{"covid", 2}, {"normal", 1}}));
}

TEST_F(ManifestTest, EmptyClassFolderIsNamed) {
  Touch("set/covid/a.png");
  ASSERT_THAT(MakeFolders(folder_ / "set/normal"), IsOk());
  EXPECT_THAT(ReadManifest(folder_ / "set"), StatusIs(kInvalid, HasSubstr("class 'normal'")));
}

TEST_F(ManifestTest, FolderWithAManifestIsThatManifest) {
  Touch("set/images/a.png");
  Csv("path,label\nimages/a.png,covid\n", "set/manifest.csv");
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, ReadManifest(folder_ / "set"));
  EXPECT_EQ(manifest[0].label, "covid");
}

// 120 images of 40 patients, three classes.
std::string ManyPatients() {
  std::string csv = "path,label,patient_id\n";
  for (int i = 0; i < 120; ++i) {
    csv += fmt::format("i{}.png,{},p{}\n", i, i % 4 == 0 ? "covid" : "normal", i / 3);
  }
  return csv;
}

TEST_F(ManifestTest, DrawnSplitIsPatientDisjointAndNearTheShare) {
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    ASSERT_OK_AND_ASSIGN(const Manifest manifest,
                         ReadSplitManifest({.path = Csv(ManyPatients()), .seed = seed}));
    std::map<std::string, std::set<Split>> splits;
    for (const Example& example : manifest) splits[example.patient].insert(example.split);
    for (const auto& [patient, in] : splits) EXPECT_THAT(in, SizeIs(1)) << patient;
    EXPECT_NEAR(static_cast<double>(Select(manifest, Split::kValidation).size()), 24, 3);
  }
}

TEST_F(ManifestTest, DrawnSplitDependsOnTheSeedAlone) {
  const auto validation = [&](std::uint64_t seed) {
    std::set<std::string> paths;
    const auto manifest = *ReadSplitManifest({.path = Csv(ManyPatients()), .seed = seed});
    for (const Example& example : Select(manifest, Split::kValidation)) paths.insert(example.path);
    return paths;
  };
  EXPECT_EQ(validation(1), validation(1));
  EXPECT_NE(validation(1), validation(2));
}

TEST_F(ManifestTest, EveryClassIsHeldOutWhereItCan) {
  std::string csv = "path,label\n";
  for (int i = 0; i < 100; ++i) csv += fmt::format("{}.png,{}\n", i, i < 10 ? "rare" : "common");
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, ReadSplitManifest({.path = Csv(csv)}));
  EXPECT_EQ(CountLabels(Select(manifest, Split::kValidation))["rare"], 2U);
  EXPECT_EQ(CountLabels(Select(manifest, Split::kValidation))["common"], 18U);
}

TEST_F(ManifestTest, ValidationCsvLeavesTheOtherSplitsAsTheyAre) {
  const auto train = Csv("path,label,split\na.png,covid,\nb.png,covid,test\nc.png,covid,val\n");
  const auto validation = Csv("path,label\nd.png,covid\n", "v.csv");
  ASSERT_OK_AND_ASSIGN(const Manifest manifest,
                       ReadSplitManifest({.path = train, .validation = validation}));
  EXPECT_THAT(Select(manifest, Split::kTrain), SizeIs(1));
  EXPECT_THAT(Select(manifest, Split::kTest), SizeIs(1));
  EXPECT_THAT(Select(manifest, Split::kValidation), SizeIs(2));
}

TEST_F(ManifestTest, SplitColumnWithGapsIsRefused) {
  EXPECT_THAT(
      ReadSplitManifest({.path = Csv("path,label,split\na.png,covid,val\nb.png,covid,\n")}),
      StatusIs(kInvalid, AllOf(HasSubstr("1 of 2 images have no split"), HasSubstr("b.png"))));
}

TEST_F(ManifestTest, ValidationCsvMustNotSharePatients) {
  const auto train = Csv("path,label,patient_id\na.png,covid,p1\nb.png,normal,p2\n", "train.csv");
  const auto good = Csv("path,label,patient_id\nc.png,covid,p3\n", "good.csv");
  const auto leaky = Csv("path,label,patient_id\nc.png,covid,p1\n", "leaky.csv");
  ASSERT_OK_AND_ASSIGN(const Manifest manifest,
                       ReadSplitManifest({.path = train, .validation = good}));
  EXPECT_THAT(Select(manifest, Split::kTrain), SizeIs(2));
  EXPECT_THAT(Select(manifest, Split::kValidation), SizeIs(1));
  EXPECT_THAT(ReadSplitManifest({.path = train, .validation = leaky}),
              StatusIs(kInvalid, HasSubstr("patient")));
}

// One that cannot be opened is for its reader to report, and costs the others nothing.
TEST(ReadManifest, FileThatCannotBeReadIsStillListed) {
  testing::TempFolder folder;
  std::filesystem::create_directories(folder / "covid");
  ASSERT_THAT(WriteFileAtomically(folder / "covid/a.png", "x"), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder / "covid/empty.dcm", ""), IsOk());
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, ReadManifest(folder.path()));
  EXPECT_EQ(manifest.size(), 2U);
}

// What a patient is called, as a pseudonym that each process draws anew, does not change who is
// held out.
TEST(GroupPatients, OrderFollowsTheImagesAndNotThePatientsNames) {
  Manifest named;
  Manifest hashed;
  for (int i = 0; i < 20; ++i) {
    named.push_back(
        {.path = fmt::format("{:02}", i), .label = "x", .patient = fmt::format("{:02}", i)});
    hashed.push_back(
        {.path = fmt::format("{:02}", i), .label = "x", .patient = fmt::format("{:02}", 19 - i)});
  }
  EXPECT_EQ(GroupPatients(named, 3), GroupPatients(hashed, 3));
}

}  // namespace
}  // namespace consilium
