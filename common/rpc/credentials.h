#pragma once

// TLS for both ends: TLS 1.3 alone, the federation's CA as the only root.
//
// gRPC 1.51 has no public setting for the lowest TLS version. What it has is the list of ciphers
// for TLS 1.2, which these functions fill with one that no certificate can serve, so that a TLS 1.2
// handshake finds no cipher and fails; TLS 1.3 has a list of its own. The setting is per process
// and read at the first handshake: make credentials here and nowhere else.

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

namespace consilium {

struct KeyPair {
  std::string certificate_pem;  // the certificate, then its issuers
  std::string key_pem;
};

// For the port of members: a call without a certificate of the CA fails in the handshake. The files
// are looked at every second, and connections made after they change use what they then hold;
// identity_file holds a key and its certificate, then the issuers', in PEM.
std::shared_ptr<grpc::ServerCredentials> MutualTlsServer(const std::string& ca_file,
                                                         const std::string& identity_file);
// For the enrolment port: asks for no client certificate.
std::shared_ptr<grpc::ServerCredentials> EnrolmentTlsServer(const std::string& identity_file);

// For a caller with a certificate; the server must have one of the CA for the host name called.
std::shared_ptr<grpc::ChannelCredentials> MutualTlsClient(const std::string& ca_pem,
                                                          const KeyPair& own);
// For a caller that has none yet.
std::shared_ptr<grpc::ChannelCredentials> EnrolmentTlsClient(const std::string& ca_pem);

}  // namespace consilium
