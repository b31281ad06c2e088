// Global models, and what hospitals are told to use.

#include "certs/model_manifest.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/crypto/digest.h"
#include "common/model/model_file.h"
#include "common/rpc/blob_transfer.h"
#include "server/ctl/connection.h"

namespace consilium {

StatusOr<v1::ListModelsResponse> Ctl::Parts::GetModels(const std::string& run) {
  v1::ListModelsRequest request;
  request.set_run_id(run);
  return Ask(&v1::ModelService::Stub::ListModels, *models, request);
}

StatusOr<v1::ModelRef> Ctl::Parts::FindModel(const std::string& name) {
  const std::size_t at = name.find('@');
  const std::string run = name.substr(0, at);
  CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse response, GetModels(run));
  const auto& refs = response.models();
  for (auto model = refs.rbegin(); model != refs.rend(); ++model) {
    if (at == std::string::npos || name.substr(at + 1) == std::to_string(model->round())) {
      return *model;
    }
  }
  return NotFound("there is no model '{}'; want RUN or RUN@ROUND, see: model list", name);
}

StatusOr<std::string> Ctl::Parts::UploadInitialModel(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const auto header = ParseModelHeader(file.bytes());
  if (!header.ok()) return Annotate(header.status(), path.string());
  std::string digest = Sha256Of(file.bytes());
  CSL_RETURN_IF_ERROR(
      Retry(*channel, stop, [&] { return UploadBlob(channel, file.bytes(), digest, "", stop); }));
  return digest;
}

Status Ctl::ListModels(const std::string& run) {
  CSL_ASSIGN_OR_RETURN(const v1::ListModelsResponse response, parts_->GetModels(run));
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {{"run", "round", "bytes", "digest"}};
  for (const v1::ModelRef& model : response.models()) {
    list.push_back({{"run", model.run_id()},
                    {"round", model.round()},
                    {"bytes", model.size_bytes()},
                    {"digest", model.digest()}});
    rows.push_back({model.run_id(), fmt::format("{}", model.round()),
                    fmt::format("{}", model.size_bytes()), model.digest()});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

Status Ctl::PullModel(const std::string& model, const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const v1::ModelRef found, parts_->FindModel(model));
  if (std::filesystem::exists(path)) return AlreadyExists("{} exists already", path.string());
  CSL_RETURN_IF_ERROR(Retry(*parts_->channel, parts_->stop, [&] {
    return DownloadBlob(parts_->channel, found.digest(), path, found.size_bytes(), parts_->stop);
  }));
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  v1::GetManifestRequest request;
  request.set_run_id(found.run_id());
  request.set_round(found.round());
  CSL_ASSIGN_OR_RETURN(const v1::GetManifestResponse response,
                       parts_->Ask(&v1::ModelService::Stub::GetManifest, *parts_->models, request));
  CSL_RETURN_IF_ERROR(WriteManifest(folder, found.digest(), response.manifest()));
  CSL_ASSIGN_OR_RETURN(const Certificate root, Certificate::FromPem(parts_->ca_pem));
  CSL_RETURN_IF_ERROR(VerifyModelFile(path, root, SystemClock().Now()));
  fmt::print("{}: round {}, {}\n", path.string(), found.round(), found.digest());
  return OkStatus();
}

Status Ctl::ReleaseModel(const std::string& model, const std::string& channel) {
  CSL_ASSIGN_OR_RETURN(const v1::ModelRef found, parts_->FindModel(model));
  v1::ReleaseModelRequest request;
  request.set_run_id(found.run_id());
  request.set_round(found.round());
  request.set_channel(channel);
  CSL_RETURN_IF_ERROR(parts_->Call(&v1::AdminService::Stub::ReleaseModel, *parts_->admin, request));
  fmt::print("released {}@{} on {}\n", found.run_id(), found.round(), channel);
  return OkStatus();
}

Status Ctl::WithdrawModel(const std::string& model, const std::string& channel) {
  CSL_ASSIGN_OR_RETURN(const v1::ModelRef found, parts_->FindModel(model));
  v1::WithdrawModelRequest request;
  request.set_run_id(found.run_id());
  request.set_round(found.round());
  request.set_channel(channel);
  CSL_RETURN_IF_ERROR(
      parts_->Call(&v1::AdminService::Stub::WithdrawModel, *parts_->admin, request));
  fmt::print("withdrew {}@{} from {}\n", found.run_id(), found.round(), channel);
  return OkStatus();
}

Status Ctl::ListReleases() {
  CSL_ASSIGN_OR_RETURN(const v1::ListReleasesResponse response,
                       parts_->Ask(&v1::AdminService::Stub::ListReleases, *parts_->admin,
                                   v1::ListReleasesRequest()));
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"channel", "model", "released", "by", "withdrawn", "by"}};
  for (const v1::Release& release : response.releases()) {
    list.push_back({{"channel", release.channel()},
                    {"run", release.model().run_id()},
                    {"round", release.model().round()},
                    {"digest", release.model().digest()},
                    {"released_unix_ms", release.released_unix_ms()},
                    {"released_by", release.released_by()},
                    {"withdrawn_unix_ms", release.withdrawn_unix_ms()},
                    {"withdrawn_by", release.withdrawn_by()}});
    rows.push_back({release.channel(),
                    fmt::format("{}@{}", release.model().run_id(), release.model().round()),
                    FormatTime(release.released_unix_ms()), release.released_by(),
                    FormatTime(release.withdrawn_unix_ms()), release.withdrawn_by()});
  }
  fmt::print("{}", parts_->json ? list.dump(2) + "\n" : FormatTable(rows));
  return OkStatus();
}

}  // namespace consilium
