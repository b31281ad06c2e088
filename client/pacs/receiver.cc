#include "client/pacs/receiver.h"

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/scppool.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "client/pacs/durable_file.h"
#include "client/pacs/objects_internal.h"
#include "common/base/file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr int kSecondsBetweenLooks = 1;  // at the wish to stop
constexpr int kSecondsOfSilence = 30;    // after which an association ends

std::string Text(const OFString& text) { return {text.c_str(), text.size()}; }

// One association.
class Scp final : public DcmThreadSCP {
 public:
  explicit Scp(const ReceiverOptions& options) : options_(options) {}

 protected:
  OFBool checkCalledAETitleAccepted(const OFString& title) override {
    return Text(title) == options_.ae_title;
  }
  OFBool checkCallingAETitleAccepted(const OFString& title) override {
    const bool known = std::ranges::count(options_.senders, Text(title)) > 0;
    if (!known)
      spdlog::warn("refused: nobody here knows the AE title '{}'", Printable(Text(title)));
    return known;
  }

  OFCondition handleIncomingCommand(T_DIMSE_Message* message,
                                    const DcmPresentationContextInfo& context) override {
    if (message->CommandField == DIMSE_C_ECHO_RQ) {
      return handleECHORequest(message->msg.CEchoRQ, context.presentationContextID);
    }
    if (message->CommandField == DIMSE_C_STORE_RQ) {
      return Store(message->msg.CStoreRQ, context.presentationContextID);
    }
    return DcmThreadSCP::handleIncomingCommand(message, context);  // which refuses it
  }

 private:
  static std::string Printable(std::string text) {
    for (char& c : text) c = c >= ' ' && c <= '~' ? c : '?';
    return text;
  }

  OFCondition Store(T_DIMSE_C_StoreRQ& request, T_ASC_PresentationContextID context) {
    const std::string uid(request.AffectedSOPInstanceUID);
    // What has no proper name is read all the same, to be refused in its order, and kept nowhere.
    const bool named = IsUid(uid);
    const fs::path part =
        options_.folder / fmt::format("{}.{}.part", named ? uid : "unnamed", ::gettid());
    const OFCondition received = receiveSTORERequest(request, context, part.c_str());
    std::error_code error;
    if (received.bad() || !named) {
      fs::remove(part, error);
      if (received.bad()) return received;
      return sendSTOREResponse(context, request, STATUS_STORE_Error_CannotUnderstand);
    }
    const Status kept = SyncAndRename(part, options_.folder / (uid + ".dcm"));
    if (!kept.ok()) spdlog::error("{}", std::string(kept.message()));
    return sendSTOREResponse(context, request,
                             kept.ok() ? STATUS_Success : STATUS_STORE_Refused_OutOfResources);
  }

  const ReceiverOptions& options_;
};

class Pool final : public DcmBaseSCPPool {
 public:
  explicit Pool(const ReceiverOptions& options) : options_(options) {}

 private:
  class Worker final : public DcmBaseSCPWorker {
   public:
    Worker(Pool& pool, const ReceiverOptions& options) : DcmBaseSCPWorker(pool), scp_(options) {}
    OFCondition setSharedConfig(const DcmSharedSCPConfig& config) override {
      return scp_.setSharedConfig(config);
    }
    OFBool busy() override { return scp_.isConnected(); }

   protected:
    OFCondition workerListen(T_ASC_Association* const association) override {
      return scp_.run(association);
    }

   private:
    Scp scp_;
  };

  DcmBaseSCPWorker* createSCPWorker() override { return new Worker(*this, options_); }

  const ReceiverOptions& options_;
};

Status Configure(const ReceiverOptions& options, DcmSCPConfig& config) {
  config.setPort(options.port);
  config.setAETitle(options.ae_title.c_str());
  config.setConnectionBlockingMode(DUL_NOBLOCK);
  config.setConnectionTimeout(kSecondsBetweenLooks);
  config.setDIMSEBlockingMode(DIMSE_NONBLOCKING);
  config.setDIMSETimeout(kSecondsOfSilence);
  config.setACSETimeout(kSecondsOfSilence);
  config.setHostLookupEnabled(OFFalse);
  const OFList<OFString> syntaxes = TransferSyntaxes();
  std::vector<const char*> classes = ImageClasses();
  classes.push_back(UID_VerificationSOPClass);
  for (const char* uid : classes) {
    if (config.addPresentationContext(uid, syntaxes).bad()) {
      return Internal("cannot offer the storage of {}", uid);
    }
  }
  return OkStatus();
}

// What a process before this one was writing when it died.
void RemoveParts(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".part") fs::remove(entry.path(), error);
  }
}

}  // namespace

Status Receive(const ReceiverOptions& options, const std::stop_token& stop,
               const std::function<void()>& on_ready) {
  if (!IsTitle(options.ae_title) || options.senders.empty() ||
      !std::ranges::all_of(options.senders, IsTitle)) {
    return InvalidArgument("want AE titles of 1 to {} characters, and at least one sender",
                           kLongestTitle);
  }
  CSL_RETURN_IF_ERROR(MakeFolders(options.folder));
  RemoveParts(options.folder);
  Pool pool(options);
  pool.setMaxThreads(options.max_associations);
  CSL_RETURN_IF_ERROR(Configure(options, pool.getConfig()));
  const std::stop_callback on_stop(stop, [&] { pool.stopAfterCurrentAssociations(); });
  on_ready();
  const OFCondition listened = stop.stop_requested() ? EC_Normal : pool.listen();
  if (listened.good() || stop.stop_requested()) return OkStatus();
  return FailedPrecondition("port {}: {}", options.port, listened.text());
}

}  // namespace consilium
