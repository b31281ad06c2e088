#include "client/pacs/fetcher.h"

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/scu.h>

#include <utility>

#include "client/pacs/durable_file.h"
#include "client/pacs/objects_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// More than these, and a PACS that never ends is not listened to.
constexpr std::size_t kMostStudies = 10'000;
constexpr std::size_t kMostImages = 20'000;  // of a study

struct FoundStudy {
  std::string uid;
  std::string date;
};

std::string Text(DcmDataset& data, const DcmTagKey& tag) {
  OFString text;
  data.findAndGetOFStringArray(tag, text);
  return {text.c_str(), text.size()};
}

// Keeps what comes as it comes, so that no list of answers grows in memory. Images are stored in
// whatever syntax they lie in.
class Getter final : public DcmSCU {
 public:
  explicit Getter(fs::path folder) : folder_(std::move(folder)) {}

  // Since the last request was made; its last status is "pending" where no end was told.
  void Begin() {
    last_status_ = STATUS_Pending;
    studies_.clear();
    kept_ = missing_ = 0;
  }
  Uint16 last_status() const { return last_status_; }
  std::vector<FoundStudy> TakeStudies() { return std::exchange(studies_, {}); }
  std::size_t kept() const { return kept_; }
  std::size_t missing() const { return missing_; }
  // What went wrong on this side; it stays.
  const Status& status() const { return status_; }

 protected:
  OFCondition handleFINDResponse(const T_ASC_PresentationContextID context, QRResponse* response,
                                 OFBool& goes_on) override {
    const OFCondition handled = DcmSCU::handleFINDResponse(context, response, goes_on);
    last_status_ = response->m_status;
    if (response->m_dataset == nullptr) return handled;
    FoundStudy study{.uid = Text(*response->m_dataset, DCM_StudyInstanceUID),
                     .date = Text(*response->m_dataset, DCM_StudyDate)};
    if (IsUid(study.uid)) studies_.push_back(std::move(study));
    if (studies_.size() < kMostStudies) return handled;
    goes_on = OFFalse;
    return Fail(InvalidArgument("more than {} studies: ask for fewer", kMostStudies));
  }

  OFCondition handleCGETResponse(const T_ASC_PresentationContextID context,
                                 RetrieveResponse* response, OFBool& goes_on) override {
    last_status_ = response->m_status;
    missing_ = response->m_numberOfFailedSubops;
    return DcmSCU::handleCGETResponse(context, response, goes_on);
  }

  OFCondition handleSTORERequestFile(T_ASC_PresentationContextID* context, const OFString& /*name*/,
                                     T_DIMSE_C_StoreRQ* request) override {
    const std::string uid(request->AffectedSOPInstanceUID);
    const bool named = IsUid(uid);
    const fs::path part = folder_ / ((named ? uid : "unnamed") + ".part");
    const OFCondition received = DcmSCU::handleSTORERequestFile(context, part.c_str(), request);
    std::error_code error;
    if (received.bad() || !named) {
      fs::remove(part, error);
      return Fail(received.bad() ? Unavailable("an object broke off: {}", received.text())
                                 : InvalidArgument("an object has no proper UID"));
    }
    if (const Status kept = SyncAndRename(part, folder_ / (uid + ".dcm")); !kept.ok()) {
      return Fail(kept);
    }
    if (++kept_ > kMostImages) return Fail(InvalidArgument("a study of endless images"));
    return received;
  }

 private:
  OFCondition Fail(const Status& status) {
    status_ = status;
    return EC_InvalidStream;
  }

  const fs::path folder_;
  Uint16 last_status_ = STATUS_Pending;
  std::vector<FoundStudy> studies_;
  std::size_t kept_ = 0;
  std::size_t missing_ = 0;
  Status status_;
};

// Its elements cannot be refused: they are text.
void Put(DcmDataset& data, const DcmTagKey& tag, const std::string& text) {
  data.putAndInsertString(tag, text.c_str());
}

StatusOr<std::vector<FoundStudy>> Find(Getter& getter, const std::string& pacs,
                                       const StudyQuery& query) {
  DcmDataset keys;
  Put(keys, DCM_QueryRetrieveLevel, "STUDY");
  Put(keys, DCM_StudyInstanceUID, "");
  Put(keys, DCM_PatientID, query.patient_id);
  Put(keys, DCM_StudyDate, query.study_date);
  Put(keys, DCM_ModalitiesInStudy, query.modality);
  const auto context =
      getter.findPresentationContextID(UID_FINDStudyRootQueryRetrieveInformationModel, "");
  if (context == 0) return Unavailable("{} answers no queries", pacs);
  getter.Begin();
  const OFCondition asked = getter.sendFINDRequest(context, &keys, nullptr);
  CSL_RETURN_IF_ERROR(getter.status());
  if (asked.bad()) return Unavailable("{}: {}", pacs, asked.text());
  if (getter.last_status() != STATUS_Success) {
    return Unavailable("{} refuses the query: status {:04x}", pacs, unsigned{getter.last_status()});
  }
  return getter.TakeStudies();
}

StatusOr<FetchedStudy> Get(Getter& getter, const std::string& pacs, const FoundStudy& study) {
  DcmDataset keys;
  Put(keys, DCM_QueryRetrieveLevel, "STUDY");
  Put(keys, DCM_StudyInstanceUID, study.uid);
  const auto context =
      getter.findPresentationContextID(UID_GETStudyRootQueryRetrieveInformationModel, "");
  if (context == 0) return Unavailable("{} gives nothing by C-GET", pacs);
  getter.Begin();
  const OFCondition asked = getter.sendCGETRequest(context, &keys, nullptr);
  CSL_RETURN_IF_ERROR(getter.status());
  if (asked.bad()) return Unavailable("{}: {}", pacs, asked.text());
  // A warning where objects could not be given (PS3.4, C.4.3.1.4): reports, for instance.
  const Uint16 status = getter.last_status();
  if (status != STATUS_Success &&
      status != STATUS_GET_Warning_SubOperationsCompleteOneOrMoreFailures) {
    return Unavailable("{} does not give study {}: status {:04x}", pacs, study.uid,
                       unsigned{status});
  }
  return FetchedStudy{.study_uid = study.uid,
                      .study_date = study.date,
                      .images = getter.kept(),
                      .missing = getter.missing()};
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
  if (query.patient_id.empty() && query.study_date.empty() && query.modality.empty()) {
    return InvalidArgument("want a patient, a date or a modality: not all that the PACS has");
  }
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  Getter getter(folder);
  CSL_RETURN_IF_ERROR(Connect(getter, pacs, own_ae_title));
  CSL_ASSIGN_OR_RETURN(const std::vector<FoundStudy> found, Find(getter, pacs.ae_title, query));
  std::vector<FetchedStudy> fetched;
  for (const FoundStudy& study : found) {
    if (stop.stop_requested()) return Cancelled("stopped after {} studies", fetched.size());
    CSL_ASSIGN_OR_RETURN(fetched.emplace_back(), Get(getter, pacs.ae_title, study));
  }
  getter.releaseAssociation();
  return fetched;
}

}  // namespace consilium
