#include "common/rpc/round_trips.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

using std::chrono::milliseconds;

TEST(RoundTrips, TheQuickestOfEnoughCallsCounts) {
  RoundTrips trips;
  for (int call = 1; call < RoundTrips::kEnough; ++call) {
    trips.Note(milliseconds(call == 3 ? 40 : 40 + call));
    EXPECT_FALSE(trips.Shortest().has_value());
  }
  trips.Note(milliseconds(900));
  EXPECT_EQ(trips.Shortest(), milliseconds(40));
  trips.Note(milliseconds(2));
  EXPECT_EQ(trips.Shortest(), milliseconds(2));
}

}  // namespace
}  // namespace consilium
