#include "client/train/trainer.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <cmath>

#include "client/nn/network_internal.h"
#include "tests/testing/fixed_batches.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using testing::FixedBatches;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomBatch;
using testing::StatusIs;

// The length of the difference.
double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

class TrainerTest : public ::testing::Test {
 protected:
  Network Fresh(const std::string& architecture = "simple_cnn") {
    spec_.architecture = architecture;
    return *Network::Create(spec_, 1);
  }
  FixedBatches Batches(int count, int size = 8) {
    std::vector<Batch> batches;
    for (int i = 0; i < count; ++i) {
      batches.push_back(RandomBatch(spec_, size, static_cast<std::uint64_t>(i)));
    }
    return FixedBatches(std::move(batches));
  }
  ModelSpec spec_ = testing::SmallSpec();
};

TEST_F(TrainerTest, LearnsWhatCanBeLearnt) {
  for (const auto optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    Network network = Fresh();
    FixedBatches source = Batches(4);
    const auto before = *Evaluate(network, source, {});
    const TrainOptions options{.epochs = 8,
                               .optimizer = optimizer,
                               .learning_rate = optimizer == OptimizerKind::kSgd ? 0.05 : 0.003,
                               .schedule = Schedule::kCosine,
                               .warmup = 0.1,
                               .clip_norm = 5};
    ASSERT_OK_AND_ASSIGN(const TrainReport report, Train(network, source, options, {}));
    EXPECT_EQ(report.steps, 32U);
    EXPECT_EQ(report.examples, 256U);
    EXPECT_LT(Evaluate(network, source, {})->loss_sum(), 0.5 * before.loss_sum());
  }
}

TEST_F(TrainerTest, SameSeedSameWeights) {
  const auto train = [&] {
    spec_.dropout = 0.5;
    Network network = Fresh();
    FixedBatches source = Batches(3);
    EXPECT_THAT(Train(network, source, {.epochs = 2, .seed = 5}, {}), IsOk());
    return network.State().values;
  };
  EXPECT_EQ(train(), train());
}

TEST_F(TrainerTest, ResNetTrainsAndCountsItsBatches) {
  spec_.input_size = 64;
  Network network = Fresh("resnet18");
  FixedBatches source = Batches(3, 4);
  ASSERT_THAT(Train(network, source, {.epochs = 1}, {}), IsOk());
  const ModelState state = network.State();
  EXPECT_EQ(state.layout->tensors()[5].name, "bn1.num_batches_tracked");
  EXPECT_EQ(state.tensor(5)[0], 3);
  EXPECT_TRUE(AllFinite(state.values));
}

// A site without pneumonia neither learns nor unlearns it: the class's row of the last layer stays.
TEST_F(TrainerTest, AbsentClassIsLeftAsItWas) {
  Network network = Fresh();
  Batch batch = RandomBatch(spec_, 8, 1);
  for (std::int64_t& label : batch.labels) label %= 2;
  FixedBatches source({batch});
  const auto last_layer = [&] {
    const ModelState state = network.State();
    const std::size_t weight = state.layout->tensors().size() - 2;
    const auto rows = state.tensor(weight);
    return std::vector<float>(rows.begin(), rows.end());
  };
  const auto before = last_layer();
  const std::size_t row = before.size() / 3;
  ASSERT_THAT(Train(network, source, {.epochs = 5, .weight_decay = 0, .absent_classes = {2}}, {}),
              IsOk());
  const auto after = last_layer();
  EXPECT_TRUE(std::equal(before.end() - static_cast<std::ptrdiff_t>(row), before.end(),
                         after.end() - static_cast<std::ptrdiff_t>(row)));
  EXPECT_NE(before[0], after[0]);
}

// With weights of one class alone, the others' images do not count.
TEST_F(TrainerTest, ClassWeightsWeighTheLoss) {
  const Batch mixed = RandomBatch(spec_, 24, 1);
  Batch first = mixed;
  first.pixels.clear();
  first.labels.clear();
  const std::size_t image = mixed.pixels.size() / 24;
  for (std::size_t i = 0; i < 24; ++i) {
    if (mixed.labels[i] != 0) continue;
    first.labels.push_back(0);
    first.pixels.insert(first.pixels.end(), mixed.pixels.begin() + static_cast<long>(i * image),
                        mixed.pixels.begin() + static_cast<long>((i + 1) * image));
  }
  first.count = static_cast<int>(first.labels.size());
  ASSERT_GT(first.count, 1);
  const auto step = [&](const Batch& batch, const std::vector<float>& weights) {
    Network network = Fresh();
    FixedBatches source({batch});
    EXPECT_THAT(Train(network, source, {.momentum = 0, .class_weights = weights}, {}), IsOk());
    return network.State().values;
  };
  EXPECT_LT(Distance(step(mixed, {1, 0, 0}), step(first, {})), 1e-6);
  EXPECT_GT(Distance(step(mixed, {}), step(first, {})), 1e-3);
}

