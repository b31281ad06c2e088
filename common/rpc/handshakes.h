#pragma once

// The TLS handshakes that this process's servers refused before a certificate could be looked at:
// no TLS at all, an old version, no certificate. gRPC tells of them in its log alone.

#include <functional>
#include <string>

namespace consilium {

// While it lives, `on_refusal` is called, from any thread, with the reason of each such handshake.
// One at a time in a process; the newest counts.
class HandshakeWatch {
 public:
  explicit HandshakeWatch(std::function<void(const std::string& reason)> on_refusal);
  ~HandshakeWatch();
  HandshakeWatch(const HandshakeWatch&) = delete;
  HandshakeWatch& operator=(const HandshakeWatch&) = delete;

 private:
  const std::function<void(const std::string&)> on_refusal_;
};

}  // namespace consilium
