#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "client/preprocess/dicom_protocol_internal.h"

namespace consilium::dicom {
namespace {

// Until the socket is ready, or the time is over.
bool Wait(int socket, short events, Deadline until) {
  while (true) {
    int timeout = -1;
    if (until != Deadline::max()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      timeout = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
    }
    pollfd wanted{socket, events, 0};
    const int ready = ::poll(&wanted, 1, timeout);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// Moves all of the bytes by a call that moves some of them without waiting.
template <typename Byte, typename Call>
bool MoveAll(int socket, short events, std::span<Byte> bytes, Deadline until, Call call) {
  while (!bytes.empty()) {
    const ssize_t moved = call(bytes);
    if (moved > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(moved));
    } else if (moved == 0) {
      return false;  // the other side has closed
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!Wait(socket, events, until)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool Receive(int socket, std::span<std::byte> bytes, Deadline until) {
  return MoveAll(socket, POLLIN, bytes, until, [&](std::span<std::byte> rest) {
    return ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
  });
}

bool Send(int socket, std::span<const std::byte> bytes, Deadline until) {
  return MoveAll(socket, POLLOUT, bytes, until, [&](std::span<const std::byte> rest) {
    return ::send(socket, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  });
}

}  // namespace consilium::dicom