TEST_F(TrainerTest, ClippingBoundsTheStep) {
  const auto step = [&](double clip_norm) {
    Network network = Fresh();
    const std::vector<float> before = network.State().values;
    FixedBatches source = Batches(1);
    EXPECT_THAT(
        Train(network, source, {.learning_rate = 1, .momentum = 0, .clip_norm = clip_norm}, {}),
        IsOk());
    return Distance(before, network.State().values);
  };
  EXPECT_NEAR(step(0.01), 0.01, 1e-5);
  EXPECT_GT(step(0), 0.02);
}

TEST_F(TrainerTest, StepsFollowTheSchedule) {
  const auto step = [&](Schedule schedule, double begin, double end) {
    Network network = Fresh();
    const std::vector<float> before = network.State().values;
    FixedBatches source = Batches(1);
    EXPECT_THAT(
        Train(network, source,
              {.momentum = 0, .schedule = schedule, .progress_begin = begin, .progress_end = end},
              {}),
        IsOk());
    return Distance(before, network.State().values);
  };
  // One step, at the middle of its part of the run.
  EXPECT_NEAR(step(Schedule::kCosine, 0.5, 1) / step(Schedule::kConstant, 0, 1),
              RateFactor(Schedule::kCosine, 0, 0.75), 1e-4);
}

// Two steps by hand: the first from the anchor itself, the second pulled back to it.
TEST_F(TrainerTest, ProximalTermPullsBackToTheGlobalModel) {
  const double rate = 0.1;
  const auto train = [&](int steps, double mu) {
    Network network = Fresh();
    FixedBatches source = Batches(2);
    EXPECT_THAT(
        Train(network, source,
              {.steps = steps, .learning_rate = rate, .momentum = 0, .proximal_mu = mu}, {}),
        IsOk());
    return network.State();
  };
  const ModelState global = Fresh().State();
  const ModelState one = train(1, 0.5);
  EXPECT_EQ(one.values, train(1, 0).values);
  const ModelState pulled = train(2, 0.5);
  const ModelState free = train(2, 0);
  for (std::size_t i = 0; i < global.values.size(); ++i) {
    EXPECT_NEAR(pulled.values[i] - free.values[i], -rate * 0.5 * (one.values[i] - global.values[i]),
                1e-6);
  }
  EXPECT_LT(Distance(train(2, 5).values, global.values), Distance(free.values, global.values));
}

TEST_F(TrainerTest, ProximalTermOutlivesACheckpoint) {
  const TrainOptions options{.epochs = 2, .learning_rate = 0.1, .proximal_mu = 1};
  std::vector<TrainState> states;
  Network whole = Fresh();
  FixedBatches source = Batches(4);
  ASSERT_THAT(Train(whole, source, options, {}, {},
                    {.interval = std::chrono::nanoseconds(1),
                     .keep =
                         [&](const TrainState& state) {
                           states.push_back(state);
                           return OkStatus();
                         }}),
              IsOk());
  // The network that is given is the global model; the state is where the training was.
  Network network = Fresh();
  FixedBatches again = Batches(4);
  ASSERT_THAT(Train(network, again, options, {}, {}, {.from = &states.at(5)}), IsOk());
  EXPECT_EQ(network.State().values, whole.State().values);
}

// The shift comes after the clipping, and is not part of what is clipped.
TEST_F(TrainerTest, GradientsAreShifted) {
  const double rate = 0.1;
  const auto train = [&](std::vector<float> shift) {
    Network network = Fresh();
    FixedBatches source = Batches(1);
    EXPECT_THAT(Train(network, source,
                      {.learning_rate = rate,
                       .momentum = 0,
                       .clip_norm = 0.01,
                       .gradient_shift = std::move(shift)},
                      {}),
                IsOk());
    return network.State().values;
  };
  const std::vector<float> plain = train({});
  std::vector<float> shift(plain.size());
  for (std::size_t i = 0; i < shift.size(); ++i) shift[i] = static_cast<float>(i % 7) - 3;
  const std::vector<float> shifted = train(shift);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    ASSERT_NEAR(shifted[i] - plain[i], -rate * shift[i], 1e-5) << i;
  }
  Network network = Fresh();
  FixedBatches source = Batches(1);
  EXPECT_THAT(Train(network, source, {.gradient_shift = {1, 2}}, {}),
              StatusIs(testing::kInvalid, HasSubstr("2 numbers")));
}

