#include "client/nn/checkpoint.h"

#include <gmock/gmock.h>

#include <cstring>

#include "client/nn/pickle_internal.h"
#include "common/base/file.h"
#include "common/model/model_file.h"
#include "tests/testing/python.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using ::testing::SizeIs;
using testing::StatusIs;

ModelSpec Spec(int channels, const std::string& architecture = "resnet18") {
  return {.architecture = architecture,
          .channels = channels,
          .input_size = 64,
          .classes = {"covid", "normal", "pneumonia"}};
}

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::PythonHas("torchvision")) GTEST_SKIP() << "no python3-torchvision here";
  }
  // PyTorch writes it.
  std::filesystem::path Write(const std::string& kind) {
    const auto path = folder_ / (kind + ".pth");
    EXPECT_TRUE(
        testing::RunPython("client/nn/make_checkpoint.py",
                           kind + " " + path.string() + " " + (folder_ / "values").string()));
    return path;
  }
  // What PyTorch says the two tensors hold.
  std::vector<float> Values() {
    const std::string bytes = *ReadFile(folder_ / "values");
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  static std::vector<float> ValuesOf(const ModelState& state, const std::string& name) {
    for (std::size_t t = 0; t < state.layout->tensors().size(); ++t) {
      if (state.layout->tensors()[t].name != name) continue;
      return {state.tensor(t).begin(), state.tensor(t).end()};
    }
    return {};
  }
  testing::TempFolder folder_;
};

TEST_F(CheckpointTest, ColourNetworkTakesAllButTheHead) {
  for (const std::string kind : {"plain", "half", "nested", "parameters"}) {
    ASSERT_OK_AND_ASSIGN(const auto checkpoint, ReadCheckpoint(Write(kind)));
    Network network = *Network::Create(Spec(3), 1);
    const ModelState drawn = network.State();
    ASSERT_OK_AND_ASSIGN(const Adoption adoption, Adopt(checkpoint, network));
    EXPECT_THAT(adoption.fresh, ElementsAre("fc.weight", "fc.bias")) << kind;
    EXPECT_THAT(adoption.adapted, SizeIs(0));
    EXPECT_THAT(adoption.unused, SizeIs(0));
    EXPECT_THAT(adoption.taken, SizeIs(network.layout()->tensors().size() - 2));
    const ModelState state = network.State();
    std::vector<float> got = ValuesOf(state, "conv1.weight");
    const auto variance = ValuesOf(state, "layer4.1.bn2.running_var");
    got.insert(got.end(), variance.begin(), variance.end());
    EXPECT_EQ(got, Values()) << kind;
    EXPECT_EQ(ValuesOf(state, "fc.weight"), ValuesOf(drawn, "fc.weight"));
  }
}

TEST_F(CheckpointTest, GreyNetworkAnswersToGreyAsTheColourNetworkDid) {
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, ReadCheckpoint(Write("plain")));
  Network network = *Network::Create(Spec(1), 1);
  ASSERT_OK_AND_ASSIGN(const Adoption adoption, Adopt(checkpoint, network));
  EXPECT_THAT(adoption.adapted, ElementsAre("conv1.weight"));
  const auto colour = Values();
  const auto grey = ValuesOf(network.State(), "conv1.weight");
  for (std::size_t filter = 0; filter < 64; ++filter) {
    for (std::size_t i = 0; i < 49; ++i) {
      const std::size_t at = filter * 147 + i;
      ASSERT_NEAR(grey[filter * 49 + i], colour[at] + colour[at + 49] + colour[at + 98], 1e-6);
    }
  }
}

TEST_F(CheckpointTest, NothingOfAHostileFileIsExecuted) {
  const auto path = Write("hostile");
  EXPECT_THAT(ReadCheckpoint(path),
              StatusIs(kInvalid, AllOf(HasSubstr("system"), HasSubstr("hostile.pth"))));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "values.executed"));
}

