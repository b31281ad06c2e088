#include "certs/expiry.h"

#include <fmt/format.h>

#include <algorithm>

namespace consilium {
namespace {

using std::chrono::days;

constexpr days kFirst{60};
constexpr days kSecond{30};
constexpr days kDaily{7};

// The days left at which to speak next, where so many are left.
days NextWarning(days left) {
  if (left > kSecond) return kSecond;
  if (left > kDaily) return kDaily;
  return left - days(1);
}

}  // namespace

TimePoint RenewalTime(const Certificate& certificate) {
  const TimePoint ends = certificate.NotAfter();
  return ends - (ends - certificate.NotBefore()) / 3;
}

std::string ExpiryWarnings::Next(const std::string& whose, TimePoint ends, TimePoint now) {
  const days left = std::chrono::floor<days>(ends - now);
  const auto said = said_.find(whose);
  // A certificate that was renewed starts over.
  const days due = said == said_.end() || left > said->second ? kFirst : NextWarning(said->second);
  if (left > due) {
    if (left > kFirst) said_.erase(whose);
    return "";
  }
  said_[whose] = left;
  if (ends <= now) return fmt::format("the certificate of {} has ended", whose);
  return fmt::format("the certificate of {} ends in {} days", whose, left.count());
}

}  // namespace consilium
