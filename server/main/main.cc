// consilium-server: makes a federation and serves it.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <csignal>
#include <mutex>

#include "certs/trail_head.h"
#include "common/base/memory.h"
#include "common/cli/cli.h"
#include "server/check/check.h"
#include "server/doctor/doctor.h"
#include "server/rpc/init.h"
#include "server/rpc/server.h"

namespace {

using consilium::Status;

Status Init(const std::string& dir, const consilium::ServerOptions& options) {
  const Status made = consilium::InitServer(dir, options, consilium::SystemClock().Now());
  if (!made.ok()) return made;
  fmt::print(
      "Federation '{0}' made in {1}.\n"
      "  {1}/ca/root  the root CA's key, the federation's most precious secret: move this folder "
      "to\n"
      "    a medium that is kept offline, in two copies; it is needed every few years\n"
      "  {1}/admin    the first admin's identity: consilium-ctl --dir {1}/admin …\n"
      "Serve it: consilium-server serve --dir {1}\n",
      options.federation, dir);
  return consilium::OkStatus();
}

Status Renew(const std::string& dir, const std::string& root) {
  const Status renewed = consilium::RenewServer(dir, root, consilium::SystemClock().Now());
  if (!renewed.ok()) return renewed;
  fmt::print(
      "The coordinator has another certificate{}; one that serves takes it over by itself.\n",
      root.empty() ? "" : " and another issuing CA");
  return consilium::OkStatus();
}

Status RenewAdmin(const std::string& dir) {
  const Status renewed = consilium::RenewAdmin(dir, consilium::SystemClock().Now());
  if (!renewed.ok()) return renewed;
  fmt::print("{}/admin has another key and certificate. Restart the coordinator to let it in.\n",
             dir);
  return consilium::OkStatus();
}

Status Check(const std::string& dir) {
  const auto findings = consilium::CheckFolder(dir);
  if (!findings.ok()) return findings.status();
  std::size_t errors = 0;
  for (const consilium::Finding& finding : *findings) {
    fmt::print("{}: {}\n  {}\n", finding.is_error ? "error" : "warning", finding.what,
               finding.remedy);
    errors += finding.is_error ? 1 : 0;
  }
  if (errors > 0) {
    return consilium::DataLoss("{}: {} errors, see above", dir, errors);
  }
  fmt::print("{}: sound\n", dir);
  return consilium::OkStatus();
}

Status VerifyAudit(const std::string& dir, const std::string& site, const std::string& site_trail) {
  const std::filesystem::path trail = std::filesystem::path(dir) / consilium::kTrailFile;
  const auto head = consilium::VerifyTrail(trail);
  if (!head.ok()) return head.status();
  fmt::print("{}: {} entries, whole; head {}\n", trail.string(), head->entries, head->hash);
  if (site_trail.empty()) return consilium::OkStatus();
  const auto agree = consilium::CompareTrails(trail, "site_head", site, site_trail);
  if (!agree.ok()) return agree.status();
  fmt::print("{}: has all of the {} heads that '{}' signed to this coordinator\n", site_trail,
             *agree, site);
  return consilium::OkStatus();
}

Status Serve(const std::string& dir, const consilium::Server::Listen& listen,
             const std::stop_token& stop) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that goes away must not end the service
  const auto server = consilium::Server::Start(dir, listen);
  if (!server.ok()) return server.status();
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop, [] { return false; });
  spdlog::info("stopping");
  return consilium::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  consilium::WriteNoCore();
  consilium::KeepFreedMemory();
  consilium::ShareOneHeap();
  const std::stop_token stop = consilium::StopOnSignals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("server"));
  spdlog::flush_on(spdlog::level::info);

  CLI::App app("The coordinator of a Consilium federation.", "consilium-server");
  app.require_subcommand(1);
  std::string dir;
  consilium::ServerOptions options;
  consilium::Server::Listen listen;

  CLI::App* init = app.add_subcommand("init", "Make a federation: CA, keys, first admin, database");
  init->add_option("--dir", dir, "The coordinator's folder, new or empty")->required();
  init->add_option("--federation", options.federation, "Its name: a-z, 0-9, '-', '.'")->required();
  init->add_option("--host", options.host, "The name or address that hospitals call")->required();
  init->add_option("--port", options.port, "The port that hospitals call")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  init->add_option("--enrol-port", options.enrol_port, "The port for joining")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();

  CLI::App* serve = app.add_subcommand("serve", "Serve the federation until SIGTERM");
  serve->add_option("--dir", dir, "The coordinator's folder")->required();
  serve->add_option("--listen", listen.address, "HOST:PORT (default: every interface)");
  serve->add_option("--enrol", listen.enrol_address, "HOST:PORT (default: every interface)");

  std::string root;
  CLI::App* renew = app.add_subcommand(
      "renew", "Make another certificate for the coordinator now; it does so by itself in time");
  renew->add_option("--dir", dir, "The coordinator's folder")->required();
  renew->add_option("--root", root,
                    "The folder with the root's ca.key: make another issuing CA first");
  bool admin = false;
  renew->add_flag(
      "--admin", admin,
      "Make another identity in DIR/admin instead: the admin's key was lost, or has expired");

  CLI::App* check = app.add_subcommand(
      "check", "Read everything in a coordinator's folder: database, models, updates");
  check->add_option("--dir", dir, "The coordinator's folder")->required();

  std::string site, site_trail;
  CLI::App* audit = app.add_subcommand("audit", "The coordinator's audit trail");
  audit->require_subcommand(1);
  CLI::App* verify = audit->add_subcommand("verify", "Say whether it is whole");
  verify->add_option("--dir", dir, "The coordinator's folder")->required();
  CLI::Option* whose = verify->add_option("--site", site, "Compare with what this hospital signed");
  verify->add_option("--trail", site_trail, "That hospital's audit.jsonl, its .head beside it")
      ->check(CLI::ExistingFile)
      ->needs(whose);

  bool json = false;
  CLI::App* doctor =
      app.add_subcommand("doctor", "Say what stands between this coordinator and its hospitals");
  doctor->add_option("--dir", dir, "The coordinator's folder")->required();
  doctor->add_flag("--json", json, "For programs");

  CLI11_PARSE(app, argc, argv);
  return consilium::ExitCode("consilium-server", [&] {
    if (check->parsed()) return Check(dir);
    if (verify->parsed()) return VerifyAudit(dir, site, site_trail);
    if (renew->parsed()) return admin ? RenewAdmin(dir) : Renew(dir, root);
    if (doctor->parsed()) {
      return consilium::PrintDiagnoses(consilium::ExamineCoordinator(dir), json);
    }
    return init->parsed() ? Init(dir, options) : Serve(dir, listen, stop);
  });
}
