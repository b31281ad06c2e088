#include "common/cli/cli.h"

#include <fmt/chrono.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace consilium {
namespace {

pthread_t waiting_thread;  // for signals

}  // namespace

int ExitCode(std::string_view program, const std::function<Status()>& command) {
  const auto ended = CatchAsStatus("unexpected", command);
  const Status& status = ended.ok() ? *ended : ended.status();
  if (status.ok()) return EXIT_SUCCESS;
  fmt::print(stderr, "{}: {}\n", program, std::string(status.message()));
  return EXIT_FAILURE;
}

void WriteNoCore() {
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);  // it can always be lowered
}

std::stop_token StopOnSignals() {
  static std::stop_source source;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread waiter([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    source.request_stop();
    sigwait(&signals, &signal);
    std::_Exit(128 + signal);
  });
  // A library may have made threads before main (OpenBLAS does), which do not block these signals:
  // what comes to one of them goes on to the one that waits.
  waiting_thread = waiter.native_handle();
  waiter.detach();
  struct sigaction forward {};
  forward.sa_handler = [](int signal) { pthread_kill(waiting_thread, signal); };
  forward.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &forward, nullptr);
  return source.get_token();
}

Progress::Progress(std::string label, std::uint64_t total)
    : label_(std::move(label)),
      total_(total),
      visible_(::isatty(STDERR_FILENO) == 1 && total > 0) {}

Progress::~Progress() {
  if (visible_ && done_ > 0) fmt::print(stderr, "\r\033[K");
}

void Progress::Advance(std::uint64_t done) {
  constexpr std::chrono::milliseconds kRedraw{100};
  constexpr std::uint64_t kWidth = 30;
  done_ = std::min(done, total_);
  const auto now = std::chrono::steady_clock::now();
  if (!visible_ || (now - drawn_ < kRedraw && done_ < total_)) return;
  drawn_ = now;
  const std::uint64_t filled = kWidth * done_ / total_;
  fmt::print(stderr, "\r{} [{:=<{}}{: <{}}] {}/{}", label_, "", filled, "", kWidth - filled, done_,
             total_);
  std::fflush(stderr);
}

LiveLine::LiveLine() : visible_(::isatty(STDERR_FILENO) == 1) {}

void LiveLine::Show(std::string_view text) {
  if (!visible_) return;
  winsize size{};
  ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
  // A longer line would wrap, and could not be written over.
  fmt::print(stderr, "\r\033[K{}", text.substr(0, size.ws_col == 0 ? 80 : size.ws_col - 1));
  std::fflush(stderr);
}

void LiveLine::Clear() { Show(""); }

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      text += last ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string Percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f}%", 100 * *share) : "-";
}

std::string FormatTime(std::int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(unix_ms / 1000)));
}

}  // namespace consilium
