#include "client/data/loader.h"

#include <gmock/gmock.h>

#include <set>

#include "common/base/file.h"
#include "tests/testing/image_files.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using ::testing::SizeIs;
using testing::StatusIs;

const std::vector<std::string> kClasses = {"covid", "normal", "pneumonia"};

class LoaderTest : public ::testing::Test {
 protected:
  // n pictures, each of one grey value of its own, with labels in turn.
  Manifest Pictures(int n) {
    Manifest manifest;
    for (int i = 0; i < n; ++i) {
      const auto path = folder_ / fmt::format("{}.png", i);
      testing::WriteImage(path, testing::Ramp(40, 40, CV_8UC1, 3 * i, 0));
      manifest.push_back({path, kClasses[static_cast<std::size_t>(i % 3)], "", Split::kTrain});
    }
    return manifest;
  }
  StatusOr<ImageSet> Build(const Manifest& manifest, ImageSetOptions options = {}) {
    options.side = 32;
    return ImageSet::Build(manifest, kClasses, options, {});
  }
  // Everything an epoch gives, flat.
  static std::vector<float> Epoch(Loader& loader, std::uint64_t epoch) {
    std::vector<float> all;
    loader.StartEpoch(epoch);
    while (const Batch* batch = *loader.Next()) {
      all.insert(all.end(), batch->pixels.begin(), batch->pixels.end());
      for (const auto label : batch->labels) all.push_back(static_cast<float>(label));
    }
    return all;
  }
  testing::TempFolder folder_;
};

TEST_F(LoaderTest, ImagesOfAPatientShareANumber) {
  Manifest manifest = Pictures(5);
  manifest[0].patient = manifest[3].patient = "p1";
  manifest[1].patient = "p2";
  std::filesystem::remove(manifest[1].path);  // left out, and its number with it
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(manifest, {.max_unreadable = 0.5}));
  EXPECT_THAT(images.patients(), ::testing::ElementsAre(0, 2, 0, 3));
}

TEST_F(LoaderTest, PartsAreTheBatch) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(19)));  // of 8, 8 and 3
  Loader whole(images, testing::SmallSpec(), {.batch_size = 8});
  std::vector<std::unique_ptr<Loader>> parts;
  for (int part = 0; part < 3; ++part) {
    parts.push_back(std::make_unique<Loader>(
        images, testing::SmallSpec(), LoaderOptions{.batch_size = 8, .parts = 3, .part = part}));
    parts.back()->StartEpoch(4);
  }
  whole.StartEpoch(4);
  while (const Batch* batch = *whole.Next()) {
    std::vector<float> pixels;
    std::vector<std::int64_t> labels;
    for (const auto& loader : parts) {
      const Batch* part = *loader->Next();
      ASSERT_NE(part, nullptr);
      EXPECT_EQ(part->images_in_all(), batch->count);
      EXPECT_NE(part->count, 1) << "batch norm has no variance over a single image";
      pixels.insert(pixels.end(), part->pixels.begin(), part->pixels.end());
      labels.insert(labels.end(), part->labels.begin(), part->labels.end());
    }
    EXPECT_EQ(pixels, batch->pixels);
    EXPECT_EQ(labels, batch->labels);
  }
  for (const auto& loader : parts) EXPECT_EQ(*loader->Next(), nullptr);
}

TEST_F(LoaderTest, EveryImageComesOnceAnEpochWithItsLabel) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(23)));
  Loader loader(images, testing::SmallSpec(), {.batch_size = 5, .workers = 3});
  EXPECT_EQ(loader.batches(), 5U);
  loader.StartEpoch(0);
  std::set<int> seen;
  int batches = 0;
  while (const Batch* batch = *loader.Next()) {
    ++batches;
    for (int i = 0; i < batch->count; ++i) {
      const float pixel = batch->pixels[static_cast<std::size_t>(i * 32 * 32)];
      const int picture = static_cast<int>(std::lround((pixel * 0.25F + 0.5F) * 255 / 3));
      EXPECT_EQ(batch->labels[static_cast<std::size_t>(i)], picture % 3);
      EXPECT_TRUE(seen.insert(picture).second);
    }
  }
  EXPECT_EQ(batches, 5);
  EXPECT_THAT(seen, SizeIs(23));
  EXPECT_EQ(*loader.Next(), nullptr);
}

