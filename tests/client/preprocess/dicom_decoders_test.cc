// What becomes of files and programs that do not do as they should.

#include <atomic>
#include <thread>

#include "client/preprocess/dicom_decoders_internal.h"
#include "tests/client/preprocess/dicom_fixture.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

class DicomDecodersTest : public DicomTest {
 protected:
  // A program of the shell's in the decoder's place.
  std::filesystem::path Script(const std::string& commands) {
    const auto path = folder_ / "decoder";
    EXPECT_THAT(WriteFileAtomically(path, "#!/bin/sh\n" + commands + "\n"), IsOk());
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  // DCMTK's search for the depth of a JPEG comes to no end with this one.
  std::filesystem::path WriteEndless() {
    Run("dcmcjpeg +el", Write(Radiograph(), Ramp()), folder_ / "endless.dcm");
    std::string file = *ReadFile(folder_ / "endless.dcm");
    const std::size_t start = file.find("\xff\xd8\xff");
    EXPECT_NE(start, std::string::npos);
    file.replace(start, 4, std::string("\xff\x01\xe2\x01", 4));
    EXPECT_THAT(WriteFileAtomically(folder_ / "endless.dcm", file), IsOk());
    return folder_ / "endless.dcm";
  }
};

TEST_F(DicomDecodersTest, FileThatKeepsItsDecoderBusyIsGivenUpAndTheNextOneIsRead) {
  const auto good = Write(Radiograph(), Ramp());
  const auto endless = WriteEndless();
  DicomDecoders decoders(DicomDecoders::Program(), std::chrono::seconds(1));
  EXPECT_THAT(decoders.Read(good, 0, {}), IsOk());
  EXPECT_THAT(decoders.Read(endless, 0, {}),
              StatusIs(kInvalid, AllOf(HasSubstr("endless.dcm"), HasSubstr("not decoded in 1 s"))));
  ASSERT_OK_AND_ASSIGN(const Image image, decoders.Read(good, 0, {}));
  EXPECT_EQ(image.width, kWidth);
}

TEST_F(DicomDecodersTest, ProgramThatBreaksOffOrTalksNonsenseFailsTheFileAlone) {
  const auto good = Write(Radiograph(), Ramp());
  for (const std::string commands : {
           "exit 0", "kill -SEGV $$",
           "head -c 20 /dev/zero | tr '\\0' '\\377' >&0",  // sides beyond all bounds
           "printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\40\\0\\0\\0\\40\\0\\0\\0abc' >&0",  // cut
       }) {
    DicomDecoders decoders(Script(commands), std::chrono::seconds(5));
    EXPECT_THAT(decoders.Read(good, 0, {}), StatusIs(kInvalid, HasSubstr("broke off"))) << commands;
    EXPECT_THAT(decoders.ReadFacts(good), StatusIs(kInvalid)) << commands;
  }
}

TEST_F(DicomDecodersTest, ProgramThatDoesNotAnswerIsGivenUp) {
  DicomDecoders decoders(Script("exec sleep 60"), std::chrono::seconds(0));
  EXPECT_THAT(decoders.Read(Write(Radiograph(), Ramp()), 0, {}),
              StatusIs(kInvalid, HasSubstr("not decoded in 0 s")));
}

TEST_F(DicomDecodersTest, ProgramThatIsNotThereIsNamed) {
  DicomDecoders decoders(folder_ / "nowhere", std::chrono::seconds(1));
  EXPECT_THAT(decoders.ReadFacts("a.dcm"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("nowhere")));
}

TEST_F(DicomDecodersTest, ManyThreadsReadAtATimeAndEachGetsItsOwnFile) {
  const auto one = Write(Radiograph(), Ramp(), "one.dcm");
  Tags square = Radiograph();
  square["(0028,0011)"] = "US 32";
  const auto two = Write(square, std::vector<std::uint16_t>(32 * 32, 7), "two.dcm");
  DicomDecoders decoders(DicomDecoders::Program(), std::chrono::seconds(60));
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          const bool first = (t + i) % 2 == 0;
          const auto image = decoders.Read(first ? one : two, 0, {});
          if (!image.ok() || image->width != (first ? kWidth : 32)) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace consilium
