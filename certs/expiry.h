#pragma once

// When to renew a certificate, and when to speak of one that ends soon.

#include <map>
#include <string>

#include "common/base/clock.h"
#include "common/crypto/certificate.h"

namespace consilium {

// When a third of its time is left.
TimePoint RenewalTime(const Certificate& certificate);

// Says of each certificate that it ends soon 60, 30 and 7 days before, and then once a day. Not
// thread-safe.
class ExpiryWarnings {
 public:
  // "the certificate of hospital 'north' ends in 29 days"; empty where there is nothing new to say.
  std::string Next(const std::string& whose, TimePoint ends, TimePoint now);

 private:
  std::map<std::string, std::chrono::days> said_;  // with how many days left
};

}  // namespace consilium
