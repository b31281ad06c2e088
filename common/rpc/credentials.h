#pragma once

// TLS for both ends: TLS 1.3 alone, the federation's CA as the only root.
//
// gRPC 1.51 has no public setting for the lowest TLS version. What it has is the list of ciphers
// for TLS 1.2, which these functions fill with one that no certificate can serve, so that a TLS 1.2
// handshake finds no cipher and fails; TLS 1.3 has a list of its own. The setting is per process
// and read at the first handshake: make credentials here and nowhere else.

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>
#include <string>

#include "common/crypto/certificate.h"

namespace consilium {

struct KeyPair {
  std::string certificate_pem;  // the certificate, then its issuers
  std::string key_pem;
};

// What a server's own keys are read from: ca_file holds the root, identity_file a key and its
// certificate, then the issuers', in PEM. The files are looked at every second, and connections
// made after they change use what they then hold.
struct ServerFiles {
  std::string ca_file;
  std::string identity_file;
};

// Called with the reason of each connection whose certificate is not good; from any thread.
using RefusalCallback = std::function<void(const std::string& reason)>;

// For the port of members: a connection without a certificate is refused in the handshake, and one
// whose certificate does not lead to the root (VerifyChain) right after it, before any call.
std::shared_ptr<grpc::ServerCredentials> MutualTlsServer(const ServerFiles& files,
                                                         const Certificate& root,
                                                         RefusalCallback on_refusal);
// For the enrolment port: asks for no client certificate.
std::shared_ptr<grpc::ServerCredentials> EnrolmentTlsServer(const std::string& identity_file);

// For a caller with a certificate; the server must have one of the CA for the host name called.
std::shared_ptr<grpc::ChannelCredentials> MutualTlsClient(const std::string& ca_pem,
                                                          const KeyPair& own);
// For a caller that has none yet.
std::shared_ptr<grpc::ChannelCredentials> EnrolmentTlsClient(const std::string& ca_pem);

}  // namespace consilium
