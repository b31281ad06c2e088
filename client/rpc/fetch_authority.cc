#include "client/rpc/fetch_authority.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>

#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

// gRPC servers close a connection that does not ask for HTTP/2.
constexpr unsigned char kHttp2[] = {2, 'h', '2'};

Status ConnectError(const std::string& address) {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return Unavailable("cannot reach {}: {}", address, reason == nullptr ? "no answer" : reason);
}

}  // namespace

StatusOr<std::vector<Certificate>> FetchCertificates(const std::string& address) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  // The caller decides whom to trust, after the handshake; until then nothing is believed.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof(kHttp2));

  const std::shared_ptr<BIO> connection(BIO_new_ssl_connect(context.get()), BIO_free_all);
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  if (ssl == nullptr) return Internal("cannot make a TLS connection");
  BIO_set_conn_hostname(connection.get(), address.c_str());
  const std::string host = address.substr(0, address.rfind(':'));
  SSL_set_tlsext_host_name(ssl, host.c_str());
  if (BIO_do_connect_retry(connection.get(), /*timeout=*/15, /*nap_milliseconds=*/100) != 1) {
    return ConnectError(address);
  }

  const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  std::vector<Certificate> certificates;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    X509_up_ref(certificate);
    certificates.emplace_back(std::shared_ptr<X509>(certificate, X509_free));
  }
  return certificates;
}

StatusOr<std::string> FetchAuthority(const std::string& address, const std::string& ca_sha256) {
  if (!IsDigest(ca_sha256)) return InvalidArgument("--ca-sha256 wants 64 hexadecimal characters");
  CSL_ASSIGN_OR_RETURN(const std::vector<Certificate> chain, FetchCertificates(address));
  for (const Certificate& certificate : chain) {
    if (ConstantTimeEqual(certificate.Sha256(), ca_sha256)) return certificate.ToPem();
  }
  return PermissionDenied(
      "the server at {} does not have the CA of this invitation (--ca-sha256 {}): "
      "check the line you were sent, and do not join",
      address, ca_sha256);
}

}  // namespace consilium
