#include "common/model/model_file.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

const ModelInfo kInfo = {
    .spec = testing::SmallSpec(),
    .provenance = {
        .run = "run-1", .round = 3, .training_sites = 2, .parent_digest = std::string(64, 'a')}};

std::string SmallFile() {
  return testing::EncodeFile(kInfo, testing::RandomState(testing::SmallLayout(), 1));
}

// A file around a header of the test's own.
std::string FileWith(const std::string& header, std::size_t data_bytes = 0) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

StatusOr<ModelHeader> Parse(const std::string& bytes) { return ParseModelHeader(AsBytes(bytes)); }

TEST(ModelFile, ComesBackAsItWasWritten) {
  const testing::TempFolder folder;
  const ModelState state = testing::RandomState(testing::SmallLayout(), 1);
  ASSERT_THAT(WriteModel(folder / "m", kInfo, state), IsOk());
  ASSERT_OK_AND_ASSIGN(const Model model, ReadModel(folder / "m"));
  EXPECT_EQ(model.info, kInfo);
  EXPECT_EQ(*model.state.layout, *state.layout);
  EXPECT_EQ(model.state.values, state.values);
}

TEST(ModelFile, DataAreAligned) {
  ASSERT_OK_AND_ASSIGN(const ModelHeader header, Parse(SmallFile()));
  EXPECT_EQ(header.data_offset % 64, 0U);
}

TEST(ModelFile, HeaderBytesAreGolden) {
  const auto layout = *Layout::Create({{"w", {2}}, {"n", {}, TensorRole::kCounter}});
  const std::string header = EncodeModelHeader({.spec = testing::SmallSpec()}, *layout);
  const std::string want =
      R"({"__metadata__":{"architecture":"simple_cnn","channels":"1",)"
      R"("classes":"[\"covid\",\"normal\",\"pneumonia\"]","dropout":"0","format":"consilium-model-1",)"
      R"("input_size":"32","mean":"0.5","parent":"","round":"0","run":"","stddev":"0.25",)"
      R"("training_sites":"0","roles":"{\"n\":\"counter\"}"},)"
      R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("n":{"dtype":"F32","shape":[],"data_offsets":[8,12]}})";
  EXPECT_EQ(header.substr(8, want.size()), want);
  EXPECT_EQ(header.find_first_not_of(' ', 8 + want.size()), std::string::npos);
}

TEST(ModelFile, EveryTruncationIsRefused) {
  const std::string bytes = SmallFile();
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    EXPECT_THAT(Parse(bytes.substr(0, size)), StatusIs(kInvalid)) << size;
  }
  EXPECT_THAT(Parse(bytes + "x"), StatusIs(kInvalid, HasSubstr("bytes of data")));
}

TEST(ModelFile, DamagedHeadersNeverCrash) {
  const std::string bytes = SmallFile();
  Random random(11);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = bytes;
    damaged[random.Below(900)] = static_cast<char>(random.Below(256));
    refused += Parse(damaged).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 1500);  // the rest hit a character of free text
}

TEST(ModelFile, HostileHeadersAreRefusedByName) {
  EXPECT_THAT(Parse(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}"),
              StatusIs(kInvalid, HasSubstr("does not fit")));
  EXPECT_THAT(Parse(FileWith("[1,2,3]")), StatusIs(kInvalid, HasSubstr("JSON object")));
  EXPECT_THAT(Parse(FileWith(R"({"a":{}})")), StatusIs(kInvalid, HasSubstr("metadata")));
  const auto with_tensor = [](const std::string& tensor) {
    return FileWith(R"({"__metadata__":{"roles":"{}"},"a":)" + tensor + "}", 64);
  };
  EXPECT_THAT(Parse(with_tensor(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})")),
              StatusIs(kInvalid, HasSubstr("tensor a: dtype")));
  EXPECT_THAT(Parse(with_tensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,8]})")),
              StatusIs(kInvalid, HasSubstr("dimension")));
  EXPECT_THAT(Parse(with_tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})")),
              StatusIs(kInvalid, HasSubstr("pair")));
  EXPECT_THAT(Parse(with_tensor("7")), StatusIs(kInvalid, HasSubstr("tensor a")));
}

