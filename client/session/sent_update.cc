#include "client/session/sent_update.h"

#include "common/base/random.h"
#include "common/encoding/update_encoding.h"

namespace consilium {
namespace {

std::uint64_t SeedOf(const v1::RunPlan& plan, int round, const std::string& site) {
  Random random = Random::For(plan.seed(), round);
  for (const char character : site) random = Random::For(random.Next(), character);
  return random.Next();
}

}  // namespace

std::string EncodeModel(const Model& model) {
  std::string bytes = EncodeModelHeader(model.info, *model.state.layout);
  const auto values = std::as_bytes(std::span(model.state.values));
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size());
  return bytes;
}

StatusOr<std::string> EncodeToSend(const v1::RunPlan& plan, const std::string& site,
                                   const Model& trained, const ModelState& base,
                                   std::vector<float>& residual) {
  EncodedUpdateHead head{.run = trained.info.provenance.run,
                         .round = trained.info.provenance.round,
                         .base_digest = trained.info.provenance.parent_digest};
  CSL_ASSIGN_OR_RETURN(head.encoding, ParseUpdateEncoding(plan.encoding().update()));
  if (head.encoding == UpdateEncoding::kFloat32) return EncodeModel(trained);
  return EncodeUpdate(head, *trained.state.layout, base.values, trained.state.values,
                      {.top_k = plan.encoding().top_k(), .seed = SeedOf(plan, head.round, site)},
                      residual);
}

}  // namespace consilium
