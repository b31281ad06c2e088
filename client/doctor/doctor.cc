#include "client/doctor/doctor.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "certs/home.h"
#include "client/data/check.h"
#include "client/nn/network.h"
#include "client/rpc/coordinator_client.h"
#include "client/rpc/fetch_authority.h"
#include "client/session/plan_options.h"
#include "common/config/site.h"
#include "common/doctor/machine.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kSomeSkew{30};
constexpr std::chrono::minutes kMuchSkew{4};  // certificates are dated five minutes back
constexpr double kRareShare = 0.05;
constexpr char kAskForInvitation[] =
    "ask the coordinator for a new invitation, and join again in a new folder";
constexpr char kRenew[] =
    "consilium-client renew; once it has expired, ask the coordinator for a new invitation";

std::string Text(const Status& status) { return std::string(status.message()); }

// Who this hospital is; none where the folder does not say.
std::optional<Home> ExamineIdentity(const fs::path& folder, std::vector<Diagnosis>& found) {
  auto home = ReadHome(folder);
  if (!home.ok()) {
    const bool encrypted = Text(home.status()).find("passphrase") != std::string::npos;
    found.push_back(Error("IDENTITY", Text(home.status()),
                          encrypted ? "name its file in CONSILIUM_PASSPHRASE_FILE, as for the agent"
                                    : kAskForInvitation));
    return std::nullopt;
  }
  const auto certificate = Certificate::FromPem(home->certificate_pem);
  const auto identity = certificate.ok() ? IdentityOf(*certificate) : certificate.status();
  if (!identity.ok()) {
    found.push_back(Error("IDENTITY", Text(identity.status()), kAskForInvitation));
    return std::nullopt;
  }
  found.push_back(
      Fine("IDENTITY", fmt::format("{} '{}' of federation '{}'", RoleName(identity->role),
                                   identity->name, identity->federation)));
  found.push_back(DiagnoseSecret(folder / "identity.key"));
  found.push_back(DiagnoseCertificate("this hospital's certificate", *certificate,
                                      SystemClock().Now(), kRenew));
  return *std::move(home);
}

// Whether who answers is the coordinator, and not something between.
Diagnosis DiagnoseTls(const Home& home) {
  const auto authority = Certificate::FromPem(home.ca_pem);
  const auto chain = FetchCertificates(home.endpoint);
  if (!authority.ok()) return Error("TLS", Text(authority.status()), kAskForInvitation);
  if (!chain.ok()) {
    return Error("TLS", fmt::format("no TLS 1.3 there: {}", Text(chain.status())),
                 "ask whether something at the hospital's border ends TLS, and have this address "
                 "left out of it");
  }
  // At a time when it is valid: this machine's clock is another question.
  if (chain->empty() ||
      !VerifyChain(*chain, *authority, Purpose::kServer, chain->front().NotBefore()).ok()) {
    return Error("TLS",
                 fmt::format("{} shows a certificate of '{}', not of this federation's CA: "
                             "something intercepts TLS, or the coordinator was made anew",
                             home.endpoint, chain->empty() ? "" : chain->front().Issuer()),
                 "have this address left out of TLS inspection; or ask for a new invitation");
  }
  return Fine("TLS", "the coordinator's own certificate, from this federation's CA");
}

Diagnosis DiagnoseSkew(std::chrono::milliseconds ahead) {
  const double seconds = std::chrono::duration<double>(ahead).count();
  std::string cause = fmt::format("the coordinator's clock is {:.1f} s {} this one",
                                  std::abs(seconds), seconds < 0 ? "behind" : "ahead of");
  const std::string fix = "let a time service set the clocks: apt install systemd-timesyncd";
  if (std::chrono::abs(ahead) > kMuchSkew) return Error("CLOCK-SKEW", std::move(cause), fix);
  if (std::chrono::abs(ahead) > kSomeSkew) return Warning("CLOCK-SKEW", std::move(cause), fix);
  return Fine("CLOCK-SKEW", std::move(cause));
}

void ExamineNetwork(const Home& home, const std::stop_token& stop, std::vector<Diagnosis>& found) {
  const auto [host, port] = SplitEndpoint(home.endpoint);
  found.push_back(DiagnoseProxy(host));
  if (found.back().level == Level::kOk) {  // otherwise name and way are the proxy's business
    found.push_back(DiagnoseName(host));
    if (found.back().level == Level::kError) return;
    const Status reached = ConnectTo(host, port);
    if (!reached.ok()) {
      found.push_back(Error("REACHABLE", Text(reached),
                            fmt::format("ask for outgoing TCP to {} to be let through, and whether "
                                        "the coordinator runs",
                                        home.endpoint)));
      return;
    }
    found.push_back(Fine("REACHABLE", fmt::format("{} takes connections", home.endpoint)));
    found.push_back(DiagnoseTls(home));
  }
  const auto greeting = CoordinatorClient(home, stop).Greet();
  if (!greeting.ok()) {
    found.push_back(Error("COORDINATOR", Text(greeting.status()),
                          "mend what is said above; otherwise show this line to the coordinator"));
    return;
  }
  found.push_back(Fine(
      "COORDINATOR",
      "answers: consilium " + (greeting->version.empty() ? "of version 0.1" : greeting->version)));
  found.push_back(DiagnoseSkew(greeting->clock_ahead));
}

