#include "common/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "common/base/file.h"

namespace consilium {
namespace {

constexpr std::size_t kDigestBytes = 32;

// Allocation or the generator of the library itself failed: nothing sensible can follow.
void CheckOpenssl(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  CheckOpenssl(context_ != nullptr &&
               EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::Update(std::span<const std::byte> bytes) {
  CheckOpenssl(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::Finish() {
  std::array<unsigned char, kDigestBytes> digest{};
  CheckOpenssl(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
  CheckOpenssl(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  return ToHex(digest);
}

std::string Sha256Of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

std::string Sha256Of(std::string_view text) { return Sha256Of(AsBytes(text)); }

bool IsDigest(std::string_view text) {
  return text.size() == 2 * kDigestBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string ToHex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string RandomHex(std::size_t n) {
  std::vector<unsigned char> bytes(n);
  CheckOpenssl(RAND_bytes(bytes.data(), static_cast<int>(n)) == 1);
  return ToHex(bytes);
}

bool ConstantTimeEqual(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace consilium
