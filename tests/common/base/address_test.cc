#include "common/base/address.h"

#include <gmock/gmock.h>

namespace consilium {
namespace {

TEST(Address, LoopbackIsThisMachineAndNoNameThatBeginsLikeIt) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"", "127.0.0.1.example.org", "128.0.0.1", "::2", "localhost.example"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace consilium