TEST_F(LoaderTest, OrderAndAugmentationDoNotDependOnTheWorkers) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(17)));
  LoaderOptions options{
      .batch_size = 4, .augmentation = {.rotation_degrees = 10, .contrast = 0.2}, .seed = 5};
  std::vector<std::vector<float>> epochs;
  for (const int workers : {1, 2, 5}) {
    options.workers = workers;
    Loader loader(images, testing::SmallSpec(), options);
    epochs.push_back(Epoch(loader, 3));
  }
  EXPECT_EQ(epochs[0], epochs[1]);
  EXPECT_EQ(epochs[0], epochs[2]);
}

TEST_F(LoaderTest, EpochsDifferAndRepeat) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(17)));
  Loader loader(images, testing::SmallSpec(), {.batch_size = 4, .workers = 2});
  const auto first = Epoch(loader, 0);
  EXPECT_NE(first, Epoch(loader, 1));
  EXPECT_EQ(first, Epoch(loader, 0));
}

TEST_F(LoaderTest, EpochMayBeginInTheMiddleOfAnother) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(17)));
  Loader loader(images, testing::SmallSpec(), {.batch_size = 2, .workers = 3});
  const auto whole = Epoch(loader, 7);
  for (int i = 0; i < 50; ++i) {
    loader.StartEpoch(static_cast<std::uint64_t>(i));
    for (int reads = 0; reads < i % 5; ++reads) ASSERT_NE(*loader.Next(), nullptr);
  }
  EXPECT_EQ(Epoch(loader, 7), whole);
}

TEST_F(LoaderTest, WithoutShufflingTheOrderIsTheManifests) {
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(Pictures(7)));
  Loader loader(images, testing::SmallSpec(), {.batch_size = 7, .sampling = Sampling::kInOrder});
  loader.StartEpoch(0);
  EXPECT_THAT((*loader.Next())->labels, ::testing::ElementsAre(0, 1, 2, 0, 1, 2, 0));
}

TEST_F(LoaderTest, MappedPixelsEqualThoseInMemory) {
  const Manifest manifest = Pictures(9);
  ASSERT_OK_AND_ASSIGN(const ImageSet memory, Build(manifest));
  ASSERT_OK_AND_ASSIGN(const ImageSet mapped,
                       Build(manifest, {.memory_bytes = 1, .cache_folder = folder_ / "cache"}));
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(memory.pixels(i), mapped.pixels(i)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "cache"));  // the file has no name
}

TEST_F(LoaderTest, UnreadableImagesAreNamedAndLeftOutUpToTheShare) {
  Manifest manifest = Pictures(20);
  ASSERT_THAT(WriteFileAtomically(manifest[3].path, "broken"), IsOk());
  ASSERT_OK_AND_ASSIGN(const ImageSet images, Build(manifest, {.max_unreadable = 0.05}));
  EXPECT_EQ(images.size(), 19U);
  ASSERT_THAT(images.unreadable(), SizeIs(1));
  EXPECT_THAT(images.unreadable()[0], HasSubstr("3.png"));
  EXPECT_EQ(images.labels()[3], 1);  // what was example 4
  EXPECT_EQ(images.pixels(3)[0], 3 * 4 * 257);

  ASSERT_THAT(WriteFileAtomically(manifest[4].path, "broken"), IsOk());
  EXPECT_THAT(Build(manifest, {.max_unreadable = 0.05}),
              StatusIs(kInvalid, HasSubstr("2 of 20 images cannot be read")));
}

TEST_F(LoaderTest, LabelOutsideTheModelsClassesIsNamed) {
  Manifest manifest = Pictures(2);
  manifest[1].label = "fracture";
  EXPECT_THAT(Build(manifest), StatusIs(kInvalid, HasSubstr("'fracture'")));
}

TEST_F(LoaderTest, StopEndsDecoding) {
  std::stop_source source;
  source.request_stop();
  EXPECT_THAT(ImageSet::Build(Pictures(3), kClasses, {.side = 32}, source.get_token()),
              StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace consilium
