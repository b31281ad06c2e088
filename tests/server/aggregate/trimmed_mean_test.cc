#include "server/aggregate/trimmed_mean.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "common/base/random.h"

namespace consilium {
namespace {

class TrimmedMeanTest : public ::testing::Test {
 protected:
  // So many updates, of a few values each more than once.
  void Draw(std::size_t updates, std::size_t elements) {
    Random random(updates * 1000 + elements);
    values_.assign(updates, std::vector<float>(elements));
    for (auto& update : values_) {
      for (float& value : update) {
        value = random.Uniform() < 0.3 ? 1.0F : static_cast<float>(random.Normal());
      }
    }
  }
  std::vector<WeightedUpdate> Updates() const {
    std::vector<WeightedUpdate> updates;
    double weight = 1;
    for (const auto& update : values_) updates.push_back({update, {weight *= 3}});
    return updates;
  }
  // One element at a time, from the definition.
  float Oracle(std::size_t element, std::size_t trim) const {
    std::vector<double> column;
    for (const auto& update : values_) column.push_back(update[element]);
    std::ranges::sort(column);
    const auto first = column.begin() + static_cast<std::ptrdiff_t>(trim);
    const auto last = column.end() - static_cast<std::ptrdiff_t>(trim);
    return static_cast<float>(std::accumulate(first, last, 0.0) /
                              static_cast<double>(last - first));
  }

  std::vector<std::vector<float>> values_;
};

TEST_F(TrimmedMeanTest, EqualsTheDefinitionForEveryNumberOfUpdates) {
  for (std::size_t updates = 1; updates <= 34; ++updates) {
    Draw(updates, 70);
    for (std::size_t trim = 0; 2 * trim < updates; ++trim) {
      std::vector<float> out(60);
      TrimmedMean(Updates(), trim, 7, out);
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i], Oracle(i + 7, trim)) << updates << " updates, " << trim << " left out";
      }
    }
  }
}

TEST_F(TrimmedMeanTest, IsTheSameInParts) {
  Draw(300, 5000);  // more than a block of both
  std::vector<float> whole(5000);
  TrimmedMean(Updates(), 60, 0, whole);
  std::vector<float> parts(5000);
  for (std::size_t begin = 0; begin < parts.size(); begin += 777) {
    TrimmedMean(Updates(), 60, begin,
                std::span(parts).subspan(begin, std::min<std::size_t>(777, parts.size() - begin)));
  }
  EXPECT_EQ(parts, whole);
  EXPECT_EQ(whole[4999], Oracle(4999, 60));
}

TEST_F(TrimmedMeanTest, MedianStaysAmongTheHonestWhateverTheOthersSend) {
  Draw(5, 100);
  for (std::size_t i = 0; i < 2; ++i) std::ranges::fill(values_[i], i == 0 ? 1e30F : -1e30F);
  std::vector<float> out(100);
  TrimmedMean(Updates(), 2, 0, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto [least, most] = std::minmax({values_[2][i], values_[3][i], values_[4][i]});
    ASSERT_GE(out[i], least);
    ASSERT_LE(out[i], most);
  }
}

}  // namespace
}  // namespace consilium
