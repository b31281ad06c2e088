#include "client/intake/fhir_server.h"

#include <httplib.h>

#include <chrono>
#include <regex>

#include "common/base/address.h"
#include "common/base/file.h"

namespace consilium {
namespace {

constexpr int kSecondsToAnswer = 30;
constexpr std::chrono::seconds kMostTime{60};  // of a whole answer
constexpr std::size_t kMostBytes = 64 << 10;

struct Url {
  std::string origin;  // "https://fhir.example:8443"
  std::string path;    // "/R4"
  bool is_encrypted = false;
  bool is_local = false;
};

StatusOr<Url> ParseUrl(const std::string& text) {
  static const std::regex pattern(R"((https?)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d+)?(/\S*)?)");
  std::smatch parts;
  if (!std::regex_match(text, parts, pattern)) {
    return InvalidArgument("'{}' is no address of a FHIR server: want https://HOST[:PORT]/PATH",
                           text);
  }
  const std::string host = parts[2];
  return Url{.origin = fmt::format("{}://{}{}", parts[1].str(), host, parts[3].str()),
             .path = parts[4].matched ? parts[4].str() : "/",
             .is_encrypted = parts[1] == "https",
             .is_local = IsLoopback(host == "[::1]" ? "::1" : host)};
}

StatusOr<std::string> ReadToken(const std::filesystem::path& file) {
  CSL_ASSIGN_OR_RETURN(std::string token, ReadFile(file));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

}  // namespace

Status CheckFhirServer(const FhirServer& server) {
  CSL_ASSIGN_OR_RETURN(const Url url, ParseUrl(server.url));
  if (url.is_encrypted || (url.is_local && server.token_file.empty())) return OkStatus();
  return InvalidArgument("{}: want https, where it is another machine or asks for a token",
                         server.url);
}

Status PostFhir(const FhirServer& server, const std::string& bundle) {
  CSL_ASSIGN_OR_RETURN(const Url url, ParseUrl(server.url));
  httplib::Client client(url.origin);
  client.set_connection_timeout(kSecondsToAnswer);
  client.set_read_timeout(kSecondsToAnswer);
  client.set_write_timeout(kSecondsToAnswer);
  if (!server.token_file.empty()) {
    CSL_ASSIGN_OR_RETURN(const std::string token, ReadToken(server.token_file));
    client.set_bearer_token_auth(token.c_str());
  }
  client.set_decompress(false);
  httplib::Request request;
  request.method = "POST";
  request.path = url.path;
  request.body = bundle;
  request.set_header("Content-Type", "application/fhir+json");
  // What it says beyond its status is not looked at, and does not keep this program.
  const auto end = std::chrono::steady_clock::now() + kMostTime;
  std::size_t bytes = 0;
  request.content_receiver = [&](const char* /*data*/, std::size_t size, std::uint64_t /*at*/,
                                 std::uint64_t /*of*/) {
    bytes += size;
    return bytes <= kMostBytes && std::chrono::steady_clock::now() < end;
  };
  const auto result = client.send(request);
  if (!result) return Unavailable("{}: {}", url.origin, httplib::to_string(result.error()));
  const int status = result->status;
  if (status == 200 || status == 201) return OkStatus();
  if (status == 400 || status == 409 || status == 412 || status == 422) {
    return InvalidArgument("{} refuses it with status {}", url.origin, status);
  }
  return Unavailable("{} answers with status {}", url.origin, status);
}

}  // namespace consilium
