#include "certs/expiry.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

using std::chrono::days;

// On how many days' notice it speaks, asked every hour from 100 days before to the day after.
TEST(ExpiryWarnings, SpeaksSixtyThirtyAndSevenDaysBeforeAndThenDaily) {
  const TimePoint ends(days(1000));
  ExpiryWarnings warnings;
  std::vector<long> spoken;
  for (TimePoint now = ends - days(100); now < ends + days(1); now += std::chrono::hours(1)) {
    if (!warnings.Next("'north'", ends, now).empty()) {
      spoken.push_back(std::chrono::floor<days>(ends - now).count());
    }
  }
  EXPECT_EQ(spoken, (std::vector<long>{60, 30, 7, 6, 5, 4, 3, 2, 1, 0, -1}));
}

TEST(ExpiryWarnings, SpeaksAtOnceOfOneThatIsNewToItAndStartsOverAfterARenewal) {
  const TimePoint now(days(1000));
  ExpiryWarnings warnings;
  EXPECT_EQ(warnings.Next("'north'", now + days(12), now),
            "the certificate of 'north' ends in 12 days");
  EXPECT_EQ(warnings.Next("'north'", now + days(12), now), "");
  EXPECT_EQ(warnings.Next("'north'", now + days(365), now), "");
  EXPECT_NE(warnings.Next("'north'", now + days(20), now), "");
  EXPECT_NE(warnings.Next("'south'", now - days(1), now).find("has ended"), std::string::npos);
}

}  // namespace
}  // namespace consilium