// A nesting that would exhaust the stack of who takes it apart, and a circle.
TEST(Pickle, NeitherDepthNorCirclesMatter) {
  EXPECT_THAT(pickle::Parse("N" + std::string(1'000'000, '\x85') + "."), IsOk());
  EXPECT_THAT(pickle::Parse(std::string("]q\0h\0a.", 7)), IsOk());
  EXPECT_THAT(pickle::Parse("cposix\nsystem\n(tR."), StatusIs(kInvalid, HasSubstr("posix.system")));
  EXPECT_THAT(pickle::Parse("K"), StatusIs(kInvalid, HasSubstr("early")));
}

TEST(Safetensors, ShapesThatDoNotFitAreRefused) {
  testing::TempFolder folder;
  for (const char* shape : {"[4294967297]", "[8589934592, 8589934592]", "[0]", "[3]", "[-1]"}) {
    const std::string header =
        fmt::format(R"({{"w": {{"dtype": "F32", "shape": {}, "data_offsets": [0, 8]}}}})", shape);
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    file += header + std::string(8, '\0');
    ASSERT_THAT(WriteFileAtomically(folder / "f", file), IsOk());
    EXPECT_THAT(ReadCheckpoint(folder / "f"), StatusIs(kInvalid)) << shape;
  }
}

TEST_F(CheckpointTest, OldFormatIsNamed) {
  EXPECT_THAT(ReadCheckpoint(Write("legacy")), StatusIs(kInvalid, HasSubstr("PyTorch 1.6")));
}

TEST_F(CheckpointTest, AnotherArchitectureIsRefusedAndChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, ReadCheckpoint(Write("plain")));
  Network network = *Network::Create(Spec(3, "resnet50"), 1);
  const auto before = network.State().values;
  EXPECT_THAT(Adopt(checkpoint, network), StatusIs(kInvalid, HasSubstr("layer1.0.conv1.weight")));
  EXPECT_EQ(network.State().values, before);
}

TEST_F(CheckpointTest, OwnModelsAreReadAsSafetensors) {
  const Network from = *Network::Create(Spec(1), 7);
  ASSERT_THAT(WriteModel(folder_ / "m.safetensors", {from.spec(), {}}, from.State()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, ReadCheckpoint(folder_ / "m.safetensors"));
  Network network = *Network::Create(Spec(1), 8);
  ASSERT_OK_AND_ASSIGN(const Adoption adoption, Adopt(checkpoint, network));
  EXPECT_THAT(adoption.fresh, SizeIs(0));
  EXPECT_EQ(network.State().values, from.State().values);
}

TEST_F(CheckpointTest, DamagedFilesAreErrors) {
  const auto path = Write("plain");
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(path, std::size_t{1} << 30));
  for (const std::size_t size : {0UL, 3UL, 100UL, whole.size() / 2, whole.size() - 30}) {
    ASSERT_THAT(WriteFileAtomically(folder_ / "cut.pth", whole.substr(0, size)), IsOk());
    EXPECT_THAT(ReadCheckpoint(folder_ / "cut.pth"), StatusIs(kInvalid, HasSubstr("cut.pth")));
  }
  // Somewhere in the program of the pickle, which lies near the file's beginning.
  const std::size_t program = whole.find("collections\nOrderedDict");
  ASSERT_NE(program, std::string::npos);
  for (std::size_t at = program; at < program + 4000; at += 61) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    ASSERT_THAT(WriteFileAtomically(folder_ / "b.pth", damaged), IsOk());
    (void)ReadCheckpoint(folder_ / "b.pth");
  }
  ASSERT_THAT(WriteFileAtomically(folder_ / "t.pth", "not a checkpoint at all"), IsOk());
  EXPECT_THAT(ReadCheckpoint(folder_ / "t.pth"), StatusIs(kInvalid));
}

}  // namespace
}  // namespace consilium
