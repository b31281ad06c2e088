#include "server/round/run_trail.h"

#include <algorithm>
#include <map>

namespace consilium {
namespace {

AuditFields FieldsOf(const RunState& run, const TaskState& task) {
  return {{"run", run.id}, {"round", task.round}, {"site", task.site}, {"task", task.id}};
}

AuditEntry Delivered(const RunState& run, const TaskState& task) {
  AuditEntry entry{"evaluated", FieldsOf(run, task)};
  if (task.result.blob_digest.empty()) return entry;
  entry.fields["digest"] = task.result.blob_digest;
  entry.fields["bytes"] = task.result.blob_bytes;
  if (task.kind == TaskKind::kInitialise) {
    entry.event = "initial_model_accepted";
    return entry;
  }
  entry.event = "update_accepted";
  entry.fields["train_examples"] = task.result.train_examples;
  entry.fields["steps"] = task.result.steps;
  entry.fields["norm"] = task.result.update_norm;
  return entry;
}

AuditFields FieldsOf(const RunState& run, const ModelVersion& model) {
  return {
      {"run", run.id}, {"round", model.round}, {"digest", model.digest}, {"bytes", model.bytes}};
}

// Of the updates that the run had before.
AuditEntry Made(const std::string& event, const RunState& run, const ModelVersion& model,
                const RunState& before) {
  AuditEntry entry{event, FieldsOf(run, model)};
  entry.fields["updates"] = model.round == 0 ? 0 : DeliveredTasks(before).size();
  return entry;
}

// Whether the task's result came, and was taken back when its round closed.
bool IsTakenBack(const TaskState& task) {
  return task.status == TaskStatus::kFailed && !task.result.blob_digest.empty();
}

// Of the task as it was.
AuditEntry Lost(const RunState& run, const TaskState& task) {
  AuditEntry entry{"update_lost", FieldsOf(run, task)};
  entry.fields["digest"] = task.result.blob_digest;
  return entry;
}

AuditEntry Ended(const RunState& run, const TaskState& task) {
  AuditEntry entry{IsTakenBack(task) ? "update_refused" : "task_ended", FieldsOf(run, task)};
  entry.fields["status"] = TaskStatusName(task.status);
  entry.fields["reason"] = task.reason;
  if (IsTakenBack(task)) entry.fields["digest"] = task.result.blob_digest;
  return entry;
}

}  // namespace

std::vector<AuditEntry> WhatHappened(const RunState& before, const RunState& after) {
  std::vector<AuditEntry> entries;
  std::map<std::string, const TaskState*> known;
  for (const TaskState& task : before.tasks) known[task.id] = &task;
  // What ended comes before what that made possible.
  for (const TaskState& task : after.tasks) {
    const auto found = known.find(task.id);
    const TaskStatus former = found == known.end() ? TaskStatus::kOpen : found->second->status;
    if (task.status == former) continue;
    if (former == TaskStatus::kDone && !IsTakenBack(task)) {
      entries.push_back(Lost(after, *found->second));
    }
    if (task.status == TaskStatus::kOpen) continue;
    entries.push_back(task.status == TaskStatus::kDone ? Delivered(after, task)
                                                       : Ended(after, task));
  }
  for (std::size_t i = before.models.size(); i < after.models.size(); ++i) {
    const ModelVersion& model = after.models[i];
    if (after.follows) {
      entries.push_back({"model_given", FieldsOf(after, model)});
      continue;
    }
    entries.push_back(Made("model", after, model, before));
  }
  if (!after.regional.digest.empty() && after.regional != before.regional) {
    entries.push_back(Made("regional_update", after, after.regional, before));
  }
  if (after.status != before.status || after.attempt != before.attempt ||
      after.pausing != before.pausing) {
    entries.push_back({"run",
                       {{"run", after.id},
                        {"status", RunStatusName(after.status)},
                        {"round", after.round},
                        {"attempt", after.attempt},
                        {"pausing", after.pausing},
                        {"reason", after.reason}}});
  }
  for (const TaskState& task : after.tasks) {
    if (known.contains(task.id)) continue;
    AuditFields fields = FieldsOf(after, task);
    fields["kind"] = TaskKindName(task.kind);
    if (!after.models.empty()) fields["model"] = after.models.back().digest;
    entries.push_back({"task", std::move(fields)});
  }
  return entries;
}

std::vector<TaskState> RefusedAfterDelivery(const RunState& before, const RunState& after) {
  std::vector<TaskState> refused;
  for (const TaskState& task : after.tasks) {
    if (!IsTakenBack(task)) continue;
    const auto former = std::ranges::find(before.tasks, task.id, &TaskState::id);
    if (former == before.tasks.end() || former->status != task.status) refused.push_back(task);
  }
  return refused;
}

}  // namespace consilium
