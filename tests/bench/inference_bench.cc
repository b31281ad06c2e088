// One model in this project's predictor and, exported to ONNX, in OpenCV's DNN module, in turn on
// the same cores: a picture at a time, and a folder. Prints a line of JSON.
//
//   inference_bench MODEL FOLDER THREADS TIMES

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "client/export/export.h"
#include "client/infer/predictor.h"
#include "common/base/memory.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

constexpr int kFolders = 5;  // in turn; the median counts

double Median(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

// What a program on OpenCV alone does: read, crop, resize, scale, forward.
class OpenCvPredictor {
 public:
  OpenCvPredictor(const fs::path& onnx, const ModelSpec& spec)
      : net_(cv::dnn::readNetFromONNX(onnx.string())), spec_(spec) {}

  std::vector<float> Predict(const fs::path& path) {
    const cv::Mat picture = cv::imread(path.string(), cv::IMREAD_GRAYSCALE);
    const int square = std::min(picture.rows, picture.cols);
    const cv::Mat crop =
        picture(cv::Rect((picture.cols - square) / 2, (picture.rows - square) / 2, square, square));
    cv::Mat resized;
    cv::resize(crop, resized, {spec_.input_size, spec_.input_size}, 0, 0,
               spec_.input_size < square ? cv::INTER_AREA : cv::INTER_CUBIC);
    cv::Mat input;
    resized.convertTo(input, CV_32F, 1.0 / (255 * spec_.stddev), -spec_.mean / spec_.stddev);
    net_.setInput(cv::dnn::blobFromImage(input));
    const cv::Mat scores = net_.forward();
    return {scores.begin<float>(), scores.end<float>()};
  }

 private:
  cv::dnn::Net net_;
  const ModelSpec spec_;
};

Status Run(const fs::path& file, const fs::path& folder, int threads, int times) {
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(file));
  CSL_ASSIGN_OR_RETURN(const std::vector<fs::path> images, FindImages({folder}));
  const fs::path onnx = fs::temp_directory_path() / fmt::format("bench-{}.onnx", ::getpid());
  CSL_RETURN_IF_ERROR(ExportModel(model, ExportFormat::kOnnx, onnx));
  cv::setNumThreads(threads);
  OpenCvPredictor peer(onnx, model.info.spec);
  fs::remove(onnx);

  auto begin = Clock::now();
  CSL_ASSIGN_OR_RETURN(Predictor ours, Predictor::Create(model, {.threads = threads}));
  Status status;
  const auto predict = [&](const std::vector<fs::path>& some) {
    const Status done = ours.Predict(some, {}, [&](const StatusOr<Prediction>& one) {
      if (!one.ok()) status = one.status();
    });
    if (!done.ok()) status = done;
  };
  predict({images.front()});
  const double first = SecondsSince(begin);
  (void)peer.Predict(images.front());

  std::vector<double> mine;
  std::vector<double> theirs;
  for (int i = 0; i < times; ++i) {
    const fs::path& image = images[static_cast<std::size_t>(i) % images.size()];
    begin = Clock::now();
    predict({image});
    mine.push_back(SecondsSince(begin));
    begin = Clock::now();
    (void)peer.Predict(image);
    theirs.push_back(SecondsSince(begin));
  }
  std::vector<double> mine_folder;
  std::vector<double> theirs_folder;
  for (int i = 0; i < kFolders; ++i) {
    begin = Clock::now();
    predict(images);
    mine_folder.push_back(SecondsSince(begin));
    begin = Clock::now();
    for (const fs::path& image : images) (void)peer.Predict(image);
    theirs_folder.push_back(SecondsSince(begin));
  }
  CSL_RETURN_IF_ERROR(status);
  const auto count = static_cast<double>(images.size());
  fmt::print(R"({{"images": {}, "first_answer_s": {:.3f}, "one_s": [{:.5f}], )"
             R"("one_opencv_s": [{:.5f}], "folder_per_s": {:.2f}, "folder_per_s_opencv": {:.2f}}})"
             "\n",
             images.size(), first, fmt::join(mine, ", "), fmt::join(theirs, ", "),
             count / Median(mine_folder), count / Median(theirs_folder));
  return OkStatus();
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  using namespace consilium;
  if (argc != 5) {
    fmt::print(stderr, "usage: inference_bench MODEL FOLDER THREADS TIMES\n");
    return 2;
  }
  KeepFreedMemory();  // as consilium-client does
  const Status status = Run(argv[1], argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.ToString());
  return 1;
}
