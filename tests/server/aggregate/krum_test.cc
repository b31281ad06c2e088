#include "server/aggregate/krum.h"

#include <gmock/gmock.h>

#include "tests/testing/small_model.h"

namespace consilium {
namespace {

class KrumTest : public ::testing::Test {
 protected:
  std::size_t Choice() const {
    std::vector<WeightedUpdate> updates;
    for (const ModelState& state : states_) updates.push_back({state.values, {1}});
    KrumDistances distances(updates.size());
    const std::size_t middle = layout_->size() / 2;
    distances.Add(*layout_, updates, 0, middle);
    distances.Add(*layout_, updates, middle, layout_->size());
    return distances.Choice();
  }
  // Near to the first, by so much of another.
  void Add(float distance, std::uint64_t seed) {
    const ModelState centre = testing::RandomState(layout_, 1);
    ModelState state = testing::RandomState(layout_, seed);
    for (std::size_t i = 0; i < state.values.size(); ++i) {
      state.values[i] = centre.values[i] + distance * state.values[i];
    }
    states_.push_back(std::move(state));
  }

  std::shared_ptr<const Layout> layout_ = testing::SmallLayout();
  std::vector<ModelState> states_;
};

TEST_F(KrumTest, ChoosesAmongThoseThatAgree) {
  Add(100, 11);
  Add(0.1F, 12);
  Add(0.01F, 13);
  Add(0.1F, 14);
  Add(-80, 15);
  EXPECT_EQ(Choice(), 2U);
}

// One of five may be wrong: of each, the two nearest count.
TEST_F(KrumTest, SumsTheDistancesOfTheNearestByTheEquation) {
  layout_ = *Layout::Create({{"w", {1}, TensorRole::kParameter}});
  for (const float place : {0.0F, 1.0F, 3.0F, 3.5F, 50.0F}) {
    states_.emplace_back(layout_);
    states_.back().values = {place};
  }
  // Scores: 1 + 9, 1 + 4, 0.25 + 4, 0.25 + 6.25, 46.5^2 + 47^2.
  EXPECT_EQ(Choice(), 2U);
  states_[2].values = {2.9F};  // 0.36 + 3.61; the third's and the fourth's are 0.36 + 6.25
  EXPECT_EQ(Choice(), 2U);
  states_[0].values = {1.0F};  // 0 + 3.61 twice: the first of them
  EXPECT_EQ(Choice(), 0U);
}

TEST_F(KrumTest, LooksAtParametersAlone) {
  for (int i = 0; i < 3; ++i) Add(0.1F, static_cast<std::uint64_t>(20 + i));
  const std::size_t choice = Choice();
  for (std::size_t t = 0; t < layout_->tensors().size(); ++t) {
    if (layout_->tensors()[t].role == TensorRole::kParameter) continue;
    states_[choice].values[layout_->offset(t)] = 1e6F;
  }
  EXPECT_EQ(Choice(), choice);
}

}  // namespace
}  // namespace consilium
