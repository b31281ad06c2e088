#include "client/export/export.h"

#include <gmock/gmock.h>
#include <torch/script.h>

#include <opencv2/dnn.hpp>

#include "client/nn/network.h"
#include "client/train/embedding.h"
#include "common/base/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::kInvalid;
using testing::StatusIs;

constexpr int kImages = 2;

// An input size whose feature maps the network's pooling divides.
int SideFor(const std::string& architecture) { return architecture == "simple_cnn" ? 128 : 224; }

// Every network but one of two that are the same to an export, and slow.
std::vector<std::string> Exported() {
  std::vector<std::string> names = Architectures();
  std::erase(names, "vgg16_bn");
  std::erase(names, "unet");  // it has no scores of pictures
  return names;
}

class ExportTest : public ::testing::TestWithParam<std::string> {
 protected:
  ExportTest() : network_(*Network::Create(Spec(), 5)) {
    // Statistics of batch norm other than those of a new network.
    ModelState state = network_.State();
    Random random(1);
    for (float& value : state.values) value += static_cast<float>(0.01 * random.Uniform());
    EXPECT_THAT(network_.Load(state), IsOk());
    for (int i = 0; i < kImages * side_ * side_; ++i) {
      batch_.pixels.push_back(static_cast<float>(random.Normal()));
    }
    scores_ = Embed(network_, batch_)->logits;
  }

  static ModelSpec Spec() {
    return {.architecture = GetParam(),
            .channels = 1,
            .input_size = SideFor(GetParam()),
            .classes = {"covid", "normal", "pneumonia"}};
  }
  Model TheModel() const { return {.info = {Spec(), {.run = "r1"}}, .state = network_.State()}; }

  void ExpectScores(const float* got) {
    for (std::size_t i = 0; i < scores_.size(); ++i) {
      EXPECT_NEAR(got[i], scores_[i], 1e-4 * std::max(1.0F, std::abs(scores_[i]))) << i;
    }
  }

  testing::TempFolder folder_;
  Network network_;
  const int side_ = SideFor(GetParam());
  Batch batch_{.count = kImages, .channels = 1, .height = side_, .width = side_};
  std::vector<float> scores_;
};

TEST_P(ExportTest, OnnxGivesTheSameScoresInOpenCv) {
  ASSERT_THAT(ExportModel(TheModel(), ExportFormat::kOnnx, folder_ / "m.onnx"), IsOk());
  cv::dnn::Net net = cv::dnn::readNetFromONNX((folder_ / "m.onnx").string());
  const int sides[] = {kImages, 1, side_, side_};
  net.setInput(cv::Mat(4, sides, CV_32F, batch_.pixels.data()));
  const cv::Mat scores = net.forward();
  ASSERT_EQ(scores.total(), scores_.size());
  ExpectScores(scores.ptr<float>());
}

TEST_P(ExportTest, TorchScriptGivesTheSameScoresAndSaysHowPicturesGoIn) {
  ASSERT_THAT(ExportModel(TheModel(), ExportFormat::kTorchScript, folder_ / "m.pt"), IsOk());
  torch::jit::ExtraFilesMap extra{{"consilium.json", ""}};
  torch::jit::Module module = torch::jit::load((folder_ / "m.pt").string(), torch::kCPU, extra);
  EXPECT_THAT(extra["consilium.json"], HasSubstr("\"covid\""));
  const torch::NoGradGuard no_grad;
  const torch::Tensor scores =
      module.forward({torch::from_blob(batch_.pixels.data(), {kImages, 1, side_, side_})})
          .toTensor()
          .contiguous();
  ExpectScores(scores.data_ptr<float>());
  std::set<std::string> names;
  for (const auto& parameter : module.named_parameters()) names.insert(parameter.name);
  for (const TensorSpec& tensor : network_.layout()->tensors()) {
    if (tensor.role != TensorRole::kParameter) continue;
    EXPECT_TRUE(names.contains(tensor.name)) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, ExportTest, ::testing::ValuesIn(Exported()),
                         [](const auto& architecture) { return architecture.param; });

TEST(ExportFormatTest, PoolingThatOnnxCannotSayIsAnErrorAndNoFile) {
  const testing::TempFolder folder;
  const ModelSpec spec{
      .architecture = "vgg16", .channels = 1, .input_size = 64, .classes = {"a", "b"}};
  const Model model{.info = {spec, {}}, .state = Network::Create(spec, 1)->State()};
  EXPECT_THAT(ExportModel(model, ExportFormat::kOnnx, folder / "m.onnx"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("adaptive_avg_pool2d")));
  EXPECT_FALSE(std::filesystem::exists(folder / "m.onnx"));
}

TEST(ExportFormatTest, UnknownNameIsAnsweredWithTheKnownOnes) {
  EXPECT_THAT(ParseExportFormat("tflite"), StatusIs(kInvalid, HasSubstr("onnx, torchscript")));
}

}  // namespace
}  // namespace consilium
