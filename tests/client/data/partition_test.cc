#include "client/data/partition.h"

#include <gmock/gmock.h>

#include <set>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using ::testing::SizeIs;
using testing::StatusIs;

using Counts = std::map<std::string, std::uint64_t>;

// 240 covid, 600 normal; patients of 1 to 4 images, every tenth image without one.
Manifest Images() {
  Manifest manifest;
  for (int i = 0; i < 840; ++i) {
    const bool covid = i < 240;
    manifest.push_back({fmt::format("/x/{}.png", i), covid ? "covid" : "normal",
                        i % 10 == 0 ? "" : fmt::format("{}{}", covid ? "c" : "n", i / (1 + i % 4)),
                        i % 5 == 0 ? Split::kTest : Split::kTrain});
  }
  return manifest;
}

std::vector<Counts> Cut(const PartitionOptions& options) {
  const auto parts = Partition(Images(), options);
  EXPECT_THAT(parts, IsOk());
  std::vector<Counts> counts;
  for (const Manifest& part : *parts) counts.push_back(CountLabels(part));
  return counts;
}

TEST(Partition, EveryImageIsOfOneSiteAndEveryPatientToo) {
  for (const auto kind :
       {PartitionKind::kIid, PartitionKind::kDirichlet, PartitionKind::kQuantity}) {
    ASSERT_OK_AND_ASSIGN(const auto parts, Partition(Images(), {.kind = kind, .sites = 4}));
    std::set<std::string> paths;
    std::map<std::string, std::size_t> site_of;
    std::size_t images = 0;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      for (const Example& example : parts[k]) {
        ++images;
        paths.insert(example.path);
        if (example.patient.empty()) continue;
        EXPECT_EQ(site_of.emplace(example.patient, k).first->second, k);
      }
    }
    EXPECT_EQ(images, 840U);
    EXPECT_THAT(paths, SizeIs(840));
  }
}

TEST(Partition, SitesAreAlikeOrNotAsWanted) {
  for (Counts& counts : Cut({.kind = PartitionKind::kIid, .sites = 4})) {
    EXPECT_NEAR(static_cast<double>(counts["covid"]), 60, 4);
    EXPECT_NEAR(static_cast<double>(counts["normal"]), 150, 4);
  }
  // By quantity the sizes differ and the mixture does not.
  std::set<std::uint64_t> sizes;
  for (Counts& counts : Cut({.kind = PartitionKind::kQuantity, .sites = 4, .alpha = 1})) {
    sizes.insert(counts["normal"]);
    EXPECT_NEAR(static_cast<double>(counts["covid"]), 0.4 * static_cast<double>(counts["normal"]),
                6);
  }
  EXPECT_GT(*sizes.rbegin(), *sizes.begin() + 50);
}

// The share of a site in a label has the moments of its distribution: mean 1/K and variance
// (K - 1) / (K^2 (K alpha + 1)).
TEST(Partition, SharesAreDirichlets) {
  for (const double alpha : {0.3, 3.0}) {
    double sum = 0;
    double squares = 0;
    int draws = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
      const auto parts = Partition(
          Images(), {.kind = PartitionKind::kDirichlet, .sites = 3, .alpha = alpha, .seed = seed});
      if (!parts.ok()) continue;  // a site without an image: rare
      const double share = static_cast<double>(CountLabels((*parts)[0])["normal"]) / 600;
      sum += share;
      squares += share * share;
      ++draws;
    }
    ASSERT_GT(draws, 350);
    const double mean = sum / draws;
    EXPECT_NEAR(mean, 1.0 / 3, 0.05);
    const double want = 2 / (9 * (3 * alpha + 1));
    EXPECT_NEAR(squares / draws - mean * mean, want, 0.2 * want);
  }
}

TEST(Partition, SameSeedSameParts) {
  const PartitionOptions options{.kind = PartitionKind::kDirichlet, .sites = 3, .seed = 5};
  EXPECT_EQ(Cut(options), Cut(options));
  PartitionOptions other = options;
  other.seed = 6;
  EXPECT_NE(Cut(options), Cut(other));
}

TEST(Partition, SiteWithoutAnImageIsAnError) {
  const Manifest two = {{"/x/a.png", "covid", "", Split::kTrain},
                        {"/x/b.png", "covid", "", Split::kTrain}};
  EXPECT_THAT(Partition(two, {.sites = 3}), StatusIs(kInvalid, HasSubstr("would have no image")));
  EXPECT_THAT(Partition(two, {.sites = 0}), StatusIs(kInvalid));
  EXPECT_THAT(Partition(two, {.alpha = 0}), StatusIs(kInvalid));
}

TEST(PartitionByColumn, ASiteAValue) {
  const testing::TempFolder folder;
  const auto csv = folder / "m.csv";
  const std::string head = "path,label,patient_id,hospital\n";
  ASSERT_THAT(WriteFileAtomically(csv, head + "a.png,covid,p1,east\nb.png,covid,p2,west\n"
                                              "c.png,normal,p1,east\n"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto parts, PartitionByColumn(csv, {}, "hospital"));
  EXPECT_THAT(parts.at("east"), SizeIs(2));
  EXPECT_THAT(parts.at("west"), SizeIs(1));
  EXPECT_THAT(PartitionByColumn(csv, {}, "ward"), StatusIs(kInvalid, HasSubstr("ward")));
  ASSERT_THAT(WriteFileAtomically(csv, head + "a.png,covid,p1,east\nb.png,covid,p1,west\n"),
              IsOk());
  EXPECT_THAT(PartitionByColumn(csv, {}, "hospital"), StatusIs(kInvalid, HasSubstr("b.png")));
  ASSERT_THAT(WriteFileAtomically(csv, head + "a.png,covid,p1,\n"), IsOk());
  EXPECT_THAT(PartitionByColumn(csv, {}, "hospital"), StatusIs(kInvalid, HasSubstr("a.png")));
}

TEST(WriteManifest, IsReadBackAsItWas) {
  const testing::TempFolder folder;
  const Manifest manifest = {{"/x/a, b.png", "covid", "p \"1\"", Split::kTrain},
                             {"/x/c.png", "normal", "", Split::kNone}};
  ASSERT_THAT(WriteManifest(folder / "m.csv", manifest), IsOk());
  ASSERT_OK_AND_ASSIGN(const Manifest read, ReadManifest(folder / "m.csv"));
  ASSERT_THAT(read, SizeIs(2));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].path, manifest[i].path);
    EXPECT_EQ(read[i].label, manifest[i].label);
    EXPECT_EQ(read[i].patient, manifest[i].patient);
    EXPECT_EQ(read[i].split, manifest[i].split);
  }
  EXPECT_THAT(WriteManifest(folder / "m.csv", {{"/x/a\nb.png", "covid", "", Split::kNone}}),
              StatusIs(kInvalid));
}

}  // namespace
}  // namespace consilium
