#include "client/intake/fhir_server.h"

#include <httplib.h>

#include <regex>

#include "common/base/file.h"

namespace consilium {
namespace {

constexpr int kSecondsToAnswer = 30;

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
             .is_local = host == "localhost" || host == "[::1]" || host.starts_with("127.")};
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
  const auto result = client.Post(url.path.c_str(), bundle, "application/fhir+json");
  if (!result) return Unavailable("{}: {}", url.origin, httplib::to_string(result.error()));
  if (result->status == 200 || result->status == 201) return OkStatus();
  return Unavailable("{} answers with status {}", url.origin, result->status);
}

}  // namespace consilium
