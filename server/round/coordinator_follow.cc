// Runs that are a higher coordinator's: this coordinator's sites are one hospital to it.

#include "certs/identity.h"
#include "server/admission/admission.h"
#include "server/round/cohort.h"
#include "server/round/coordinator.h"
#include "server/store/run_config.h"

namespace consilium {

Status Coordinator::Follow(const std::string& run_id, const std::string& plan,
                           std::optional<ModelGiven> given) {
  CSL_RETURN_IF_ERROR(CheckName("run", run_id));  // it becomes part of files' names
  CSL_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(plan));
  if (given) {
    ModelVersion& model = given->model;
    CSL_ASSIGN_OR_RETURN(const auto file, blobs_.Has(model.digest)
                                              ? blobs_.Map(model.digest)
                                              : blobs_.MapUpload(model.digest, kHigherCoordinator));
    const Status admitted = CheckInitialModel(file->bytes(), config.model);
    if (!admitted.ok()) return Annotate(admitted, "the higher coordinator's model");
    model.bytes = file->bytes().size();
  }
  {
    MutexLock lock(mu_);
    CSL_ASSIGN_OR_RETURN(const RunContext context, Context());
    RunState* run = RunOf(run_id);
    if (run == nullptr) {
      CSL_RETURN_IF_ERROR(CheckSites(config, context.active_sites));
      CSL_RETURN_IF_ERROR(Begin(StartFollowing(run_id, plan, config, given, context),
                                kHigherCoordinator, "the higher coordinator"));
    } else if (!run->follows) {
      return FailedPrecondition("{} is a run of this coordinator's own", run_id);
    } else if (given && !run->models.empty() && given->model.round < run->models.back().round) {
      return FailedPrecondition(
          "the higher coordinator has gone back to the model of round {} of {}, which has that of "
          "round {} here: let it submit the plan again",
          given->model.round, run_id, run->models.back().round);
    } else if (given) {
      CSL_RETURN_IF_ERROR(
          blobs_.Keep(given->model.digest, kHigherCoordinator, Durability::kSynced));
      CSL_RETURN_IF_ERROR(Advance(*run, *given, context));
    }
  }
  AnswerWaiters();
  return OkStatus();
}

Status Coordinator::EndRound(const std::string& run_id, int round) {
  return ApplyEvent(run_id, RoundUnwanted{round});
}

StatusOr<RunState> Coordinator::AwaitChange(const std::string& run_id, const RunState& seen,
                                            std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  MutexLock lock(mu_);
  while (true) {
    const RunState* run = RunOf(run_id);
    if (run == nullptr) return NotFound("no run '{}'", run_id);
    const auto left = until - std::chrono::steady_clock::now();
    if (*run != seen || left.count() <= 0) return *run;
    changed_cv_.wait_for(mu_, left);
  }
}

}  // namespace consilium
