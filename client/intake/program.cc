#include "client/intake/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "common/base/file.h"

namespace consilium {
namespace {

// Without any of our files but the three standard ones; `out` is its standard output, or ours.
StatusOr<pid_t> Spawn(const std::string& name, const std::vector<std::string>& words, int out) {
  std::string path = ProgramCalled(name);
  std::vector<std::string> owned(words.begin(), words.end());
  std::vector<char*> arguments = {path.data()};
  for (std::string& word : owned) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  if (out >= 0) ::posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t how;
  ::posix_spawnattr_init(&how);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&how, &signals);
  ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, path.c_str(), &files, &how, arguments.data(), ::environ);
  ::posix_spawnattr_destroy(&how);
  ::posix_spawn_file_actions_destroy(&files);
  if (error == 0) return pid;
  return Unavailable("{} does not start: {}", path, std::strerror(error));
}

// How it ended.
int WaitFor(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Whether a program ended by its own doing, and not by somebody's who wanted it to.
bool IsCrash(int signal) {
  return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGFPE ||
         signal == SIGILL;
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

StatusOr<Program> Program::Start(const std::string& name,
                                 const std::vector<std::string>& arguments) {
  CSL_ASSIGN_OR_RETURN(const pid_t pid, Spawn(name, arguments, -1));
  return Program(pid);
}

Program::~Program() {
  constexpr std::chrono::seconds kGrace{5};
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  const auto until = std::chrono::steady_clock::now() + kGrace;
  while (!HasEnded() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);  // it keeps nothing that was not answered yet
  WaitFor(pid_);
}

bool Program::HasEnded() {
  if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ == 0;
}

StatusOr<std::string> RunProgram(const std::string& name,
                                 const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Unavailable("no pipe to {}", name);
  const FileDescriptor reading(ends[0]);
  StatusOr<pid_t> pid = Unavailable("not started");
  {
    const FileDescriptor writing(ends[1]);
    pid = Spawn(name, arguments, writing.get());
  }
  CSL_RETURN_IF_ERROR(pid.status());
  std::string text = ReadAll(reading.get());
  const int status = WaitFor(*pid);
  if (status == 0) return text;
  if (WIFSIGNALED(status) && IsCrash(WTERMSIG(status))) {
    return InvalidArgument("it brought {} down", name);
  }
  if (WIFSIGNALED(status)) return Unavailable("{} was killed", name);
  return Internal("{} {} ended with {}", name, arguments.empty() ? "" : arguments[0],
                  WEXITSTATUS(status));
}

}  // namespace consilium
