#include "common/rpc/credentials.h"

#include <grpcpp/security/tls_credentials_options.h>

#include <cstdlib>
#include <vector>

namespace consilium {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::IdentityKeyCertPair;
using grpc::experimental::StaticDataCertificateProvider;

constexpr unsigned kWatchSeconds = 1;

void RequireTls13() {
  // A pre-shared-key cipher: unusable, since no pre-shared key is ever set.
  static const bool once = ::setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES128-GCM-SHA256", 1) == 0;
  if (!once) std::abort();
}

std::vector<IdentityKeyCertPair> ToPairs(const KeyPair& own) {
  return {{.private_key = own.key_pem, .certificate_chain = own.certificate_pem}};
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MutualTlsServer(const std::string& ca_file,
                                                         const std::string& identity_file) {
  RequireTls13();
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<FileWatcherCertificateProvider>(identity_file, identity_file, ca_file,
                                                       kWatchSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
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