// What is frozen keeps its weights, its statistics and its counter; what has half the rate steps
// half as far.
TEST_F(TrainerTest, StagesAreFrozenOrSlower) {
  const auto train = [&](std::vector<double> rates) {
    Network network = Fresh("resnet18");
    FixedBatches source = Batches(1, 4);
    EXPECT_THAT(Train(network, source, {.momentum = 0, .tensor_rates = std::move(rates)}, {}),
                IsOk());
    return network.State();
  };
  const ModelState before = Fresh("resnet18").State();
  const Layout& layout = *before.layout;
  std::vector<double> rates(layout.tensors().size(), 1);
  for (std::size_t t = 0; t < rates.size(); ++t) {
    const std::string& name = layout.tensors()[t].name;
    if (name.starts_with("conv1.") || name.starts_with("bn1.")) rates[t] = 0;
  }
  const ModelState frozen = train(rates);
  for (std::size_t t = 0; t < rates.size(); ++t) {
    EXPECT_EQ(std::ranges::equal(frozen.tensor(t), before.tensor(t)), rates[t] == 0)
        << layout.tensors()[t].name;
  }
  const auto step_of = [&](const ModelState& after) {
    const std::size_t head = rates.size() - 1;  // fc.bias
    return after.tensor(head)[0] - before.tensor(head)[0];
  };
  const float whole = step_of(train({}));
  rates.assign(rates.size(), 1);
  rates.back() = 0.5;
  EXPECT_NEAR(step_of(train(rates)), whole / 2, 1e-6);
  Network network = Fresh("resnet18");
  FixedBatches source = Batches(1, 4);
  EXPECT_THAT(Train(network, source, {.tensor_rates = {1}}, {}),
              StatusIs(testing::kInvalid, HasSubstr("1 tensors")));
}

TEST_F(TrainerTest, FrozenLayersLearnAgainAfterwards) {
  Network network = Fresh("resnet18");
  const ModelState before = network.State();
  std::vector<double> rates(before.layout->tensors().size(), 1);
  rates[0] = 0;
  FixedBatches source = Batches(1, 4);
  ASSERT_THAT(Train(network, source, {.tensor_rates = rates}, {}), IsOk());
  EXPECT_TRUE(std::ranges::equal(network.State().tensor(0), before.tensor(0)));
  ASSERT_THAT(Train(network, source, {}, {}), IsOk());
  EXPECT_FALSE(std::ranges::equal(network.State().tensor(0), before.tensor(0)));
}

// By hand: decays of 2/11 and 3/12, which the plan's own bounds.
TEST_F(TrainerTest, GivesTheMeanOfItsWeights) {
  const auto train = [&](int steps, double decay) {
    Network network = Fresh();
    FixedBatches source = Batches(2);
    EXPECT_THAT(Train(network, source, {.steps = steps, .ema_decay = decay}, {}), IsOk());
    return network.State().values;
  };
  const std::vector<float> start = Fresh().State().values;
  const std::vector<float> one = train(1, 0);
  const std::vector<float> two = train(2, 0);
  const std::vector<float> mean = train(2, 0.22);
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double after_one = 2.0 / 11 * start[i] + 9.0 / 11 * one[i];
    ASSERT_NEAR(mean[i], 0.22 * after_one + 0.78 * two[i], 1e-6) << i;
  }
}

// bfloat16 has 8 bits: about as good a step, and not the same one.
TEST_F(TrainerTest, MixedPrecisionStepsNearlyAsFloat32Does) {
  const auto train = [&](bool mixed) {
    Network network = Fresh();
    network.UseMixedPrecision(mixed);
    FixedBatches source = Batches(2);
    EXPECT_THAT(Train(network, source, {.steps = 2}, {}), IsOk());
    return network.State().values;
  };
  const std::vector<float> start = Fresh().State().values;
  const std::vector<float> exact = train(false);
  const std::vector<float> mixed = train(true);
  EXPECT_NE(exact, mixed);
  EXPECT_LT(Distance(exact, mixed), 0.2 * Distance(start, exact));
}

// A network without batch norm: the step is the whole batch's, classes weighed and all.
TEST_F(TrainerTest, PartsOfABatchAddUpToItsStep) {
  const auto train = [&](int micro_batch, int images) {
    Network network = Fresh("vgg16");
    FixedBatches source = Batches(1, images);
    const auto report = Train(network, source,
                              {.learning_rate = 0.1,
                               .momentum = 0,
                               .label_smoothing = 0.1,
                               .class_weights = {0.5, 1, 3},
                               .micro_batch = micro_batch},
                              {});
    EXPECT_THAT(report, IsOk());
    return std::pair(network.State().values, report->loss);
  };
  spec_.dropout = 0;
  for (const int images : {8, 7}) {  // the last part may be smaller
    const auto [whole, loss] = train(0, images);
    const auto [parts, loss_of_parts] = train(2, images);
    EXPECT_NEAR(loss, loss_of_parts, 1e-5);
    EXPECT_LT(Distance(whole, parts), 1e-4);
    EXPECT_GT(Distance(whole, Fresh("vgg16").State().values), 1e-2);
  }
}

