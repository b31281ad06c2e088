#include "certs/signed.h"

#include "common/crypto/signature.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxChainBytes = 64 << 10;

}  // namespace

std::string ToBeSigned(std::string_view kind, std::string_view statement) {
  return fmt::format("consilium {}\n{}", kind, statement);
}

StatusOr<v1::Signed> SignStatement(std::string_view kind, std::string statement,
                                   const Signer& signer) {
  v1::Signed message;
  CSL_ASSIGN_OR_RETURN(*message.mutable_signature(), Sign(signer.key, ToBeSigned(kind, statement)));
  message.set_statement(std::move(statement));
  message.set_certificate_pem(signer.chain_pem);
  return message;
}

StatusOr<Identity> VerifyStatement(std::string_view kind, const v1::Signed& statement,
                                   const Certificate& root, Purpose purpose, TimePoint at) {
  if (statement.statement().empty()) return PermissionDenied("there is no signed {}", kind);
  if (statement.statement().size() > kMaxStatementBytes ||
      statement.certificate_pem().size() > kMaxChainBytes) {
    return InvalidArgument("the signed {} is too large", kind);
  }
  CSL_ASSIGN_OR_RETURN(const auto chain, Certificate::ChainFromPem(statement.certificate_pem()));
  CSL_RETURN_IF_ERROR(CheckSignature(chain.front(), ToBeSigned(kind, statement.statement()),
                                     statement.signature()));
  CSL_RETURN_IF_ERROR(VerifyChain(chain, root, purpose, at));
  return IdentityOf(chain.front());
}

}  // namespace consilium
