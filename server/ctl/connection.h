#pragma once

// What the commands of consilium-ctl share: one connection and the calls on it.

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "common/rpc/channel.h"
#include "common/rpc/unary_call.h"
#include "consilium/v1/admin.grpc.pb.h"
#include "consilium/v1/coordinator.grpc.pb.h"
#include "consilium/v1/membership.grpc.pb.h"
#include "server/ctl/commands.h"

namespace consilium {

using Json = nlohmann::ordered_json;

struct Ctl::Parts {
  static constexpr std::chrono::seconds kTimeout{30};

  std::filesystem::path home;
  std::string ca_pem;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::AdminService::Stub> admin;
  std::unique_ptr<v1::ModelService::Stub> models;
  std::unique_ptr<v1::MembershipService::Stub> membership;
  bool json = false;
  std::stop_token stop;

  // One unary call: Call(&v1::AdminService::Stub::Invite, *admin, request).
  template <typename Method, typename Stub, typename Request>
  auto Call(Method method, Stub& stub, const Request& request) {
    return CallUnary(method, stub, request, kTimeout, stop);
  }

  // One that changes nothing, so it is tried again while the network is away.
  template <typename Method, typename Stub, typename Request>
  auto Ask(Method method, Stub& stub, const Request& request) {
    return Retry(*channel, stop, [&] { return Call(method, stub, request); });
  }

  Status Renew();
  StatusOr<v1::GetRunResponse> GetRun(const std::string& run, int from_round = 0);
  StatusOr<v1::ListModelsResponse> GetModels(const std::string& run);
  // "RUN@ROUND", or "RUN" for its last model.
  StatusOr<v1::ModelRef> FindModel(const std::string& name);
  StatusOr<std::string> UploadInitialModel(const std::filesystem::path& path);
  // All lines of the coordinator's trail.
  StatusOr<std::vector<std::string>> ReadAudit();
};

}  // namespace consilium
