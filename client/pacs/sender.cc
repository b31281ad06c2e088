#include "client/pacs/sender.h"

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmnet/dstorscu.h>

#include <charconv>

#include "client/pacs/objects_internal.h"

namespace consilium {
namespace {

// Counts what the peer has taken.
class CountingScu final : public DcmStorageSCU {
 public:
  std::size_t taken() const { return taken_; }

 protected:
  void notifySOPInstanceSent(const TransferEntry& entry) override {
    // A warning, 0xBxxx, is said of what was stored (PS3.7, annex C).
    const Uint16 status = entry.ResponseStatusCode;
    if (entry.RequestSent && (status == STATUS_Success || (status & 0xf000) == 0xb000)) ++taken_;
  }

 private:
  std::size_t taken_ = 0;
};

}  // namespace

StatusOr<Peer> ParsePeer(const std::string& text) {
  const auto at = text.find('@');
  const auto colon = text.rfind(':');
  Peer peer;
  if (at != std::string::npos && colon != std::string::npos && at < colon) {
    peer.ae_title = text.substr(0, at);
    peer.host = text.substr(at + 1, colon - at - 1);
    const char* last = text.data() + text.size();
    const auto [end, failed] = std::from_chars(text.data() + colon + 1, last, peer.port);
    if (failed == std::errc() && end == last && !peer.ae_title.empty() && !peer.host.empty() &&
        peer.port > 0) {
      return peer;
    }
  }
  return InvalidArgument("'{}' is no peer: want TITLE@HOST:PORT", text);
}

Status SendFiles(const Peer& peer, const std::string& own_ae_title,
                 const std::vector<std::filesystem::path>& files) {
  CountingScu scu;
  SetPeer(scu, peer, own_ae_title);
  for (const auto& file : files) {
    if (scu.addDicomFile(file.c_str()).bad()) {
      return InvalidArgument("{}: not a DICOM file", file.string());
    }
  }
  OFCondition done = scu.addPresentationContexts();
  if (done.good()) done = scu.initNetwork();
  if (done.good()) done = scu.negotiateAssociation();
  if (done.bad()) return Unavailable("{}: {}", peer.ae_title, done.text());
  done = scu.sendSOPInstances();
  scu.releaseAssociation();
  if (done.good() && scu.taken() == files.size()) return OkStatus();
  return Unavailable("{} took {} of {} objects: {}", peer.ae_title, scu.taken(), files.size(),
                     done.text());
}

}  // namespace consilium
