#include "client/link/current_identity.h"

#include <spdlog/spdlog.h>

namespace consilium {
namespace {

constexpr std::chrono::hours kAttemptInterval{1};

}  // namespace

CurrentIdentity::CurrentIdentity(const Home& home, std::filesystem::path folder, AuditTrail& trail,
                                 const std::stop_token& stop)
    : folder_(std::move(folder)), trail_(trail), client_(home, stop), home_(home) {}

StatusOr<v1::SignedHead> CurrentIdentity::SignHead(const TrailHead& head) {
  MutexLock lock(mu_);
  CSL_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::FromPem(home_.key_pem));
  return consilium::SignHead(head, {key, /*chain_pem=*/""});  // the connection shows it
}

void CurrentIdentity::KeepCurrent(TimePoint now) {
  MutexLock lock(mu_);
  Status status = TakeOver();
  const auto due = IsRenewalDue(home_, now);
  if (status.ok() && due.ok() && *due && now >= next_attempt_) {
    next_attempt_ = now + kAttemptInterval;
    status = client_.RenewIdentity(folder_);
    if (status.ok()) status = TakeOver();
  }
  if (!status.ok()) {
    spdlog::warn("the certificate was not renewed: {}", std::string(status.message()));
  }
  const auto certificate = Certificate::FromPem(home_.certificate_pem);
  if (!certificate.ok()) return;
  const std::string warning = warnings_.Next("this site", certificate->NotAfter(), now);
  if (!warning.empty()) spdlog::warn("{}", warning);
}

Status CurrentIdentity::TakeOver() {
  CSL_ASSIGN_OR_RETURN(const bool changed, HasChanged(folder_, home_));
  if (!changed) return OkStatus();
  CSL_ASSIGN_OR_RETURN(home_, ReadHome(folder_));
  client_.UseIdentity(home_);
  CSL_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(home_.certificate_pem));
  CSL_RETURN_IF_ERROR(trail_.Append("renewed", {{"serial", certificate.Serial()}}));
  spdlog::info("calling with a renewed certificate");
  return OkStatus();
}

}  // namespace consilium