TEST_F(TrainerTest, MixupMixesImagesAndTheirLosses) {
  Batch batch = RandomBatch(spec_, 2, 1);
  batch.labels = {0, 1};
  const auto train = [&](double alpha) {
    Network network = Fresh();
    FixedBatches source({batch});
    EXPECT_THAT(Train(network, source, {.epochs = 3, .momentum = 0, .mixup_alpha = alpha}, {}),
                IsOk());
    return network.State().values;
  };
  const auto plain = train(0);
  const auto mixed = train(1);
  EXPECT_EQ(mixed, train(1));
  EXPECT_GT(Distance(plain, mixed), 1e-3);
  // Two copies of one image: a mixture of it with itself is itself.
  const std::size_t image = batch.pixels.size() / 2;
  std::copy_n(batch.pixels.begin(), image, batch.pixels.begin() + static_cast<long>(image));
  batch.labels = {1, 1};
  EXPECT_LT(Distance(train(0), train(1)), 1e-4);
}

// Stopped after any step and gone on with in a new network: the same bits.
TEST_F(TrainerTest, GoesOnFromACheckpointBitForBit) {
  spec_.dropout = 0.5;
  for (const auto optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdamW, OptimizerKind::kLamb}) {
    const TrainOptions options{.epochs = 3,
                               .optimizer = optimizer,
                               .schedule = Schedule::kCosine,
                               .clip_norm = 5,
                               .ema_decay = 0.9,
                               .seed = 5};
    std::vector<TrainState> states;
    Network whole = Fresh();
    FixedBatches source = Batches(4);
    ASSERT_OK_AND_ASSIGN(const TrainReport report, Train(whole, source, options, {}, {},
                                                         {.interval = std::chrono::nanoseconds(1),
                                                          .keep = [&](const TrainState& state) {
                                                            states.push_back(state);
                                                            return OkStatus();
                                                          }}));
    ASSERT_EQ(states.size(), 12U);  // before each step
    for (const TrainState& state : states) {
      Network network = Fresh();
      FixedBatches again = Batches(4);
      ASSERT_OK_AND_ASSIGN(const TrainReport rest,
                           Train(network, again, options, {}, {}, {.from = &state}));
      EXPECT_EQ(network.State().values, whole.State().values) << state.report.steps;
      EXPECT_EQ(rest.steps, report.steps);
      EXPECT_EQ(rest.examples, report.examples);
      EXPECT_EQ(rest.loss, report.loss);
    }
  }
}

TEST_F(TrainerTest, StateOfAnotherOptimiserIsRefused) {
  Network network = Fresh();
  FixedBatches source = Batches(1);
  TrainState state;
  state.network = network.State().values;
  EXPECT_THAT(Train(network, source, {}, {}, {}, {.from = &state}),
              StatusIs(testing::kInvalid, HasSubstr("optimiser")));
}

TEST_F(TrainerTest, StopEndsTraining) {
  Network network = Fresh();
  FixedBatches source = Batches(4);
  std::stop_source stop;
  const auto report = Train(network, source, {.epochs = 1000}, stop.get_token(),
                            [&](std::uint64_t done, std::uint64_t /*total*/) {
                              if (done == 3) stop.request_stop();
                            });
  EXPECT_THAT(report, StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(TrainerTest, DivergenceIsReportedWithItsStep) {
  Network network = Fresh();
  FixedBatches source = Batches(4);
  EXPECT_THAT(Train(network, source, {.epochs = 50, .learning_rate = 1e20}, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("at step")));
}

TEST_F(TrainerTest, SingleImagesAreLeftOutAndNothingElseIsAnError) {
  Network network = Fresh("resnet18");
  FixedBatches some({RandomBatch(spec_, 4, 1), RandomBatch(spec_, 1, 2)});
  EXPECT_EQ(Train(network, some, {.epochs = 2}, {})->steps, 2U);
  FixedBatches none({RandomBatch(spec_, 1, 2)});
  EXPECT_THAT(Train(network, none, {.epochs = 2}, {}), StatusIs(testing::kInvalid));
}

TEST_F(TrainerTest, PredictionsAreProbabilities) {
  Network network = Fresh();
  ASSERT_OK_AND_ASSIGN(const auto p, Predict(network, RandomBatch(spec_, 5, 1)));
  ASSERT_EQ(p.size(), 15U);
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(p[3 * i] + p[3 * i + 1] + p[3 * i + 2], 1, 1e-5);
}

}  // namespace
}  // namespace consilium
