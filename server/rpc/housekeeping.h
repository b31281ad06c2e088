#pragma once

// What a coordinator does about certificates while it serves: its own and the issuing CA's are kept
// current, the revocation list is published, and it warns of those that end soon.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "certs/expiry.h"
#include "common/base/clock.h"
#include "server/registry/registry.h"
#include "server/rpc/model_signer.h"
#include "server/rpc/server_identity.h"

namespace consilium {

// Not thread-safe. Outlived by what it is given.
class Housekeeping {
 public:
  // The list is FOLDER/ca/crl.pem.
  Housekeeping(const std::filesystem::path& folder, Registry& registry, ServerIdentity& identity,
               ModelSigner& signer)
      : list_file_(folder / kAuthorityFolder / "crl.pem"),
        registry_(registry),
        identity_(identity),
        signer_(signer) {}

  // Does what is due; called about once a second. What fails is logged, and tried again.
  void Work(TimePoint now);

 private:
  void Report(const std::string& step, const Status& status);
  Status PublishRevocationList(TimePoint now);
  Status WarnOfExpiry(TimePoint now);

  const std::filesystem::path list_file_;
  Registry& registry_;
  ServerIdentity& identity_;
  ModelSigner& signer_;
  std::vector<Revocation> listed_;  // what the published list holds
  ExpiryWarnings warnings_;
  TimePoint published_;
  TimePoint looked_;
  TimePoint warned_;
  std::map<std::string, std::string> complaints_;  // the last of each step, not to be repeated
};

}  // namespace consilium
