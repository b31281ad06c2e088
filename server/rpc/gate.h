#pragma once

// Who calls, whether they may, and how often: the first line of every handler. Who is turned away
// stands in the audit trail.

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "certs/identity.h"
#include "common/audit/trail.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "server/registry/registry.h"
#include "server/rpc/answer.h"
#include "server/rpc/open_calls.h"
#include "server/rpc/rate_limit.h"

namespace consilium {

// A caller of a call that lasts, which is cut when the caller is revoked.
struct OpenCaller {
  Identity identity;
  OpenCalls::Entry open;
};

// Thread-safe. Outlived by what it is given.
class Gate {
 public:
  // A member's calls, and attempts to join from one address.
  static constexpr double kCallsPerSecond = 50;
  static constexpr double kCallBurst = 500;
  static constexpr double kJoinsPerSecond = 0.5;
  static constexpr double kJoinBurst = 20;

  Gate(Registry& registry, OpenCalls& open_calls, AuditTrail& trail, const Clock& clock)
      : registry_(registry), open_calls_(open_calls), trail_(trail), clock_(clock) {}

  // The caller's identity, from the certificate of its connection and nothing else.
  // PERMISSION_DENIED unless its role may make the call ("BlobService/Upload", see access.h);
  // FAILED_PRECONDITION where it speaks another protocol; UNAVAILABLE where it calls too often. The
  // answer to a caller who may call says what this coordinator speaks.
  StatusOr<Identity> Admit(grpc::CallbackServerContext& context, std::string_view rpc);
  // The same for a call that lasts.
  StatusOr<OpenCaller> AdmitOpen(grpc::CallbackServerContext& context, std::string_view rpc);
  // OK if the call needs no certificate, and its address does not call too often.
  Status AdmitNewcomer(grpc::CallbackServerContext& context, std::string_view rpc);

  // Answers a call with what the handler, which gets the caller's identity, says.
  template <typename Handler>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, std::string_view rpc,
                                   Handler&& handler) {
    return consilium::Answer(context, [&]() -> Status {
      CSL_ASSIGN_OR_RETURN(const Identity caller, Admit(*context, rpc));
      const Status status = handler(caller);
      NoteIfRefused(status, context->peer(), caller.name, rpc);
      return status;
    });
  }

  // Writes down a caller who was let in, and asked for what is not its own.
  void NoteIfRefused(const Status& status, const std::string& peer, const std::string& member,
                     std::string_view rpc);
  // Writes down a connection that was turned away before anybody could call.
  void NoteRefusedConnection(const std::string& reason);

 private:
  void Note(const Status& status, const std::string& peer, const std::string& member,
            std::string_view rpc);
  void NoteBounded(AuditFields fields);

  Registry& registry_;
  OpenCalls& open_calls_;
  AuditTrail& trail_;
  const Clock& clock_;
  Mutex mu_;
  RateLimit calls_ ABSL_GUARDED_BY(mu_){kCallsPerSecond, kCallBurst};
  RateLimit joins_ ABSL_GUARDED_BY(mu_){kJoinsPerSecond, kJoinBurst};
  // Who knocks without end must not fill the disk.
  RateLimit notes_ ABSL_GUARDED_BY(mu_){/*per_second=*/1, /*burst=*/500};
  std::uint64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

// The certificate of the caller's connection, in PEM; empty where there is none.
std::string PeerCertificate(const grpc::CallbackServerContext& context);

}  // namespace consilium
