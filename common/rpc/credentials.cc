#include "common/rpc/credentials.h"

#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <cstdlib>
#include <vector>

#include "common/base/clock.h"
#include "common/rpc/grpc_status.h"

namespace consilium {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::IdentityKeyCertPair;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

constexpr unsigned kWatchSeconds = 1;

void RequireTls13() {
  // A pre-shared-key cipher: unusable, since no pre-shared key is ever set.
  static const bool once = ::setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES128-GCM-SHA256", 1) == 0;
  if (!once) std::abort();
}

// Verifies the chain that a caller has shown, whose key the handshake has proved to be its own.
class MemberVerifier final : public ExternalCertificateVerifier {
 public:
  MemberVerifier(Certificate root, RefusalCallback on_refusal)
      : root_(std::move(root)), on_refusal_(std::move(on_refusal)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const Status verified =
        Check(ToString(request->peer_cert()), ToString(request->peer_cert_full_chain()));
    *status = ToGrpc(verified);
    return true;  // there is nothing to wait for
  }
  void Cancel(TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  static std::string ToString(grpc::string_ref text) { return {text.data(), text.size()}; }

  Status Check(const std::string& leaf, const std::string& others) const {
    auto chain = Certificate::ChainFromPem(leaf);
    const auto rest = Certificate::ChainFromPem(others);
    if (chain.ok() && rest.ok()) chain->insert(chain->end(), rest->begin(), rest->end());
    const Status status = chain.ok()
                              ? VerifyChain(*chain, root_, Purpose::kClient, SystemClock().Now())
                              : chain.status();
    if (status.ok()) return status;
    const std::string who =
        !chain.ok() || chain->front().Uris().empty() ? "" : chain->front().Uris().front() + ": ";
    on_refusal_(who + std::string(status.message()));
    return status;
  }

  const Certificate root_;
  const RefusalCallback on_refusal_;
};

std::vector<IdentityKeyCertPair> ToPairs(const KeyPair& own) {
  return {{.private_key = own.key_pem, .certificate_chain = own.certificate_pem}};
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MutualTlsServer(const ServerFiles& files,
                                                         const Certificate& root,
                                                         RefusalCallback on_refusal) {
  RequireTls13();
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<FileWatcherCertificateProvider>(files.identity_file, files.identity_file,
                                                       files.ca_file, kWatchSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  // gRPC would verify the chain, too, and say of it no more than that it failed.
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(
      ExternalCertificateVerifier::Create<MemberVerifier>(root, std::move(on_refusal)));
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> EnrolmentTlsServer(const std::string& identity_file) {
  RequireTls13();
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<FileWatcherCertificateProvider>(identity_file, identity_file,
                                                       kWatchSeconds));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> MutualTlsClient(const std::string& ca_pem,
                                                          const KeyPair& own) {
  RequireTls13();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<StaticDataCertificateProvider>(ca_pem, ToPairs(own)));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> EnrolmentTlsClient(const std::string& ca_pem) {
  RequireTls13();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<StaticDataCertificateProvider>(ca_pem));
  options.watch_root_certs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace consilium
