// What somebody who wants to join sends: the message, and the signing request in it.

#include "certs/authority.h"
#include "common/crypto/issue.h"
#include "consilium/v1/enrolment.pb.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const std::string_view text = fuzz::AsText(data, size);
  (void)SigningRequest::FromPem(text);
  (void)Certificate::ChainFromPem(text);
  v1::JoinRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return 0;
  const auto parsed = SigningRequest::FromPem(request.request_pem());
  if (!parsed.ok()) return 0;
  static const PrivateKey key = *PrivateKey::Generate();
  static const Certificate root =
      *CreateRoot(key, "fuzz", FromUnixMillis(1'800'000'000'000), std::chrono::days(1));
  // A request that is good can be answered.
  fuzz::Require(IssueCertificate({root, key}, *parsed,
                                 {.common_name = "north",
                                  .subject_alternative_names = {"URI:spiffe://a/hospital/b"},
                                  .now = FromUnixMillis(1'800'000'000'000)})
                    .ok());
  return 0;
}
