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

}  // namespace consilium
