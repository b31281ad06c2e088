#include "server/round/cohort.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

using ::testing::ElementsAre;

TEST(Cohort, IsThePlansSitesAsFarAsActive) {
  EXPECT_THAT(Cohort({.sites = {"z", "b", "a"}}, {"a", "b", "c"}), ElementsAre("a", "b"));
  EXPECT_THAT(Cohort({}, {"a", "b"}), ElementsAre("a", "b"));
}

TEST(Quorum, CountOrFraction) {
  EXPECT_EQ(QuorumOf({.quorum_fraction = 0.5}, 3), 2);
  EXPECT_EQ(QuorumOf({.quorum_fraction = 2.0 / 3}, 3), 2);
  EXPECT_EQ(QuorumOf({.quorum_fraction = 0.6667}, 3), 3);  // what was written, not what was meant
  EXPECT_EQ(QuorumOf({.quorum_fraction = 1}, 7), 7);
  EXPECT_EQ(QuorumOf({.quorum_fraction = 0.01}, 3), 1);
  EXPECT_EQ(QuorumOf({.quorum_fraction = 0.5, .quorum_count = 3}, 10), 3);
}

}  // namespace
}  // namespace consilium
