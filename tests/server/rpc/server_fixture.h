#pragma once

// A coordinator over real TLS, and hospitals that only move bytes.

#include <gmock/gmock.h>

#include <string>

#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/rpc/grpc_status.h"
#include "tests/testing/live_server.h"
#include "tests/testing/small_model.h"

namespace consilium {

inline constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
inline constexpr std::chrono::seconds kTimeout{10};

class ServerTest : public ::testing::Test {
 protected:
  Status ListSites(const std::shared_ptr<grpc::Channel>& channel) {
    CallContext context(kTimeout, {});
    v1::ListSitesResponse response;
    return FromGrpc(v1::AdminService::NewStub(channel)->ListSites(context.get(), {}, &response));
  }
  void Revoke(const std::string& site) {
    v1::RevokeSiteRequest request;
    request.set_site(site);
    CallContext context(kTimeout, {});
    v1::RevokeSiteResponse response;
    ASSERT_TRUE(server_.Admin()->RevokeSite(context.get(), request, &response).ok());
  }
  // Submits a one-round run of the small model and gives its id.
  std::string Submit(const std::string& initial_digest = "") {
    v1::SubmitRunRequest request;
    *request.mutable_plan() = SmallPlan();
    request.set_initial_model_digest(initial_digest);
    CallContext context(kTimeout, {});
    v1::SubmitRunResponse response;
    EXPECT_THAT(FromGrpc(server_.Admin()->SubmitRun(context.get(), request, &response)),
                testing::IsOk());
    return response.run_id();
  }
  static v1::RunPlan SmallPlan() {
    v1::RunPlan plan = DefaultPlan();
    plan.set_rounds(1);
    plan.mutable_quorum()->set_count(1);
    plan.mutable_model()->set_architecture("simple_cnn");
    plan.mutable_model()->set_input_size(32);
    return plan;
  }
  static std::string SmallModel(const Provenance& provenance, std::uint64_t seed) {
    return testing::EncodeFile({testing::SmallSpec(), provenance},
                               testing::RandomState(testing::SmallLayout(), seed));
  }

  static v1::ReportTaskRequest ResultOf(const v1::Task& task, const std::string& digest,
                                        std::uint64_t train_examples) {
    v1::ReportTaskRequest report;
    report.set_task_id(task.task_id());
    report.mutable_result()->set_blob_digest(digest);
    report.mutable_result()->set_train_examples(train_examples);
    return report;
  }
  static v1::Task NextTask(CoordinatorClient& client) {
    const auto task = client.NextTask(std::chrono::seconds(10));
    EXPECT_THAT(task, testing::IsOk());
    return task.ok() && *task ? **task : v1::Task();
  }
  // Does the client's next task with these bytes as its result.
  static void Deliver(CoordinatorClient& client, const std::string& bytes, std::uint64_t n) {
    const v1::Task task = NextTask(client);
    const std::string digest = Sha256Of(bytes);
    ASSERT_THAT(client.Upload(AsBytes(bytes), digest, task.task_id()), testing::IsOk());
    const auto report = ResultOf(task, digest, n);
    EXPECT_THAT(client.ReportTask(report), testing::IsOk());
    EXPECT_THAT(client.ReportTask(report), testing::IsOk());  // once more: the same answer
  }

  testing::LiveServer server_;
};

}  // namespace consilium
