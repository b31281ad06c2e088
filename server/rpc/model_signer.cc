#include "server/rpc/model_signer.h"

#include "certs/expiry.h"
#include "certs/key_file.h"
#include "common/config/plan.h"
#include "common/crypto/digest.h"
#include "common/crypto/signature.h"
#include "common/rpc/protocol.h"
#include "common/wire/convert.h"
#include "consilium/v1/plan.pb.h"

namespace consilium {
namespace {

constexpr char kSigningFile[] = "signing.pem";
constexpr std::size_t kPseudonymCharacters = 12;
constexpr std::chrono::seconds kRecent{1};

// The same for a site in all of a run's manifests, and not to be guessed from its name: only the
// key's owner can make it. Ed25519 signs the same bytes in the same way each time.
StatusOr<std::string> PseudonymOf(const std::string& site, const std::string& run_id,
                                  const PrivateKey& key) {
  CSL_ASSIGN_OR_RETURN(const std::string secret,
                       Sign(key, fmt::format("consilium pseudonym\n{} {}", run_id, site)));
  return "site-" + Sha256Of(secret).substr(0, kPseudonymCharacters);
}

}  // namespace

StatusOr<std::unique_ptr<ModelSigner>> ModelSigner::Open(const std::filesystem::path& folder,
                                                         const Registry& registry,
                                                         const Coordinator& coordinator,
                                                         const Clock& clock) {
  std::unique_ptr<ModelSigner> signer(new ModelSigner(folder, registry, coordinator, clock));
  if (!std::filesystem::exists(folder / kSigningFile)) {
    CSL_RETURN_IF_ERROR(signer->Renew(clock.Now()));
  }
  CSL_RETURN_IF_ERROR(signer->Load());
  CSL_RETURN_IF_ERROR(signer->Refresh(clock.Now()));
  return signer;
}

Status ModelSigner::Refresh(TimePoint now) {
  {
    MutexLock lock(mu_);
    if (now < renew_at_) return OkStatus();
  }
  CSL_RETURN_IF_ERROR(Renew(now));
  return Load();
}

Status ModelSigner::Renew(TimePoint now) {
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::GenerateEd25519());
  CSL_ASSIGN_OR_RETURN(const std::string chain_pem,
                       registry_.authority().IssueSigner(
                           key, {registry_.federation(), Role::kCoordinator, "coordinator"}, now));
  return WriteKeyFile(folder_ / kSigningFile, key, chain_pem);
}

Status ModelSigner::Load() {
  CSL_ASSIGN_OR_RETURN(const KeyFile file, ReadKeyFile(folder_ / kSigningFile));
  std::string chain_pem;
  for (const Certificate& certificate : file.chain) {
    CSL_ASSIGN_OR_RETURN(const std::string pem, certificate.ToPem());
    chain_pem += pem;
  }
  MutexLock lock(mu_);
  signer_ = std::make_unique<const Signer>(Signer{file.key, std::move(chain_pem)});
  renew_at_ = RenewalTime(file.chain.front());
  return OkStatus();
}

Signer ModelSigner::signer() const {
  MutexLock lock(mu_);
  return *signer_;
}

StatusOr<v1::Signed> ModelSigner::ManifestOf(const std::string& run_id, int round,
                                             const std::string& channel) const {
  CSL_ASSIGN_OR_RETURN(const ModelRecord record, coordinator_.FindModel(run_id, round));
  v1::RunPlan plan;
  if (!plan.ParseFromString(record.plan)) return DataLoss("the plan of {} is damaged", run_id);
  const Signer signer = this->signer();

  v1::ModelManifest manifest;
  manifest.set_federation(registry_.federation());
  manifest.set_run_id(run_id);
  manifest.set_round(static_cast<std::uint32_t>(round));
  manifest.set_digest(record.version.digest);
  manifest.set_size_bytes(record.version.bytes);
  *manifest.mutable_model() = ToProto(record.spec);
  manifest.set_parent_digest(record.parent_digest);
  manifest.set_plan_digest(Sha256Of(record.plan));
  const auto name_of = [&](const std::string& site) -> StatusOr<std::string> {
    if (plan.site_names() != kPseudonyms) return site;
    return PseudonymOf(site, run_id, signer.key);
  };
  for (const ModelRecord::Participant& participant : record.participants) {
    v1::Participant& message = *manifest.add_participants();
    CSL_ASSIGN_OR_RETURN(*message.mutable_site(), name_of(participant.site));
    message.set_train_examples(participant.train_examples);
    message.set_update_digest(participant.update_digest);
  }
  if (!record.site_evaluations.empty()) {
    *manifest.mutable_evaluation() = ToProto(record.evaluation);
    manifest.set_evaluated_sites(static_cast<std::uint32_t>(record.site_evaluations.size()));
  }
  for (const SiteScore& score : ScoresToTell(record.site_evaluations)) {
    v1::SiteScore& message = *manifest.add_site_scores();
    CSL_ASSIGN_OR_RETURN(*message.mutable_site(), name_of(score.site));
    message.set_examples(score.examples);
    message.set_accuracy(score.accuracy);
    message.set_balanced_accuracy(score.balanced_accuracy);
  }
  manifest.set_software(std::string(SoftwareVersion()));
  manifest.set_signed_unix_ms(ToUnixMillis(clock_.Now()));
  manifest.set_channel(channel);
  return SignManifest(manifest, signer);
}

StatusOr<v1::Signed> ModelSigner::RecentManifestOf(const std::string& run_id, int round) const {
  const TimePoint now = clock_.Now();
  {
    MutexLock lock(mu_);
    const bool is_recent = recent_.made <= now && now - recent_.made <= kRecent;
    if (is_recent && recent_.run_id == run_id && recent_.round == round) return recent_.manifest;
  }
  CSL_ASSIGN_OR_RETURN(const v1::Signed manifest, ManifestOf(run_id, round));
  MutexLock lock(mu_);
  recent_ = {run_id, round, now, manifest};
  return manifest;
}

}  // namespace consilium
