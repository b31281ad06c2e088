#include "client/session/residuals.h"

namespace consilium {

StatusOr<std::vector<float>> Residuals::Load(const std::string& run, int round,
                                             const Model& trained) const {
  CSL_ASSIGN_OR_RETURN(auto kept, kept_.Find(run, round));
  if (!kept) return std::vector<float>();
  const Status same = CheckSameLayout(*trained.state.layout, *kept->model.state.layout);
  if (!same.ok()) return Annotate(same, kept->file.string());
  return std::move(kept->model.state.values);
}

Status Residuals::Keep(const std::string& run, int round, const Model& trained,
                       const std::vector<float>& residual) const {
  ModelState state(trained.state.layout);
  state.values = residual;
  return kept_.Keep(run, round, trained.info, state);
}

}  // namespace consilium
