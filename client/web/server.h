#pragma once

// The page that a radiologist uses, and the interface beneath it (assets/openapi.json).

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "client/data/corrections.h"
#include "client/web/desk.h"
#include "client/web/house.h"
#include "common/base/status.h"

namespace consilium {

struct ServeOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any that is free
  // PEM files; both, or neither. Without them only a loopback address is listened to.
  std::filesystem::path certificate;
  std::filesystem::path key;
  // What every call but those for the page's own files must bear: "Authorization: Bearer TOKEN". A
  // browser's other pages do not know it, so none can act in a reader's name (CSRF).
  std::string token;
  std::size_t max_picture_bytes = std::size_t{64} << 20;
  int max_calls = 16;  // at a time; others are told to come again (429)
  // Where readers' corrections go; none: nothing that a call brings is kept.
  std::optional<CorrectionBook> corrections;
  House house;
};

// Serves until stopped; `on_ready` hears the port once calls are answered. Nothing that a call
// brings is kept but corrections, where there is a book for them. FAILED_PRECONDITION where the
// address is taken, or is not a loopback one and there is no certificate; INVALID_ARGUMENT for a
// certificate or key that cannot be read.
Status Serve(Desk& desk, const ServeOptions& options, const std::stop_token& stop,
             const std::function<void(int port)>& on_ready);

}  // namespace consilium
