#include <charconv>
#include <filesystem>
#include <memory>

#include "client/main/commands.h"
#include "client/main/house.h"
#include "client/main/subject.h"
#include "client/web/server.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

struct ServeCommand {
  Subject subject;
  std::string listen = "127.0.0.1:8080";
  std::string token_file;
  std::string extent_model;
  ServeOptions options;
};

// "HOST:PORT" into the options; a host of IPv6 may stand in brackets.
Status ReadListen(const std::string& listen, ServeOptions& options) {
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return InvalidArgument("--listen '{}': want HOST:PORT", listen);
  const char* first = listen.data() + colon + 1;
  const char* last = listen.data() + listen.size();
  const auto [end, failed] = std::from_chars(first, last, options.port);
  if (failed != std::errc() || end != last || options.port < 0 || options.port > 65535) {
    return InvalidArgument("--listen '{}': want HOST:PORT", listen);
  }
  options.host = listen.substr(0, colon);
  if (options.host.starts_with('[') && options.host.ends_with(']')) {
    options.host = options.host.substr(1, options.host.size() - 2);
  }
  return OkStatus();
}

// Of a file of the user's, or a fresh one.
StatusOr<std::string> ReadToken(const std::string& file) {
  constexpr std::size_t kLeastLength = 16;
  constexpr std::size_t kFreshBytes = 24;
  if (file.empty()) return RandomHex(kFreshBytes);
  CSL_ASSIGN_OR_RETURN(std::string token, ReadFile(file));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.size() >= kLeastLength) return token;
  return InvalidArgument("{}: want a token of at least {} characters", file, kLeastLength);
}

Status ServePage(ServeCommand command, const std::stop_token& stop) {
  ServeOptions& options = command.options;
  CSL_RETURN_IF_ERROR(ReadListen(command.listen, options));
  CSL_ASSIGN_OR_RETURN(options.token, ReadToken(command.token_file));
  CSL_ASSIGN_OR_RETURN(UsableModel usable,
                       ReadUsableModel(command.subject.dir, command.subject.model));
  CSL_ASSIGN_OR_RETURN(auto calibration, FindCalibration(command.subject, usable.digest));
  ModelInUse in_use{std::move(usable.model), usable.digest, std::move(calibration), {}};
  if (!command.extent_model.empty()) {
    CSL_ASSIGN_OR_RETURN(in_use.extent_model, ReadModel(command.extent_model));
  }
  CSL_ASSIGN_OR_RETURN(const std::unique_ptr<Desk> desk,
                       Desk::Create(std::move(in_use), command.subject.options));
  if (!command.subject.dir.empty()) {
    options.corrections.emplace(command.subject.dir);
    options.house = HouseOf(command.subject.dir, usable.digest);
  }
  PrintLimits();
  return Serve(*desk, options, stop, [&](int port) {
    const bool is_v6 = options.host.find(':') != std::string::npos;
    fmt::print("{}://{}:{}/", options.certificate.empty() ? "http" : "https",
               is_v6 ? "[" + options.host + "]" : options.host, port);
    // Behind the #, where a browser does not send it to anybody.
    fmt::print("{}\n", command.token_file.empty() ? "#token=" + options.token : "");
    std::fflush(stdout);
  });
}

}  // namespace

void AddServeCommand(CLI::App& app, CommandLine& line) {
  const auto serve = std::make_shared<ServeCommand>();
  serve->subject.options.draws = 8;
  CLI::App* command = app.add_subcommand(
      "serve", "Show a page in the browser to use a model with; prints its address");
  AddModelOptions(*command, serve->subject);
  command->add_option("--extent-model", serve->extent_model,
                      "A unet's model file, to measure how much of each lung is affected");
  command
      ->add_option("--draws", serve->subject.options.draws,
                   "How far an answer varies over so many slightly changed copies of its picture")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command
      ->add_option("--listen", serve->listen,
                   "HOST:PORT; port 0: any. An address of other machines wants a certificate")
      ->capture_default_str();
  CLI::Option* key =
      command->add_option("--tls-key", serve->options.key, "The certificate's key, PEM");
  command->add_option("--tls-certificate", serve->options.certificate, "PEM")->needs(key);
  command->add_option("--token-file", serve->token_file,
                      "A file with the token that readers enter (default: a fresh one, printed)");
  command->add_option("--max-calls", serve->options.max_calls, "At a time; others come again")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->callback(
      [serve, &line] { line.command = [serve, &line] { return ServePage(*serve, line.stop); }; });
}

}  // namespace consilium
