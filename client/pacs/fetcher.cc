#include "client/pacs/fetcher.h"

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/scu.h>

#include "client/pacs/durable_file.h"
#include "client/pacs/objects_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// Images are asked for where this side stores them, in whatever syntax they lie there.
class Getter final : public DcmSCU {
 public:
  explicit Getter(fs::path folder) : folder_(std::move(folder)) {}

  std::size_t TakeCount() { return std::exchange(kept_, 0); }
  const Status& status() const { return status_; }

 protected:
  OFCondition handleSTORERequestFile(T_ASC_PresentationContextID* context, const OFString& /*name*/,
                                     T_DIMSE_C_StoreRQ* request) override {
    const std::string uid(request->AffectedSOPInstanceUID);
    const bool named = IsUid(uid);
    const fs::path part = folder_ / ((named ? uid : "unnamed") + ".part");
    const OFCondition received = DcmSCU::handleSTORERequestFile(context, part.c_str(), request);
    std::error_code error;
    if (received.bad() || !named) {
      fs::remove(part, error);
      return received;
    }
    status_ = SyncAndRename(part, folder_ / (uid + ".dcm"));
    if (!status_.ok()) return EC_InvalidStream;
    ++kept_;
    return received;
  }

 private:
  const fs::path folder_;
  std::size_t kept_ = 0;
  Status status_;
};

std::string Text(DcmDataset& data, const DcmTagKey& tag) {
  OFString text;
  data.findAndGetOFStringArray(tag, text);
  return {text.c_str(), text.size()};
}

// Its elements cannot be refused: they are text.
void Put(DcmDataset& data, const DcmTagKey& tag, const std::string& text) {
  data.putAndInsertString(tag, text.c_str());
}

struct FoundStudy {
  std::string uid;
  std::string date;
};

StatusOr<std::vector<FoundStudy>> Find(DcmSCU& scu, const std::string& pacs,
                                       const StudyQuery& query) {
  DcmDataset keys;
  Put(keys, DCM_QueryRetrieveLevel, "STUDY");
  Put(keys, DCM_StudyInstanceUID, "");
  Put(keys, DCM_PatientID, query.patient_id);
  Put(keys, DCM_StudyDate, query.study_date);
  Put(keys, DCM_ModalitiesInStudy, query.modality);
  const auto context =
      scu.findPresentationContextID(UID_FINDStudyRootQueryRetrieveInformationModel, "");
  if (context == 0) return Unavailable("{} answers no queries", pacs);
  OFList<QRResponse*> responses;
  const OFCondition asked = scu.sendFINDRequest(context, &keys, &responses);
  std::vector<FoundStudy> studies;
  Uint16 last = STATUS_Success;
  for (QRResponse* response : responses) {
    last = response->m_status;
    if (response->m_dataset != nullptr) {
      FoundStudy study{.uid = Text(*response->m_dataset, DCM_StudyInstanceUID),
                       .date = Text(*response->m_dataset, DCM_StudyDate)};
      if (IsUid(study.uid)) studies.push_back(std::move(study));
    }
    delete response;
  }
  if (asked.bad()) return Unavailable("{}: {}", pacs, asked.text());
  if (last != STATUS_Success) {
    return Unavailable("{} refuses the query: status {:04x}", pacs, unsigned{last});
  }
  return studies;
}

StatusOr<std::size_t> Get(Getter& getter, const std::string& pacs, const std::string& study) {
  DcmDataset keys;
  Put(keys, DCM_QueryRetrieveLevel, "STUDY");
  Put(keys, DCM_StudyInstanceUID, study);
  const auto context =
      getter.findPresentationContextID(UID_GETStudyRootQueryRetrieveInformationModel, "");
  if (context == 0) return Unavailable("{} gives nothing by C-GET", pacs);
  OFList<RetrieveResponse*> responses;
  const OFCondition asked = getter.sendCGETRequest(context, &keys, &responses);
  Uint16 last = STATUS_Success;
  for (RetrieveResponse* response : responses) {
    last = response->m_status;
    delete response;
  }
  const std::size_t kept = getter.TakeCount();
  CSL_RETURN_IF_ERROR(getter.status());
  if (asked.bad()) return Unavailable("{}: {}", pacs, asked.text());
  // Objects that are no images cannot be given to this side: a warning (PS3.4, C.4.3.1.4).
  if (last != STATUS_Success && last != STATUS_GET_Warning_SubOperationsCompleteOneOrMoreFailures) {
    return Unavailable("{} does not give study {}: status {:04x}", pacs, study, unsigned{last});
  }
  return kept;
}

Status Connect(Getter& getter, const Peer& pacs, const std::string& own_ae_title) {
  SetPeer(getter, pacs, own_ae_title);
  getter.setStorageMode(DCMSCU_STORAGE_BIT_PRESERVING);
  OFList<OFString> plain;
  plain.push_back(UID_LittleEndianExplicitTransferSyntax);
  plain.push_back(UID_LittleEndianImplicitTransferSyntax);
  OFCondition done =
      getter.addPresentationContext(UID_FINDStudyRootQueryRetrieveInformationModel, plain);
  if (done.good()) {
    done = getter.addPresentationContext(UID_GETStudyRootQueryRetrieveInformationModel, plain);
  }
  // One context takes one syntax: an image comes in the one that it has.
  for (const char* uid : ImageClasses()) {
    for (const OFString& syntax : TransferSyntaxes()) {
      OFList<OFString> one;
      one.push_back(syntax);
      if (done.good()) done = getter.addPresentationContext(uid, one, ASC_SC_ROLE_SCP);
    }
  }
  if (done.good()) done = getter.initNetwork();
  if (done.good()) done = getter.negotiateAssociation();
  return done.good() ? OkStatus() : Unavailable("{}: {}", pacs.ae_title, done.text());
}

}  // namespace

StatusOr<std::vector<FetchedStudy>> FetchStudies(const Peer& pacs, const std::string& own_ae_title,
                                                 const StudyQuery& query, const fs::path& folder,
                                                 const std::stop_token& stop) {
  if (!IsTitle(own_ae_title) || !IsTitle(pacs.ae_title)) {
    return InvalidArgument("want AE titles of 1 to {} characters", kLongestTitle);
  }
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  Getter getter(folder);
  CSL_RETURN_IF_ERROR(Connect(getter, pacs, own_ae_title));
  CSL_ASSIGN_OR_RETURN(const std::vector<FoundStudy> found, Find(getter, pacs.ae_title, query));
  std::vector<FetchedStudy> fetched;
  for (const FoundStudy& study : found) {
    if (stop.stop_requested()) return Cancelled("stopped after {} studies", fetched.size());
    CSL_ASSIGN_OR_RETURN(const std::size_t images, Get(getter, pacs.ae_title, study.uid));
    fetched.push_back({.study_uid = study.uid, .study_date = study.date, .images = images});
  }
  getter.releaseAssociation();
  return fetched;
}

}  // namespace consilium
