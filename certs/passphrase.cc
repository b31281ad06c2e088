#include "certs/passphrase.h"

#include <cstdlib>
#include <filesystem>

#include "common/base/file.h"

namespace consilium {
namespace {

constexpr char kFileVariable[] = "CONSILIUM_PASSPHRASE_FILE";
constexpr char kCredentialsVariable[] = "CREDENTIALS_DIRECTORY";
constexpr char kCredential[] = "consilium-passphrase";
constexpr std::size_t kMaxBytes = 1024;

std::filesystem::path PassphraseFile() {
  if (const char* file = std::getenv(kFileVariable); file != nullptr) return file;
  const char* credentials = std::getenv(kCredentialsVariable);
  if (credentials == nullptr) return {};
  std::filesystem::path file = std::filesystem::path(credentials) / kCredential;
  std::error_code error;
  return std::filesystem::exists(file, error) ? file : std::filesystem::path();
}

}  // namespace

StatusOr<std::string> KeyPassphrase() {
  const std::filesystem::path file = PassphraseFile();
  if (file.empty()) return std::string();
  CSL_ASSIGN_OR_RETURN(std::string text, ReadFile(file, kMaxBytes));
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.empty()) return FailedPrecondition("{}: its first line is empty", file.string());
  return text;
}

StatusOr<std::string> EncodeKey(const PrivateKey& key) {
  CSL_ASSIGN_OR_RETURN(const std::string passphrase, KeyPassphrase());
  return key.ToPem(passphrase);
}

StatusOr<PrivateKey> DecodeKey(std::string_view pem, const std::filesystem::path& file) {
  CSL_ASSIGN_OR_RETURN(const std::string passphrase, KeyPassphrase());
  auto key = PrivateKey::FromPem(pem, passphrase);
  if (!key.ok()) return Annotate(key.status(), file.string());
  return key;
}

}  // namespace consilium
