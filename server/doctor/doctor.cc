#include "server/doctor/doctor.h"

#include <sys/resource.h>

#include "certs/authority.h"
#include "common/base/file.h"
#include "common/doctor/machine.h"
#include "server/rpc/server_options.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr rlim_t kFewFiles = 4096;

std::string Text(const Status& status) { return std::string(status.message()); }

Diagnosis DiagnoseCertificateFile(const std::string& whose, const fs::path& path,
                                  const std::string& renewal) {
  const auto pem = ReadFile(path);
  const auto certificate = pem.ok() ? Certificate::FromPem(*pem) : pem.status();
  if (!certificate.ok()) {
    return Error("CERTIFICATE", fmt::format("{}: {}", path.string(), Text(certificate.status())),
                 "put the file back from a backup");
  }
  return DiagnoseCertificate(whose, *certificate, SystemClock().Now(), renewal);
}

Diagnosis DiagnoseRootKey(const fs::path& key, bool is_needed) {
  std::error_code error;
  if (!fs::exists(key, error)) return Fine("ROOT-KEY", "the root's key is not in this folder");
  const std::string cause = key.string() + ": whoever has it is the federation";
  if (is_needed) {
    return Warning("ROOT-KEY", cause,
                   "this federation's root issues by itself; one that is made anew has a root that "
                   "is kept offline");
  }
  return Warning("ROOT-KEY", cause,
                 fmt::format("move {} to a medium that is kept offline, in two copies",
                             key.parent_path().string()));
}

Diagnosis DiagnosePort(const std::string& code, const std::string& host, int port) {
  const Status reached = ConnectTo(host, port);
  const std::string address = fmt::format("{}:{}", host, port);
  if (reached.ok()) return Fine(code, address + " takes connections");
  return Warning(code, Text(reached),
                 fmt::format("start it: consilium-server serve; then let TCP to {} through the "
                             "firewall, from outside too",
                             address));
}

// Each hospital costs a connection and, while it sends, a file.
Diagnosis DiagnoseOpenFiles() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  std::string cause = fmt::format("{} files may be open", limit.rlim_cur);
  if (limit.rlim_cur >= kFewFiles) return Fine("FILES", std::move(cause));
  return Warning(
      "FILES", std::move(cause),
      "enough for some hundred hospitals; for more: ulimit -n 65536, or LimitNOFILE=65536 "
      "in systemd");
}

void ExamineCertificates(const fs::path& folder, std::vector<Diagnosis>& found) {
  const fs::path authority = folder / kAuthorityFolder;
  const fs::path issuing = authority / Authority::kIssuingFile;
  const bool is_old = !fs::exists(issuing);  // from before version 0.3: the root issues by itself
  const fs::path root_key = is_old ? authority / "ca.key" : authority / "root/ca.key";
  const std::string renew = fmt::format("consilium-server renew --dir {}", folder.string());
  for (const fs::path& secret : {folder / "server.pem", is_old ? root_key : issuing,
                                 folder / kAdminFolder / "identity.key"}) {
    if (fs::exists(secret)) found.push_back(DiagnoseSecret(secret));
  }
  found.push_back(DiagnoseRootKey(root_key, is_old));
  if (fs::exists(folder / "server.pem")) {  // the first start makes it
    found.push_back(
        DiagnoseCertificateFile("the coordinator's certificate", folder / "server.pem", renew));
  }
  if (!is_old) {
    found.push_back(
        DiagnoseCertificateFile("the issuing CA", issuing, renew + " --root FOLDER-WITH-ca.key"));
  }
  found.push_back(DiagnoseCertificateFile(
      "the root CA", authority / "ca.crt",
      "make a new federation before that day, and invite the hospitals to it"));
}

}  // namespace

std::vector<Diagnosis> ExamineCoordinator(const fs::path& folder) {
  std::vector<Diagnosis> found;
  const auto options = ReadServerOptions(folder);
  if (!options.ok()) {
    found.push_back(Error("FEDERATION", Text(options.status()),
                          "name the folder that `consilium-server init` made"));
    return found;
  }
  found.push_back(Fine("FEDERATION", fmt::format("'{}', called at {}:{}", options->federation,
                                                 options->host, options->port)));
  ExamineCertificates(folder, found);
  found.push_back(DiagnoseName(options->host));
  if (found.back().level == Level::kOk) {
    found.push_back(DiagnosePort("LISTENING", options->host, options->port));
    found.push_back(DiagnosePort("ENROLMENT", options->host, options->enrol_port));
  }
  found.push_back(DiagnoseClock());
  found.push_back(DiagnoseDisk(folder));
  found.push_back(DiagnoseMemory());
  found.push_back(DiagnoseOpenFiles());
  return found;
}

}  // namespace consilium
