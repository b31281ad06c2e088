#include "certs/trail_head.h"

#include <charconv>
#include <map>

#include "common/crypto/digest.h"
#include "common/crypto/signature.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxSignatureCharacters = 512;

std::string ToBeSigned(const TrailHead& head) {
  return consilium::ToBeSigned(kTrailHead, fmt::format("{} {}", head.entries, head.hash));
}

StatusOr<std::string> FromHex(std::string_view hex) {
  const Status wrong = InvalidArgument("a signature is not hexadecimal");
  if (hex.size() % 2 != 0 || hex.size() > kMaxSignatureCharacters) return wrong;
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned value = 0;
    const char* end = hex.data() + i + 2;
    if (std::from_chars(hex.data() + i, end, value, 16).ptr != end) return wrong;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

}  // namespace

StatusOr<v1::SignedHead> SignHead(const TrailHead& head, const Signer& signer) {
  CSL_ASSIGN_OR_RETURN(const std::string signature, Sign(signer.key, ToBeSigned(head)));
  v1::SignedHead message;
  message.set_entries(head.entries);
  message.set_hash(head.hash);
  message.set_signature(
      ToHex({reinterpret_cast<const unsigned char*>(signature.data()), signature.size()}));
  message.set_certificate_pem(signer.chain_pem);
  return message;
}

StatusOr<TrailHead> CheckHead(const v1::SignedHead& message, const Certificate& certificate) {
  if (!IsDigest(message.hash())) return InvalidArgument("the head of a trail is not a digest");
  const TrailHead head{message.entries(), message.hash()};
  CSL_ASSIGN_OR_RETURN(const std::string signature, FromHex(message.signature()));
  CSL_RETURN_IF_ERROR(CheckSignature(certificate, ToBeSigned(head), signature));
  return head;
}

StatusOr<int> CompareTrails(const std::filesystem::path& holder, std::string_view event,
                            std::string_view site, const std::filesystem::path& owner) {
  std::map<std::uint64_t, std::string> said;
  CSL_RETURN_IF_ERROR(VerifyTrail(holder, [&](const nlohmann::ordered_json& entry) {
    if (entry.value("event", "") != event) return;
    if (!site.empty() && entry.value("site", "") != site) return;
    said[entry.value("entries", std::uint64_t{0})] = entry.value("head", "");
  }));
  int agree = 0;
  Status difference;
  std::uint64_t entries = 0;
  CSL_RETURN_IF_ERROR(VerifyTrail(owner, [&](const nlohmann::ordered_json& entry) {
    ++entries;
    const auto found = said.find(entries);
    if (found == said.end() || !difference.ok()) return;
    if (found->second == entry.value("hash", "")) {
      ++agree;
    } else {
      difference = DataLoss("{} entry {} is another one than its owner signed to the other side",
                            owner.string(), entries);
    }
  }));
  CSL_RETURN_IF_ERROR(difference);
  if (!said.empty() && said.rbegin()->first > entries) {
    return DataLoss("{} has {} entries; its owner signed {} of them to the other side",
                    owner.string(), entries, said.rbegin()->first);
  }
  return agree + static_cast<int>(said.count(0));
}

}  // namespace consilium
