// consilium-pacs: speaks DICOM with a PACS for consilium-client pacs and fetch, which start it. It
// faces the network and has no model and no key of the federation.

#include <dcmtk/oflog/oflog.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/pacs/fetcher.h"
#include "client/pacs/receiver.h"
#include "client/pacs/report.h"
#include "client/pacs/sender.h"
#include "common/base/file.h"
#include "common/cli/cli.h"

namespace consilium {
namespace {

using Json = nlohmann::json;

// No object is larger, and a peer that never ends fills no disk.
constexpr rlim_t kMostBytesOfAFile = rlim_t{1} << 30;

void LimitFiles() {
  const rlimit limit{kMostBytesOfAFile, kMostBytesOfAFile};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, SIG_IGN);  // writing fails instead
  ::umask(077);                   // patients' pictures
}

// Whoever started this may be killed: a receiver that nobody reads from would keep the port.
void EndWithParent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == 1) std::_Exit(EXIT_FAILURE);
}

StatusOr<ImageReport> ReadImageReport(const std::string& file) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return CatchAsStatus(file, [&] {
    const Json json = Json::parse(text);
    ImageReport report{.software = json.at("software"),
                       .model_digest = json.at("model"),
                       .findings = {},
                       .abstains = json.value("abstains", false),
                       .limits = json.at("limits")};
    const std::vector<std::string> called = json.value("called", std::vector<std::string>());
    for (const auto& [name, probability] : json.at("probabilities").items()) {
      report.findings.push_back({.finding = name,
                                 .probability = probability,
                                 .called = std::ranges::count(called, name) > 0});
    }
    return report;
  });
}

struct ReportCommand {
  std::string source;
  std::string prediction;
  std::string overlay;
  std::string folder;
};

Status Report(const ReportCommand& command) {
  CSL_ASSIGN_OR_RETURN(const ImageReport report, ReadImageReport(command.prediction));
  const auto written = WriteReport(command.source, report, command.overlay, command.folder);
  if (absl::IsInvalidArgument(written.status())) {  // the image's fault: who asks puts it aside
    const Json json = {{"error", std::string(written.status().message())}};
    fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    return OkStatus();
  }
  CSL_ASSIGN_OR_RETURN(const ReportedImage image, written);
  const Json json = {{"patient", image.patient_id},
                     {"study", image.study_uid},
                     {"sop_class", image.sop_class_uid},
                     {"sop_instance", image.sop_instance_uid}};
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return OkStatus();
}

struct FetchCommand {
  std::string from;
  std::string title;
  StudyQuery query;
  std::filesystem::path folder;
};

// A JSON line a study.
Status Fetch(const FetchCommand& command, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Peer pacs, ParsePeer(command.from));
  CSL_ASSIGN_OR_RETURN(const std::vector<FetchedStudy> studies,
                       FetchStudies(pacs, command.title, command.query, command.folder, stop));
  for (const FetchedStudy& study : studies) {
    const Json json = {{"study", study.study_uid},
                       {"date", study.study_date},
                       {"images", study.images},
                       {"missing", study.missing}};
    fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return OkStatus();
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  using namespace consilium;
  WriteNoCore();
  LimitFiles();
  EndWithParent();
  const std::stop_token stop = StopOnSignals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("pacs"));
  OFLog::configure(OFLogger::OFF_LOG_LEVEL);  // it would print what peers send

  std::function<Status()> command;
  CLI::App app("DICOM for consilium-client pacs", "consilium-pacs");
  app.require_subcommand(1);
  const auto receiver = std::make_shared<ReceiverOptions>();
  CLI::App* receive = app.add_subcommand("receive", "Write what is sent into a folder");
  receive->add_option("--port", receiver->port)->required();
  receive->add_option("--title", receiver->ae_title)->required();
  receive->add_option("--sender", receiver->senders)->required();
  receive->add_option("folder", receiver->folder)->required();
  receive->callback([&] { command = [&] { return Receive(*receiver, stop, [] {}); }; });

  const auto reported = std::make_shared<ReportCommand>();
  CLI::App* report = app.add_subcommand("report", "Write a prediction as DICOM objects");
  report->add_option("source", reported->source)->required();
  report->add_option("prediction", reported->prediction)->required();
  report->add_option("overlay", reported->overlay)->required();
  report->add_option("folder", reported->folder)->required();
  report->callback([&] { command = [&] { return Report(*reported); }; });

  const auto fetched = std::make_shared<FetchCommand>();
  CLI::App* fetch = app.add_subcommand("fetch", "Get the images of studies that a PACS has");
  fetch->add_option("--from", fetched->from, "TITLE@HOST:PORT")->required();
  fetch->add_option("--title", fetched->title)->required();
  fetch->add_option("--patient", fetched->query.patient_id);
  fetch->add_option("--date", fetched->query.study_date);
  fetch->add_option("--modality", fetched->query.modality);
  fetch->add_option("folder", fetched->folder)->required();
  fetch->callback([&] { command = [&] { return Fetch(*fetched, stop); }; });

  std::string peer;
  std::string title;
  std::vector<std::filesystem::path> files;
  CLI::App* send = app.add_subcommand("send", "Send DICOM files");
  send->add_option("--to", peer, "TITLE@HOST:PORT")->required();
  send->add_option("--title", title)->required();
  send->add_option("files", files)->required();
  send->callback([&] {
    command = [&]() -> Status {
      CSL_ASSIGN_OR_RETURN(const Peer to, ParsePeer(peer));
      return SendFiles(to, title, files);
    };
  });
  CLI11_PARSE(app, argc, argv);
  return ExitCode("consilium-pacs", command);
}
