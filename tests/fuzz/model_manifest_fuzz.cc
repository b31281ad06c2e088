// A model's signed manifest, and a line of an audit trail: nothing that was not signed, or chained,
// is believed.

#include "certs/model_manifest.h"
#include "common/audit/trail.h"
#include "common/crypto/issue.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  constexpr std::int64_t kNow = 1'800'000'000'000;
  static const Certificate root =
      *CreateRoot(*PrivateKey::Generate(), "fuzz", FromUnixMillis(kNow), std::chrono::days(1));
  v1::Signed statement;
  if (statement.ParseFromArray(data, static_cast<int>(size))) {
    fuzz::Require(!VerifyManifest(statement, root, FromUnixMillis(kNow)).ok());
  }
  TrailChecker checker;
  const auto entry = checker.Next(fuzz::AsText(data, size));
  fuzz::Require(entry.ok() == (checker.head().entries == 1));
  return 0;
}
