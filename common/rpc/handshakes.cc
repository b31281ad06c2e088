#include "common/rpc/handshakes.h"

#include <grpc/support/log.h>

#include <cstdio>
#include <mutex>
#include <string_view>

namespace consilium {
namespace {

constexpr std::string_view kRefused = "Handshake failed with fatal error";
constexpr std::string_view kReasonMark = "routines::";

std::mutex watch_mutex;
const std::function<void(const std::string&)>* watch_callback = nullptr;

// "peer did not return a certificate", of OpenSSL's line around it.
std::string ReasonOf(std::string_view message) {
  const std::size_t mark = message.rfind(kReasonMark);
  if (mark != std::string_view::npos) message.remove_prefix(mark + kReasonMark.size());
  if (message.ends_with('.')) message.remove_suffix(1);
  return std::string(message);
}

// In the place of gRPC's own, which would print to stderr.
void TakeLog(gpr_log_func_args* log) {
  if (std::string_view(log->message).starts_with(kRefused)) {
    const std::lock_guard lock(watch_mutex);
    if (watch_callback != nullptr) {
      (*watch_callback)("TLS handshake: " + ReasonOf(log->message));
      return;
    }
  }
  std::fprintf(stderr, "gRPC %s: %s (%s:%d)\n", gpr_log_severity_string(log->severity),
               log->message, log->file, log->line);
}

}  // namespace

HandshakeWatch::HandshakeWatch(std::function<void(const std::string&)> on_refusal)
    : on_refusal_(std::move(on_refusal)) {
  const std::lock_guard lock(watch_mutex);
  watch_callback = &on_refusal_;
  gpr_set_log_function(TakeLog);
}

HandshakeWatch::~HandshakeWatch() {
  const std::lock_guard lock(watch_mutex);
  if (watch_callback == &on_refusal_) watch_callback = nullptr;
}

}  // namespace consilium
