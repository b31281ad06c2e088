#include "client/train/replicas.h"

#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <thread>

#include "client/train/peers.h"
#include "common/base/file.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

extern char** environ;

namespace consilium {
namespace {

using testing::FixedBatches;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Pointwise;
using testing::RandomBatch;
using testing::StatusIs;

constexpr char kMeeting[] = "CONSILIUM_TEST_MEETING";  // of a process that is the second peer

ModelSpec NormedSpec() {
  ModelSpec spec = testing::SmallSpec();
  spec.architecture = "resnet18";
  spec.dropout = 0;
  return spec;
}

std::vector<Batch> Batches(const ModelSpec& spec, const std::vector<int>& sizes) {
  std::vector<Batch> batches;
  for (const int size : sizes) {
    batches.push_back(RandomBatch(spec, size, static_cast<std::uint64_t>(batches.size())));
  }
  return batches;
}

// The images from..to of a batch.
Batch Part(const Batch& whole, int from, int to) {
  Batch part = whole;
  const std::size_t values = whole.pixels.size() / static_cast<std::size_t>(whole.count);
  part.count = to - from;
  part.whole_count = whole.count;
  const auto at = [](auto& list, std::size_t place) {
    return list.begin() + static_cast<std::ptrdiff_t>(place);
  };
  part.pixels.assign(at(whole.pixels, values * static_cast<std::size_t>(from)),
                     at(whole.pixels, values * static_cast<std::size_t>(to)));
  part.labels.assign(at(whole.labels, static_cast<std::size_t>(from)),
                     at(whole.labels, static_cast<std::size_t>(to)));
  return part;
}

std::vector<Batch> Halves(const std::vector<Batch>& whole, int half) {
  std::vector<Batch> halves;
  for (const Batch& batch : whole) {
    const int middle = batch.count < 4 ? batch.count : batch.count / 2;
    halves.push_back(half == 0 ? Part(batch, 0, middle) : Part(batch, middle, batch.count));
  }
  return halves;
}

TrainOptions Options() {
  return {.epochs = 2,
          .optimizer = OptimizerKind::kSgd,
          .learning_rate = 0.02,
          .weight_decay = 1e-3,
          .clip_norm = 1,
          .class_weights = {1, 2, 0.5F},
          .proximal_mu = 0.1};
}

// What is trained of a network.
std::vector<float> Parameters(const Network& network) {
  const ModelState state = network.State();
  std::vector<float> values;
  for (std::size_t t = 0; t < state.layout->tensors().size(); ++t) {
    const TensorSpec& tensor = state.layout->tensors()[t];
    if (tensor.role != TensorRole::kParameter) continue;
    const auto part =
        std::span(state.values).subspan(state.layout->offset(t), tensor.NumElements());
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

std::vector<std::unique_ptr<BatchSource>> Shared(const std::vector<Batch>& whole) {
  std::vector<std::unique_ptr<BatchSource>> sources;
  for (const int half : {0, 1}) {
    sources.push_back(std::make_unique<FixedBatches>(Halves(whole, half)));
  }
  return sources;
}

// Of a training of `sizes` images, the parameters that it ends with: by one network that sees parts
// of `micro_batch` images, or by two replicas.
void ExpectTheSame(const std::string& architecture, const std::vector<int>& sizes,
                   int micro_batch) {
  ModelSpec spec = NormedSpec();
  spec.architecture = architecture;
  const std::vector<Batch> whole = Batches(spec, sizes);
  Network alone = *Network::Create(spec, 1);
  FixedBatches source(whole);
  TrainOptions options = Options();
  options.epochs = 1;
  options.micro_batch = micro_batch;
  ASSERT_OK_AND_ASSIGN(const TrainReport wanted, Train(alone, source, options, {}));
  Network network = *Network::Create(spec, 1);
  const std::vector<float> before = Parameters(network);
  options.micro_batch = 0;
  ASSERT_OK_AND_ASSIGN(const TrainReport report,
                       TrainReplicas(network, Shared(whole), options, {}));
  EXPECT_EQ(report.steps, wanted.steps);
  EXPECT_EQ(report.examples, wanted.examples);
  EXPECT_NEAR(report.loss, wanted.loss, 1e-4);
  const std::vector<float> after = Parameters(network);
  EXPECT_THAT(after, Pointwise(FloatNear(1e-4F), Parameters(alone)));
  EXPECT_THAT(after, ::testing::Not(Pointwise(FloatNear(1e-3F), before)));
}

class PeersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const testing::TempFolder folder;
    if (absl::IsUnimplemented(Peers::Join(folder / "meeting", 0, 1).status())) {
      GTEST_SKIP() << "this LibTorch has no Gloo, or not its headers";
    }
  }
};
using ReplicasTest = PeersTest;

TEST_F(ReplicasTest, TakeTheStepsOfTheWholeBatch) {
  // The last batch is too small to share out, the one before it is of one image.
  ExpectTheSame("resnet18_gn", {8, 8, 1, 3}, 0);
}

TEST_F(ReplicasTest, NormaliseEachItsPart) { ExpectTheSame("resnet18", {8}, 4); }

TEST_F(ReplicasTest, StopTogetherAndFailTogether) {
  const ModelSpec spec = NormedSpec();
  const std::vector<Batch> whole = Batches(spec, {8, 8});
  Network network = *Network::Create(spec, 1);
  std::stop_source stop;
  const auto on_step = [&](std::uint64_t done, std::uint64_t) {
    if (done == 3) stop.request_stop();
  };
  EXPECT_THAT(TrainReplicas(network, Shared(whole), Options(), stop.get_token(), on_step),
              StatusIs(absl::StatusCode::kCancelled));
  TrainOptions wild = Options();
  wild.learning_rate = 1e30;
  wild.clip_norm = 0;
  wild.epochs = 20;
  EXPECT_THAT(TrainReplicas(network, Shared(whole), wild, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no longer finite")));
}

class BrokenSource final : public BatchSource {
 public:
  std::size_t batches() const override { return 2; }
  void StartEpoch(std::uint64_t, std::size_t) override {}
  StatusOr<const Batch*> Next() override { return DataLoss("a picture has gone"); }
};

TEST_F(ReplicasTest, OneWithoutImagesEndsAll) {
  const ModelSpec spec = NormedSpec();
  Network network = *Network::Create(spec, 1);
  auto sources = Shared(Batches(spec, {8, 8}));
  sources[1] = std::make_unique<BrokenSource>();
  EXPECT_THAT(TrainReplicas(network, sources, Options(), {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("a picture has gone")));
}

// Trains the half of the images that a peer has, and gives what comes of it.
StatusOr<std::vector<float>> TrainHalf(const std::string& meeting, int rank) {
  const ModelSpec spec = NormedSpec();
  Network network = *Network::Create(spec, 1);
  CSL_ASSIGN_OR_RETURN(const auto peers, Peers::Join(meeting, rank, 2));
  FixedBatches source(Halves(Batches(spec, {8, 8}), rank));
  CSL_RETURN_IF_ERROR(Train(network, source, Options(), {}, {}, {}, peers.get()).status());
  return network.State().values;
}

// This program again, as the second peer.
TEST_F(PeersTest, OfTwoProcessesHaveTheSameNetwork) {
  if (const char* meeting = std::getenv(kMeeting)) {
    ASSERT_OK_AND_ASSIGN(const auto values, TrainHalf(meeting, 1));
    const auto bytes = std::as_bytes(std::span(values));
    ASSERT_THAT(WriteFileAtomically(std::string(meeting) + ".second", std::array{bytes}), IsOk());
    return;
  }
  const testing::TempFolder folder;
  const std::string meeting = (folder / "meeting").string();
  ASSERT_EQ(::setenv(kMeeting, meeting.c_str(), 1), 0);
  std::array<std::string, 2> words = {"second", "--gtest_filter=PeersTest.OfTwo*"};
  std::array<char*, 3> arguments = {words[0].data(), words[1].data(), nullptr};
  pid_t second = 0;
  ASSERT_EQ(::posix_spawn(&second, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ),
            0);
  ::unsetenv(kMeeting);
  const auto values = TrainHalf(meeting, 0);
  int how = 0;
  ASSERT_EQ(::waitpid(second, &how, 0), second);
  ASSERT_THAT(values, IsOk());
  ASSERT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(meeting + ".second"));
  const auto bytes = std::as_bytes(std::span(*values));
  EXPECT_TRUE(std::ranges::equal(file.bytes(), bytes));
}

TEST_F(PeersTest, SumIsTheSameWithEach) {
  const testing::TempFolder folder;
  constexpr int kPeers = 3;
  std::vector<std::vector<float>> numbers(kPeers, {0.1F, 1e8F, 3});
  std::vector<Status> statuses(kPeers);
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < kPeers; ++rank) {
      threads.emplace_back([&, rank] {
        auto& own = numbers[static_cast<std::size_t>(rank)];
        own[1] += static_cast<float>(16 * rank);
        const auto peers = Peers::Join(folder / "meeting", rank, kPeers);
        statuses[static_cast<std::size_t>(rank)] = peers.status();
        if (peers.ok()) (*peers)->Sum(own);
      });
    }
  }
  for (const Status& status : statuses) ASSERT_THAT(status, IsOk());
  EXPECT_EQ(numbers[0], numbers[1]);
  EXPECT_EQ(numbers[0], numbers[2]);
  EXPECT_EQ(numbers[0][2], 9);
  EXPECT_FLOAT_EQ(numbers[0][1], 3e8F + 48);
}

}  // namespace
}  // namespace consilium
