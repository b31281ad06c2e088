#include "common/rpc/protocol.h"

#include <gmock/gmock.h>

#include "tests/testing/status_matchers.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(Protocol, CallersOfTheSameFirstNumberAreServed) {
  EXPECT_THAT(CheckCallerProtocol("", ""), IsOk());  // version 1.0 does not say
  EXPECT_THAT(CheckCallerProtocol("1.0", "0.1.0"), IsOk());
  EXPECT_THAT(CheckCallerProtocol(ProtocolVersion(), SoftwareVersion()), IsOk());
  EXPECT_THAT(CheckCallerProtocol("1.2", "0.3.0"), IsOk());
}

TEST(Protocol, OthersAreToldWhoMustInstallWhat) {
  EXPECT_THAT(CheckCallerProtocol("2.0", "9.0.0"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("install a coordinator")));
  for (const std::string_view version : {"0.9", "x", "-1", "99999999999999999999"}) {
    EXPECT_THAT(CheckCallerProtocol(version, "0.0.1"),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("install a client")))
        << version;
  }
}

}  // namespace
}  // namespace consilium