TEST(ModelFile, DeepNestingDoesNotExhaustTheStack) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_THAT(Parse(FileWith(R"({"__metadata__":{"roles":"{}"},"a":{"dtype":)" + deep + "}}")),
              StatusIs(kInvalid));
  EXPECT_THAT(Parse(FileWith(deep)), StatusIs(kInvalid));
}

TEST(ModelFile, ProvenanceThatCannotBeIsRefusedByItsKey) {
  const auto parse = [](const Provenance& provenance) {
    return Parse(testing::EncodeFile({testing::SmallSpec(), provenance},
                                     testing::RandomState(testing::SmallLayout(), 1)));
  };
  EXPECT_THAT(parse({.run = "run\n\x1b[31m"}), StatusIs(kInvalid, HasSubstr("'run'")));
  EXPECT_THAT(parse({.round = -7}), StatusIs(kInvalid, HasSubstr("'round'")));
  EXPECT_THAT(parse({.training_sites = -3}), StatusIs(kInvalid, HasSubstr("'training_sites'")));
  EXPECT_THAT(parse({.parent_digest = "no digest"}), StatusIs(kInvalid, HasSubstr("'parent'")));
}

TEST(ModelFile, RoleOfATensorThatIsNotThereIsRefused) {
  std::string bytes = SmallFile();
  const std::size_t at = bytes.find("bn.num_batches_tracked");
  bytes.replace(at, 2, "bm");  // in the roles, which come before the tensors
  EXPECT_THAT(Parse(bytes), StatusIs(kInvalid, HasSubstr("roles")));
}

TEST(ModelFile, HolesAndOverlapsAreRefused) {
  std::string bytes = SmallFile();
  const std::string offsets = "\"data_offsets\":[144,164]";
  const std::size_t at = bytes.find(offsets);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, offsets.size(), "\"data_offsets\":[140,160]");
  EXPECT_THAT(Parse(bytes), StatusIs(kInvalid, HasSubstr("bn.running_mean: data_offsets")));
}

TEST(ModelFile, InfiniteValuesAreRefusedOnReading) {
  const testing::TempFolder folder;
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    ModelState state = testing::RandomState(testing::SmallLayout(), 1);
    state.values.back() = bad;
    ASSERT_THAT(WriteModel(folder / "m", kInfo, state), IsOk());
    EXPECT_THAT(ReadModel(folder / "m"), StatusIs(kInvalid, HasSubstr("NaN")));
  }
}

TEST(ModelInfo, EveryKeyIsNeeded) {
  for (const auto& [key, value] : EncodeModelInfo(kInfo)) {
    Metadata metadata = EncodeModelInfo(kInfo);
    metadata.erase(key);
    EXPECT_THAT(DecodeModelInfo(metadata), StatusIs(kInvalid, HasSubstr(key)));
  }
  EXPECT_EQ(*DecodeModelInfo(EncodeModelInfo(kInfo)), kInfo);
}

TEST(ModelInfo, FieldsOutOfRangeAreNamed) {
  const auto with = [](const std::string& key, const std::string& value) {
    Metadata metadata = EncodeModelInfo(kInfo);
    metadata[key] = value;
    return DecodeModelInfo(metadata);
  };
  EXPECT_THAT(with("channels", "2"), StatusIs(kInvalid, HasSubstr("channels")));
  EXPECT_THAT(with("input_size", "1000000"), StatusIs(kInvalid, HasSubstr("input_size")));
  EXPECT_THAT(with("input_size", "12 px"), StatusIs(kInvalid, HasSubstr("input_size")));
  EXPECT_THAT(with("classes", R"(["a"])"), StatusIs(kInvalid, HasSubstr("classes")));
  EXPECT_THAT(with("classes", R"(["a","a"])"), StatusIs(kInvalid, HasSubstr("repeated")));
  EXPECT_THAT(with("classes", "a,b"), StatusIs(kInvalid, HasSubstr("JSON list")));
  EXPECT_THAT(with("stddev", "0"), StatusIs(kInvalid, HasSubstr("stddev")));
  EXPECT_THAT(with("stddev", "nan"), StatusIs(kInvalid, HasSubstr("stddev")));
  EXPECT_THAT(with("dropout", "1"), StatusIs(kInvalid, HasSubstr("dropout")));
  EXPECT_THAT(with("format", "consilium-model-9"), StatusIs(kInvalid, HasSubstr("format")));
}

}  // namespace
}  // namespace consilium
