#include "client/session/control_variates.h"

#include <cstring>

#include "client/train/control_variate.h"

namespace consilium {
namespace {

StatusOr<std::vector<float>> ToValues(const Layout& layout, const std::string& blob) {
  if (blob.size() != layout.size() * sizeof(float)) {
    return InvalidArgument("a control variate of {} bytes, the model has {} elements", blob.size(),
                           layout.size());
  }
  std::vector<float> values(layout.size());
  std::memcpy(values.data(), blob.data(), blob.size());
  if (!AllFinite(values)) return InvalidArgument("the control variate is not finite");
  return values;
}

}  // namespace

StatusOr<ControlVariatePair> ControlVariates::Load(const std::string& run, int round,
                                                   const Model& global,
                                                   const std::string& blob) const {
  const Layout& layout = *global.state.layout;
  ControlVariatePair pair;
  if (!blob.empty()) {
    CSL_ASSIGN_OR_RETURN(pair.c, ToValues(layout, blob));
  }
  CSL_ASSIGN_OR_RETURN(auto kept, kept_.Find(run, round));
  if (!kept) return pair;
  Status sound = CheckSameLayout(layout, *kept->model.state.layout);
  if (sound.ok() && !AllFinite(kept->model.state.values)) {
    sound = InvalidArgument("it has infinite or NaN values");
  }
  if (!sound.ok()) return Annotate(sound, kept->file.string());
  pair.own = std::move(kept->model.state.values);
  return pair;
}

Status ControlVariates::Keep(const std::string& run, int round, const Model& global,
                             const ModelState& after, const ControlVariatePair& before,
                             double reach) const {
  return kept_.Keep(run, round, global.info,
                    NextControlVariate(global.state, after, before.c, before.own, reach));
}

}  // namespace consilium
