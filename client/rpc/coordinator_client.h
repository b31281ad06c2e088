#pragma once

// A hospital's end of the wire: joining, tasks, models. Every call goes outward.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "certs/home.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/blob_transfer.h"
#include "consilium/v1/coordinator.grpc.pb.h"
#include "consilium/v1/membership.grpc.pb.h"

namespace consilium {

// Joins a federation: fetches the CA from the enrolment address ("HOST:PORT", "https://" allowed
// before it) and compares it with the hash, makes a key in `folder`, has it certified with the
// token. Nothing is written unless all of it works. PERMISSION_DENIED for a wrong hash or a refused
// token. Gives who the invitation was for.
StatusOr<Identity> JoinFederation(const std::string& address, const std::string& token,
                                  const std::string& ca_sha256, const std::filesystem::path& folder,
                                  const std::stop_token& stop);

// Calls of a hospital that has joined. Each is one attempt: IsTransient tells whether another may
// succeed. Thread-safe but for what is said to be one thread's.
class CoordinatorClient {
 public:
  CoordinatorClient(const Home& home, std::stop_token stop);

  // The coordinator's build and protocol, as its last answer to NextTask said; empty before, and of
  // a coordinator that does not say. For the thread that calls NextTask.
  const std::string& coordinator_version() const { return coordinator_version_; }
  // What the calls go through.
  std::shared_ptr<grpc::Channel> channel() const { return connection()->channel; }
  // From now on calls are made with this identity; those under way go on with the former one.
  void UseIdentity(const Home& home);

  // The site's task; none where there was none within the wait. `in_hand`: the task that this
  // hospital was at before, which it is given again if that is open; or empty.
  StatusOr<std::optional<v1::Task>> NextTask(std::chrono::seconds wait,
                                             const std::string& in_hand = "");
  // Says how far a task is; whether nothing that comes of it is wanted any more. `stop` ends the
  // call.
  StatusOr<bool> ReportProgress(const v1::TaskProgress& progress, const std::stop_token& stop);
  // The coordinator's note, why the report changed nothing or empty, and the head of its audit
  // trail.
  StatusOr<v1::ReportTaskResponse> ReportTask(const v1::ReportTaskRequest& report);
  // run empty: of all runs. Oldest first.
  StatusOr<v1::ListModelsResponse> ListModels(const std::string& run);
  StatusOr<v1::Signed> GetManifest(const v1::ModelRef& model);
  // The newest model released on the channel.
  StatusOr<v1::GetReleaseResponse> GetRelease(const std::string& channel);

  // Makes a call that changes nothing: who answers, and how far its clock is ahead of this one's.
  struct Greeting {
    std::string version;  // see coordinator_version
    std::chrono::milliseconds clock_ahead{0};
  };
  StatusOr<Greeting> Greet();

  // Another key and certificate for the identity in `folder`, which must be the one that calls, and
  // goes on to until UseIdentity: the former certificate stays good for some minutes.
  Status RenewIdentity(const std::filesystem::path& folder);

  // See common/rpc/blob_transfer.h. CANCELLED once `stop` is asked for. An upload that is held down
  // may not fill the line: it goes by one connection, however long that is.
  Status Upload(std::span<const std::byte> bytes, const std::string& digest,
                const std::string& task_id, const std::stop_token& stop = {},
                const TransferCallback& on_chunk = {}, bool may_fill_line = true);
  Status Download(const std::string& digest, std::uint64_t max_bytes,
                  const std::filesystem::path& path, const std::stop_token& stop = {},
                  const TransferCallback& on_chunk = {});
  Status Download(const std::string& digest, std::uint64_t max_bytes, std::string& bytes,
                  const std::filesystem::path& part, const std::stop_token& stop = {},
                  const TransferCallback& on_chunk = {});

 private:
  struct Connection {
    explicit Connection(const Home& home);
    const Line line;
    const std::shared_ptr<grpc::Channel> channel;
    const std::unique_ptr<v1::CoordinatorService::Stub> tasks;
    const std::unique_ptr<v1::ModelService::Stub> models;
    const std::unique_ptr<v1::MembershipService::Stub> membership;
  };
  std::shared_ptr<const Connection> connection() const;

  const std::stop_token stop_;
  std::string coordinator_version_;
  mutable Mutex mu_;
  std::shared_ptr<const Connection> connection_ ABSL_GUARDED_BY(mu_);
};

}  // namespace consilium
