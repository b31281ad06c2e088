#pragma once

// DICOM files for tests, made by DCMTK's own tools.

#include <gmock/gmock.h>

#include <cstdlib>
#include <map>

#include "common/base/file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {

inline constexpr int kWidth = 48;
inline constexpr int kHeight = 32;

// What dump2dcm reads, by tag; tests change it before they write.
using Tags = std::map<std::string, std::string>;
inline Tags Radiograph() {
  return {{"(0008,0016)", "UI =DigitalXRayImageStorageForPresentation"},
          {"(0008,0018)", "UI [1.2.826.0.1.3680043.9.1]"},
          {"(0008,0020)", "DA [20200317]"},
          {"(0008,0060)", "CS [DX]"},
          {"(0010,0010)", "PN [Nobody^Knows]"},
          {"(0010,0020)", "LO [P-17]"},
          {"(0018,5101)", "CS [PA]"},
          {"(0028,0002)", "US 1"},
          {"(0028,0004)", "CS [MONOCHROME2]"},
          {"(0028,0010)", "US " + std::to_string(kHeight)},
          {"(0028,0011)", "US " + std::to_string(kWidth)},
          {"(0028,0100)", "US 16"},
          {"(0028,0101)", "US 12"},
          {"(0028,0102)", "US 11"},
          {"(0028,0103)", "US 0"}};
}

// Grows by 40 from left to right and by 1 downwards.
inline std::vector<std::uint16_t> Ramp(int frames = 1) {
  std::vector<std::uint16_t> pixels;
  for (int f = 0; f < frames; ++f) {
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        pixels.push_back(static_cast<std::uint16_t>(100 * f + 40 * x + y));
      }
    }
  }
  return pixels;
}

class DicomTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("dump2dcm --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no dump2dcm here";
  }

  // DCMTK's own tool makes the file.
  std::filesystem::path Write(const Tags& tags, const std::vector<std::uint16_t>& pixels,
                              const std::string& name = "a.dcm") {
    EXPECT_THAT(WriteFileAtomically(
                    folder_ / "pixels.raw",
                    std::string(reinterpret_cast<const char*>(pixels.data()), pixels.size() * 2)),
                testing::IsOk());
    std::string dump;
    for (const auto& [tag, value] : tags) dump += tag + " " + value + "\n";
    dump += "(7fe0,0010) OW =" + (folder_ / "pixels.raw").string() + "\n";
    EXPECT_THAT(WriteFileAtomically(folder_ / "a.dump", dump), testing::IsOk());
    Run("dump2dcm", folder_ / "a.dump", folder_ / name);
    return folder_ / name;
  }
  void Run(const std::string& command, const std::filesystem::path& in,
           const std::filesystem::path& out) {
    const std::string line = command + " " + in.string() + " " + out.string() + " >/dev/null 2>&1";
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
  }
  testing::TempFolder folder_;
};

}  // namespace consilium
