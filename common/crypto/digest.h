#pragma once

// SHA-256 and random bytes, from OpenSSL. A digest is written as 64 lower-case hexadecimal
// characters everywhere: in the database, on the wire, in file names.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace consilium {

// A digest over bytes that come in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  void Update(std::span<const std::byte> bytes);
  // The digest of all bytes so far; afterwards the object starts over.
  std::string Finish();

 private:
  std::shared_ptr<evp_md_ctx_st> context_;
};

std::string Sha256Of(std::span<const std::byte> bytes);
std::string Sha256Of(std::string_view text);

// Whether text has the form of a digest, and so is safe as a file name.
bool IsDigest(std::string_view text);

std::string ToHex(std::span<const unsigned char> bytes);

// n bytes from the system's secure generator, as 2n hexadecimal characters.
std::string RandomHex(std::size_t n);

// Compares without a hint, in its time, of where two strings differ.
bool ConstantTimeEqual(std::string_view a, std::string_view b);

}  // namespace consilium