void ExamineMachine(const fs::path& folder, const v1::SiteConfig& site,
                    std::vector<Diagnosis>& found) {
  found.push_back(DiagnoseDisk(folder));
  found.push_back(DiagnoseMemory());
  const bool has_gpu = ResolveDevice("auto") == "cuda";
  if (site.device() == "cuda" && !has_gpu) {
    found.push_back(
        Error("DEVICE", "site.yaml asks for cuda, and LibTorch finds none here",
              "install the GPU's driver and a LibTorch with CUDA, or set device: auto"));
  } else {
    found.push_back(Fine("DEVICE", fmt::format("trains on {}", ResolveDevice(site.device()))));
  }
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned threads = site.threads() == 0 ? cores : site.threads();
  const char* openmp = std::getenv("OMP_NUM_THREADS");
  std::string cause = fmt::format("{} for arithmetic, on {} cores", threads, cores);
  if (threads > cores) {
    found.push_back(Warning("THREADS", cause + ": they get into each other's way",
                            "set threads: 0 in site.yaml"));
  } else if (openmp != nullptr && std::strtoul(openmp, nullptr, 10) < threads) {
    found.push_back(Warning("THREADS", fmt::format("{}, but OMP_NUM_THREADS={}", cause, openmp),
                            "unset OMP_NUM_THREADS"));
  } else {
    found.push_back(Fine("THREADS", std::move(cause)));
  }
  const Blas blas = FindBlas();
  found.push_back(blas.is_slow ? Warning("BLAS", blas.file + ", the reference BLAS, slow",
                                         "apt install libopenblas0-pthread")
                               : Fine("BLAS", blas.file));
}

// Which classes of the training images are rare, and so hard to learn from this hospital.
Diagnosis DiagnoseBalance(const DataReport& report) {
  const auto train = report.counts.find("train");
  if (train == report.counts.end()) {
    return Error("BALANCE", "no image is for training", "see: consilium-client data check");
  }
  std::uint64_t all = 0;
  for (const auto& [label, count] : train->second) all += count;
  std::string counts;
  std::string rare;
  for (const auto& [label, count] : train->second) {
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", label, count);
    if (static_cast<double>(count) < kRareShare * static_cast<double>(all)) rare += " " + label;
  }
  std::string cause = fmt::format("{} training images: {}", all, counts);
  if (rare.empty() && train->second.size() > 1) return Fine("BALANCE", std::move(cause));
  return Warning("BALANCE",
                 cause + (rare.empty() ? "; one class alone" : "; less than 5% of them are" + rare),
                 "use class_weights in the plan, and tell the coordinator: a model learns little "
                 "here of what is hardly here");
}

void ExamineData(const v1::SiteConfig& site, const std::stop_token& stop,
                 std::vector<Diagnosis>& found) {
  if (site.data().path().empty()) {
    found.push_back(Error("DATA", "site.yaml has no data.path", "say there where the images are"));
    return;
  }
  const auto report = CheckData(ToDataSource(site.data()), stop, {});
  if (!report.ok()) {
    found.push_back(Error("DATA", Text(report.status()), "see: consilium-client data check"));
    return;
  }
  const std::string all = "see: consilium-client data check --data " + site.data().path();
  const double unreadable = static_cast<double>(report->unreadable.size()) /
                            static_cast<double>(std::max<std::uint64_t>(1, report->images));
  if (unreadable > site.data().max_unreadable()) {
    found.push_back(
        Error("DATA",
              fmt::format("{} of {} images cannot be read, the first: {}",
                          report->unreadable.size(), report->images, report->unreadable.front()),
              all));
  } else if (!report->IsSound()) {
    found.push_back(
        Warning("DATA",
                fmt::format("of {} images {} cannot be read, {} are there twice, {} "
                            "patients are in two splits",
                            report->images, report->unreadable.size(), report->duplicates.size(),
                            report->patients_in_two_splits.size()),
                all));
  } else {
    found.push_back(Fine("DATA", fmt::format("{} images, all readable", report->images)));
  }
  found.push_back(DiagnoseBalance(*report));
}

}  // namespace

std::vector<Diagnosis> ExamineHospital(const fs::path& folder, const std::stop_token& stop) {
  std::vector<Diagnosis> found;
  const auto home = ExamineIdentity(folder, found);
  if (home) ExamineNetwork(*home, stop, found);
  const auto site = ReadSite(folder / kSiteFile);
  if (!site.ok()) {
    found.push_back(Error("SETTINGS", Text(site.status()), "see: consilium-client start --help"));
    return found;
  }
  found.push_back(Fine("SETTINGS", (folder / kSiteFile).string()));
  ExamineMachine(folder, *site, found);
  ExamineData(*site, stop, found);
  return found;
}

}  // namespace consilium
