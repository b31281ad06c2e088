#include "client/data/public_set.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using ::testing::Pair;
using ::testing::SizeIs;
using testing::StatusIs;

class PublicSetTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    EXPECT_THAT(WriteFileAtomically(folder_ / name, text), IsOk());
    return folder_ / name;
  }
  testing::TempFolder folder_;
};

TEST_F(PublicSetTest, Ieee8023TakesFrontalXRaysByFinding) {
  const auto csv = Write("metadata.csv",
                         "patientid,offset,finding,view,modality,folder,filename,clinical_notes\n"
                         "2,0,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpg,\"fever, cough\"\n"
                         "2,3,Pneumonia/Viral/COVID-19,AP Supine,X-ray,images,b.jpg,\n"
                         "4,,Pneumonia/Bacterial/Streptococcus,AP,X-ray,images,c.png,\n"
                         "5,,No Finding,PA,X-ray,images,d.png,\n"
                         "6,,Pneumonia/Viral/COVID-19,L,X-ray,images,e.png,\n"
                         "7,,Pneumonia/Viral/COVID-19,Axial,CT,volumes,f.nii,\n"
                         "8,,Tuberculosis,PA,X-ray,images,g.png,\n");
  ASSERT_OK_AND_ASSIGN(const PublicSet set, ReadPublicSet("ieee8023", csv, {}, "key"));
  ASSERT_THAT(set.manifest, SizeIs(4));
  EXPECT_EQ(set.manifest[0].path, folder_ / "images/a.jpg");
  EXPECT_EQ(set.manifest[0].label, "covid");
  EXPECT_EQ(set.manifest[0].patient, set.manifest[1].patient);
  EXPECT_NE(set.manifest[0].patient, "2");
  EXPECT_EQ(set.manifest[2].label, "pneumonia");
  EXPECT_EQ(set.manifest[3].label, "normal");
  EXPECT_THAT(set.left_out, ElementsAre(Pair("finding 'Tuberculosis'", 1),
                                        Pair("not a frontal view", 1), Pair("not an X-ray", 1)));
}

TEST_F(PublicSetTest, APatientsHashFollowsTheKey) {
  const auto csv = Write("m.csv", "patientId,class\nx,Normal\n");
  const auto hash = [&](const std::string& key) {
    return ReadPublicSet("rsna", csv, {}, key)->manifest[0].patient;
  };
  EXPECT_EQ(hash("a"), hash("a"));
  EXPECT_NE(hash("a"), hash("b"));
}

TEST_F(PublicSetTest, CovidxListGivesSplitAndFilesWithSpaces) {
  const auto list = Write("train_COVIDx.txt",
                          "3 SARS 10.jpg pneumonia cohen\n"
                          "101 figure1.png COVID-19 fig1\n"
                          "n1 n1.png normal rsna\n");
  ASSERT_OK_AND_ASSIGN(const PublicSet set, ReadPublicSet("covidx", list, "/images", "key"));
  ASSERT_THAT(set.manifest, SizeIs(3));
  EXPECT_EQ(set.manifest[0].path, "/images/SARS 10.jpg");
  EXPECT_EQ(set.manifest[0].split, Split::kTrain);
  EXPECT_EQ(set.manifest[1].label, "covid");
}

TEST_F(PublicSetTest, CovidxOfTwoClassesSaysWhatIsMissing) {
  const auto list = Write("test.txt", "3 a.png negative ricord\n4 b.png COVID-19 ricord\n");
  ASSERT_OK_AND_ASSIGN(const PublicSet set, ReadPublicSet("covidx", list, {}, "key"));
  EXPECT_THAT(set.manifest, SizeIs(1));
  EXPECT_THAT(set.left_out, ElementsAre(Pair(HasSubstr("three classes"), 1)));
  EXPECT_THAT(ReadPublicSet("covidx", Write("bad.txt", "3 a.png\n"), {}, "key"),
              StatusIs(kInvalid, HasSubstr("bad.txt:1")));
}

TEST_F(PublicSetTest, RadiographyLeavesMasksAndOpacitiesOut) {
  for (const std::string name :
       {"COVID/images/COVID-1.png", "COVID/masks/COVID-1.png", "Normal/images/Normal-1.png",
        "Viral Pneumonia/images/V-1.png", "Lung_Opacity/images/L-1.png"}) {
    Write(name, "x");
  }
  ASSERT_OK_AND_ASSIGN(const PublicSet set,
                       ReadPublicSet("radiography", folder_.path(), {}, "key"));
  ASSERT_THAT(set.manifest, SizeIs(3));
  EXPECT_EQ(set.manifest[0].path, folder_ / "COVID/images/COVID-1.png");
  EXPECT_EQ(set.manifest[2].label, "pneumonia");
  EXPECT_THAT(set.left_out, SizeIs(1));
}

TEST_F(PublicSetTest, RsnaTakesAPatientOnce) {
  const auto csv = Write("stage_2_detailed_class_info.csv",
                         "patientId,class\nu1,Lung Opacity\nu1,Lung Opacity\nu2,Normal\n"
                         "u3,No Lung Opacity / Not Normal\n");
  ASSERT_OK_AND_ASSIGN(const PublicSet set, ReadPublicSet("rsna", csv, {}, "key"));
  ASSERT_THAT(set.manifest, SizeIs(2));
  EXPECT_EQ(set.manifest[0].path, folder_ / "stage_2_train_images/u1.dcm");
  EXPECT_EQ(set.manifest[0].label, "pneumonia");
}

TEST_F(PublicSetTest, WhatItIsNotIsSaid) {
  const auto csv = Write("m.csv", "patientId,label\nx,Normal\n");
  EXPECT_THAT(ReadPublicSet("rsna", csv, {}, "key"),
              StatusIs(kInvalid, AllOf(HasSubstr("m.csv:1"), HasSubstr("'class'"))));
  EXPECT_THAT(ReadPublicSet("padchest", csv, {}, "key"),
              StatusIs(kInvalid, HasSubstr("ieee8023, covidx")));
  EXPECT_THAT(ReadPublicSet("rsna", folder_ / "absent.csv", {}, "key"),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace consilium
