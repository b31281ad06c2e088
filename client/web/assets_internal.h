#pragma once

// The page's files, compiled in: nothing is read from a disk, nothing comes from a network.

#include <span>
#include <string_view>

namespace consilium {

struct Asset {
  std::string_view path;  // "/app.js"
  std::string_view type;
  std::string_view bytes;
};

// Made of client/web/assets by client/web/embed.cmake.
std::span<const Asset> Assets();

}  // namespace consilium
