#pragma once

// What the three programs share at the terminal: how they end, stop, and show progress.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// Runs a command and gives its exit code: 0 only for OK. An error, and an exception that escaped
// from a library, is printed to stderr as one line, "PROGRAM: what went wrong".
int ExitCode(std::string_view program, const std::function<Status()>& command);

// Turns SIGINT and SIGTERM into a request to stop. Call first in main, before any thread is made. A
// second signal ends the process at once.
std::stop_token StopOnSignals();

// From now on a crash writes no core file: keys would be in it.
void WriteNoCore();

// A bar on stderr, where that is a terminal; nothing otherwise.
class Progress {
 public:
  Progress(std::string label, std::uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Advance(std::uint64_t done);

 private:
  const std::string label_;
  const std::uint64_t total_;
  const bool visible_;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point drawn_{};
};

// One line on stderr that is written over, where that is a terminal; nothing otherwise.
class LiveLine {
 public:
  LiveLine();
  ~LiveLine() { Clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  void Show(std::string_view text);
  void Clear();

 private:
  const bool visible_;
};

// Columns padded to their widest cell, two blanks between them; the first row is the heading.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// "87.3%", and "-" for a figure that is not defined.
std::string Percent(const std::optional<double>& share);
// "2026-11-21 10:58:03" in UTC; "-" for 0.
std::string FormatTime(std::int64_t unix_ms);

}  // namespace consilium
