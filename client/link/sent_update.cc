#include "client/link/sent_update.h"

#include "common/base/random.h"
#include "common/encoding/update_encoding.h"

namespace consilium {
namespace {

std::uint64_t SeedOf(const v1::RunPlan& plan, int round, const std::string& site) {
  Random random = Random::For(plan.seed(), round);
  for (const char character : site) random = Random::For(random.Next(), character);
  return random.Next();
}

std::string Encode(const ModelInfo& info, const Layout& layout, std::span<const float> values) {
  std::string bytes = EncodeModelHeader(info, layout);
  const auto data = std::as_bytes(values);
  bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
  return bytes;
}

}  // namespace

std::string EncodeModel(const Model& model) {
  return Encode(model.info, *model.state.layout, model.state.values);
}

StatusOr<std::string> EncodeToSend(const v1::RunPlan& plan, const std::string& site,
                                   const Trained& trained, std::vector<float>& residual) {
  const auto& [info, layout, base, values] = trained;
  EncodedUpdateHead head{.run = info.provenance.run,
                         .round = info.provenance.round,
                         .base_digest = info.provenance.parent_digest};
  CSL_ASSIGN_OR_RETURN(head.encoding, ParseUpdateEncoding(plan.encoding().update()));
  if (head.encoding == UpdateEncoding::kFloat32) return Encode(info, layout, values);
  return EncodeUpdate(head, layout, base, values,
                      {.top_k = plan.encoding().top_k(), .seed = SeedOf(plan, head.round, site)},
                      residual);
}

}  // namespace consilium
