#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "client/preprocess/dicom_decoders_internal.h"
#include "client/preprocess/dicom_protocol_internal.h"
#include "client/preprocess/picture_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

using dicom::Answer;
using dicom::Question;

// The program is given up a little after it should have ended itself.
constexpr std::chrono::seconds kGrace{2};

std::string_view NextLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

}  // namespace

// One running program, and what it is asked.
class DicomDecoders::Process {
 public:
  static StatusOr<std::unique_ptr<Process>> Start(const std::filesystem::path& program);
  ~Process() { End(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The answer with its text, if it is a whole one and within bounds. Nothing is believed that the
  // program says: it may be the file that speaks.
  struct Reply {
    Answer answer;
    std::string text;
    std::vector<std::uint16_t> pixels;
  };
  StatusOr<Reply> Ask(const std::filesystem::path& path, Question question,
                      std::chrono::seconds time_limit);
  // Whether it can be asked again.
  bool is_alive() const { return pid_ != 0; }

 private:
  Process(pid_t pid, int socket) : pid_(pid), socket_(socket) {}

  bool ReadReply(Reply& reply, dicom::Deadline until);
  void End();

  pid_t pid_;
  int socket_;
};

StatusOr<std::unique_ptr<DicomDecoders::Process>> DicomDecoders::Process::Start(
    const std::filesystem::path& program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Unavailable("no socket for {}: {}", program.string(), std::strerror(errno));
  }
  // Its standard input is the socket; it says nothing elsewhere, and has no other file of ours. A
  // group of its own: who interrupts us at a terminal does not interrupt it.
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], STDIN_FILENO);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t how;
  ::posix_spawnattr_init(&how);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&how, &signals);
  ::sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&how, &signals);
  ::posix_spawnattr_setflags(
      &how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string name = program.string();
  std::array<char*, 2> arguments{name.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, name.c_str(), &files, &how, arguments.data(), ::environ);
  ::posix_spawnattr_destroy(&how);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    return Unavailable("the DICOM decoder {} does not start: {}", name, std::strerror(error));
  }
  return std::unique_ptr<Process>(new Process(pid, ends[0]));
}

void DicomDecoders::Process::End() {
  if (pid_ == 0) return;
  ::close(socket_);
  ::kill(pid_, SIGKILL);  // it keeps nothing that it could lose
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

bool DicomDecoders::Process::ReadReply(Reply& reply, dicom::Deadline until) {
  Answer& answer = reply.answer;
  if (!dicom::Receive(socket_, dicom::BytesOf(answer), until) ||
      answer.text_bytes > dicom::kMaxTextBytes || answer.width > std::uint32_t{kMaxSide} ||
      answer.height > std::uint32_t{kMaxSide}) {
    return false;
  }
  reply.text.resize(answer.text_bytes);
  reply.pixels.resize(std::size_t{answer.width} * answer.height);
  return dicom::Receive(socket_, std::as_writable_bytes(std::span(reply.text)), until) &&
         dicom::Receive(socket_, std::as_writable_bytes(std::span(reply.pixels)), until);
}

StatusOr<DicomDecoders::Process::Reply> DicomDecoders::Process::Ask(
    const std::filesystem::path& path, Question question, std::chrono::seconds time_limit) {
  const std::string absolute = std::filesystem::absolute(path).string();
  question.path_bytes = static_cast<std::uint32_t>(absolute.size());
  question.seconds = static_cast<std::uint32_t>(time_limit.count());
  const auto begin = std::chrono::steady_clock::now();
  const auto until = begin + time_limit + kGrace;
  Reply reply;
  if (!dicom::Send(socket_, dicom::BytesOf(question), until) ||
      !dicom::Send(socket_, std::as_bytes(std::span(absolute)), until) ||
      !ReadReply(reply, until)) {
    End();
    const bool late = std::chrono::steady_clock::now() - begin >= time_limit;
    return InvalidArgument(
        "{}: not a whole, readable DICOM file ({})", path.string(),
        late ? fmt::format("not decoded in {} s", time_limit.count()) : "its decoder broke off");
  }
  if (reply.answer.code == 0) return reply;
  return Status(static_cast<absl::StatusCode>(reply.answer.code), reply.text);
}

DicomDecoders::DicomDecoders(std::filesystem::path program, std::chrono::seconds time_limit)
    : program_(std::move(program)), time_limit_(time_limit) {}
DicomDecoders::~DicomDecoders() = default;

std::filesystem::path DicomDecoders::Program() { return ProgramCalled("consilium-dicom"); }

StatusOr<std::unique_ptr<DicomDecoders::Process>> DicomDecoders::Take() {
  {
    MutexLock lock(mu_);
    if (!idle_.empty()) {
      auto process = std::move(idle_.back());
      idle_.pop_back();
      return process;
    }
  }
  return Process::Start(program_);
}

void DicomDecoders::GiveBack(std::unique_ptr<Process> process) {
  if (!process->is_alive()) return;
  MutexLock lock(mu_);
  idle_.push_back(std::move(process));
}

StatusOr<Image> DicomDecoders::Read(const std::filesystem::path& path, std::uint32_t frame,
                                    const Window& window) {
  CSL_ASSIGN_OR_RETURN(auto process, Take());
  auto reply = process->Ask(path,
                            {.wants_picture = 1,
                             .frame = frame,
                             .window_center = window.center,
                             .window_width = window.width},
                            time_limit_);
  GiveBack(std::move(process));
  if (!reply.ok()) return reply.status();
  return Image{.width = static_cast<int>(reply->answer.width),
               .height = static_cast<int>(reply->answer.height),
               .pixels = std::move(reply->pixels)};
}

StatusOr<DicomFacts> DicomDecoders::ReadFacts(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(auto process, Take());
  const auto reply = process->Ask(path, {}, time_limit_);
  GiveBack(std::move(process));
  if (!reply.ok()) return reply.status();
  std::string_view text = reply->text;
  DicomFacts facts{.frames = reply->answer.frames};
  facts.modality = NextLine(text);
  facts.view = NextLine(text);
  facts.study_date = NextLine(text);
  facts.patient_id = text;
  return facts;
}

}  // namespace consilium
