#pragma once

// Other programs of this project, run as processes of their own.

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace consilium {

// One that runs until it is told to end. Movable; ended with this.
class Program {
 public:
  // UNAVAILABLE where it does not start.
  static StatusOr<Program> Start(const std::string& name,
                                 const std::vector<std::string>& arguments);
  Program(Program&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Program& operator=(Program&&) = delete;
  ~Program();

  // Whether it ended by itself.
  bool HasEnded();

 private:
  explicit Program(pid_t pid) : pid_(pid) {}
  pid_t pid_ = 0;
};

// Runs one to its end and gives what it printed. INTERNAL with its exit code where that is not 0;
// what it said of that is on stderr. INVALID_ARGUMENT where it crashed, as what it was given may
// do; UNAVAILABLE where it was killed.
StatusOr<std::string> RunProgram(const std::string& name,
                                 const std::vector<std::string>& arguments);

}  // namespace consilium
