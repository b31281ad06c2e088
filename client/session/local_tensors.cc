#include "client/session/local_tensors.h"

#include <limits>

#include "common/model/local_part.h"

namespace consilium {

Status LocalTensors::PutInto(const std::string& run, int round, Model& model) const {
  if (!HasLocalPart(*model.state.layout)) return OkStatus();
  CSL_ASSIGN_OR_RETURN(const auto kept, kept_.Find(run, round));
  if (!kept) return OkStatus();
  if (const Status put = PutLocalPart(kept->model.state, model.state); !put.ok()) {
    return Annotate(put, kept->file.string());
  }
  return OkStatus();
}

Status LocalTensors::PutLastInto(Model& model) const {
  return PutInto(model.info.provenance.run, std::numeric_limits<int>::max(), model);
}

Status LocalTensors::Keep(const std::string& run, int round, const Model& model) const {
  if (!HasLocalPart(*model.state.layout)) return OkStatus();
  return kept_.Keep(run, round, model.info, LocalPart(model.state));
}

}  // namespace consilium
