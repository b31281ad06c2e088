#include "common/doctor/machine.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr double kGiB = 1 << 30;
constexpr double kMiB = 1 << 20;
constexpr double kLittleDisk = 5 * kGiB;
constexpr double kLeastDisk = 0.5 * kGiB;
constexpr double kLittleMemory = 2 * kGiB;
constexpr double kLeastMemory = 0.5 * kGiB;
constexpr std::chrono::days kSoonExpired{30};
constexpr int kConnectTimeoutMs = 5'000;

std::string Size(double bytes) {
  return bytes < kGiB ? fmt::format("{:.0f} MiB", bytes / kMiB)
                      : fmt::format("{:.1f} GiB", bytes / kGiB);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

StatusOr<Addresses> Resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return NotFound("{}: {}", host, ::gai_strerror(error));
  return Addresses(found, &::freeaddrinfo);
}

std::string AddressOf(const addrinfo& entry) {
  std::array<char, NI_MAXHOST> text{};
  ::getnameinfo(entry.ai_addr, entry.ai_addrlen, text.data(), text.size(), nullptr, 0,
                NI_NUMERICHOST);
  return text.data();
}

Status ConnectToAddress(const addrinfo& entry) {
  const FileDescriptor fd(::socket(entry.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot make a socket for", AddressOf(entry));
  if (::connect(fd.get(), entry.ai_addr, entry.ai_addrlen) == 0) return OkStatus();
  if (errno != EINPROGRESS) return ErrnoStatus(errno, "cannot connect to", AddressOf(entry));
  pollfd wait{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&wait, 1, kConnectTimeoutMs) <= 0) {
    return Unavailable("{} does not answer: a firewall may drop the packets", AddressOf(entry));
  }
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) return OkStatus();
  return ErrnoStatus(error, "cannot connect to", AddressOf(entry));
}

// Whether gRPC calls the host without a proxy: no_grpc_proxy or no_proxy lists it, or a domain of
// its.
bool IsException(const std::string& host) {
  const char* list = std::getenv("no_grpc_proxy");
  if (list == nullptr) list = std::getenv("no_proxy");
  std::istringstream entries(list == nullptr ? "" : list);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const std::size_t begin = entry.find_first_not_of(' ');
    if (begin == std::string::npos) continue;
    entry = entry.substr(begin, entry.find_last_not_of(' ') + 1 - begin);
    if (host.ends_with(entry)) return true;
  }
  return false;
}

}  // namespace

Diagnosis DiagnoseDisk(const fs::path& folder) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) {
    return Error("DISK", fmt::format("{}: {}", folder.string(), error.message()),
                 "make the folder, and let this user write there");
  }
  const auto free = static_cast<double>(space.available);
  std::string cause = fmt::format("{} free below {}", Size(free), folder.string());
  if (free < kLeastDisk) return Error("DISK", std::move(cause), "make room: models need it");
  if (free < kLittleDisk) {
    return Warning("DISK", std::move(cause), "make room: a long run keeps every round's model");
  }
  return Fine("DISK", std::move(cause));
}

Diagnosis DiagnoseMemory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kib = 0;
  for (std::string unit; file >> name >> kib && std::getline(file, unit);) {
    if (name == "MemAvailable:") break;
  }
  const double free = name == "MemAvailable:" ? kib * 1024 : 0;
  std::string cause = Size(free) + " available";
  if (free < kLeastMemory) {
    return Error("MEMORY", std::move(cause), "end other programs, or give the machine more");
  }
  if (free < kLittleMemory) {
    return Warning("MEMORY", std::move(cause),
                   "large networks and batches will not fit; end other programs");
  }
  return Fine("MEMORY", std::move(cause));
}

Diagnosis DiagnoseSecret(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return Error("FILE-MODE", std::string(ErrnoStatus(errno, "cannot read", file).message()),
                 "run this as the user whose file it is");
  }
  const unsigned mode = status.st_mode & 0777U;
  if ((mode & 077U) != 0) {
    return Error("FILE-MODE",
                 fmt::format("{} may be read by others (mode {:o})", file.string(), mode),
                 fmt::format("chmod 600 {}", file.string()));
  }
  if (::access(file.parent_path().c_str(), W_OK) != 0) {
    return Error("FILE-MODE", fmt::format("{} cannot be written", file.parent_path().string()),
                 "run this as the user whose folder it is");
  }
  return Fine("FILE-MODE", fmt::format("{} is its owner's alone", file.string()));
}

Diagnosis DiagnoseCertificate(const std::string& whose, const Certificate& certificate,
                              TimePoint now, const std::string& renewal) {
  const auto left = std::chrono::floor<std::chrono::days>(certificate.NotAfter() - now);
  if (certificate.NotAfter() <= now) {
    return Error("CERTIFICATE", fmt::format("{} expired {} days ago", whose, -left.count()),
                 renewal);
  }
  std::string cause = fmt::format("{} is valid for {} days", whose, left.count());
  if (left < kSoonExpired) return Warning("CERTIFICATE", std::move(cause), renewal);
  return Fine("CERTIFICATE", std::move(cause));
}

Diagnosis DiagnoseClock() {
  timex state{};
  const int clock = ::adjtimex(&state);
  if (clock != TIME_ERROR) return Fine("CLOCK", "kept right by a time service");
  return Warning("CLOCK", "no time service keeps this machine's clock right",
                 "install one: apt install systemd-timesyncd");
}

Diagnosis DiagnoseName(const std::string& host) {
  const auto addresses = Resolve(host, 0);
  if (!addresses.ok()) {
    return Error("NAME", std::string(addresses.status().message()),
                 "have the coordinator's name put into this place's DNS, or into /etc/hosts");
  }
  return Fine("NAME", fmt::format("{} is {}", host, AddressOf(**addresses)));
}

Status ConnectTo(const std::string& host, int port) {
  CSL_ASSIGN_OR_RETURN(const Addresses addresses, Resolve(host, port));
  Status status;
  for (const addrinfo* entry = addresses.get(); entry != nullptr; entry = entry->ai_next) {
    status = ConnectToAddress(*entry);
    if (status.ok()) break;
  }
  return status;
}

Diagnosis DiagnoseProxy(const std::string& host) {
  // As gRPC looks for them.
  for (const char* variable : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0') continue;
    if (IsException(host)) break;
    return Warning("PROXY", fmt::format("calls go through {}={}", variable, value),
                   "fine if that proxy lets CONNECT through; otherwise put the coordinator's host "
                   "into no_proxy");
  }
  return Fine("PROXY", "none: calls go straight to the coordinator");
}

std::pair<std::string, int> SplitEndpoint(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  std::string host = endpoint.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  int port = 0;
  if (colon != std::string::npos) {
    std::from_chars(endpoint.data() + colon + 1, endpoint.data() + endpoint.size(), port);
  }
  return {std::move(host), port};
}

}  // namespace consilium
