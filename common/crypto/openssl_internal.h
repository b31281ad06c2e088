#pragma once

// What the files of this folder share of OpenSSL: its errors as Status, PEM in and out.

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace consilium {

// The status for the last failed OpenSSL call, whose queue of errors it empties.
inline Status OpensslStatus(absl::StatusCode code, std::string_view what) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return Status(code, reason == nullptr ? std::string(what) : fmt::format("{}: {}", what, reason));
}
inline Status OpensslError(std::string_view what) {
  return OpensslStatus(absl::StatusCode::kInternal, what);
}
inline Status BadPem(std::string_view what) {
  return OpensslStatus(absl::StatusCode::kInvalidArgument, what);
}

inline std::shared_ptr<BIO> ReadOnlyBio(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

// What `write` puts into a BIO; it gives 1 where that went well.
template <typename Write>
StatusOr<std::string> WritePem(Write write) {
  const std::shared_ptr<BIO> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (write(bio.get()) != 1) return OpensslError("cannot write PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

// An integer, a serial number say, in hexadecimal.
inline std::string ToHex(const ASN1_INTEGER* integer) {
  const std::shared_ptr<BIGNUM> number(ASN1_INTEGER_to_BN(integer, nullptr), BN_free);
  char* text = BN_bn2hex(number.get());
  std::string hex = text == nullptr ? "" : text;
  OPENSSL_free(text);
  return hex;
}

}  // namespace consilium
