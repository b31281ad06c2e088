#include <algorithm>

#include "client/pacs/objects_internal.h"
// After the one above: DCMTK's configuration comes first.
#include <dcmtk/dcmdata/dcuid.h>

namespace consilium {

bool IsTitle(const std::string& title) {
  return !title.empty() && title.size() <= kLongestTitle &&
         std::ranges::all_of(title, [](char c) { return c > ' ' && c <= '~' && c != '\\'; });
}

bool IsUid(const std::string& uid) {
  constexpr std::size_t kLongestUid = 64;
  return !uid.empty() && uid.size() <= kLongestUid &&
         uid.find_first_not_of("0123456789.") == std::string::npos;
}

std::vector<const char*> ImageClasses() {
  return {UID_ComputedRadiographyImageStorage,
          UID_DigitalXRayImageStorageForPresentation,
          UID_DigitalXRayImageStorageForProcessing,
          UID_CTImageStorage,
          UID_SecondaryCaptureImageStorage,
          UID_MultiframeGrayscaleByteSecondaryCaptureImageStorage,
          UID_MultiframeGrayscaleWordSecondaryCaptureImageStorage};
}

OFList<OFString> TransferSyntaxes() {
  OFList<OFString> syntaxes;
  for (const char* uid :
       {UID_LittleEndianExplicitTransferSyntax, UID_LittleEndianImplicitTransferSyntax,
        UID_BigEndianExplicitTransferSyntax, UID_JPEGProcess1TransferSyntax,
        UID_JPEGProcess2_4TransferSyntax, UID_JPEGProcess14TransferSyntax,
        UID_JPEGProcess14SV1TransferSyntax, UID_JPEGLSLosslessTransferSyntax,
        UID_JPEGLSLossyTransferSyntax, UID_RLELosslessTransferSyntax}) {
    syntaxes.push_back(uid);
  }
  return syntaxes;
}

void SetPeer(DcmSCU& scu, const Peer& peer, const std::string& own_ae_title) {
  constexpr int kSecondsToAnswer = 30;
  scu.setAETitle(own_ae_title.c_str());
  scu.setPeerAETitle(peer.ae_title.c_str());
  scu.setPeerHostName(peer.host.c_str());
  scu.setPeerPort(peer.port);
  scu.setACSETimeout(kSecondsToAnswer);
  scu.setConnectionTimeout(kSecondsToAnswer);
  scu.setDIMSEBlockingMode(DIMSE_NONBLOCKING);
  scu.setDIMSETimeout(kSecondsToAnswer);
}

}  // namespace consilium
