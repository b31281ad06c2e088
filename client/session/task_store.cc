#include "client/session/task_store.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstring>
#include <functional>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/wire/convert.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kCheckpoint[] = "checkpoint";
constexpr char kFinished[] = "finished";
constexpr char kDelivered[] = "delivered";
constexpr char kPartExtension[] = ".part";
constexpr char kModelExtension[] = ".model";
constexpr std::size_t kNameOfPart = 16;  // of a digest's characters
constexpr std::size_t kDigestBytes = 64;
constexpr std::size_t kLengthBytes = 8;

// See consilium/v1/checkpoint.proto for what a file is.
template <typename Message>
struct Contents {
  Message message;
  MappedFile file;
  std::span<const std::byte> rest;  // behind the message
};

template <typename Message>
Status Write(const fs::path& path, const Message& message,
             std::initializer_list<std::span<const std::byte>> rest) {
  const std::string text = message.SerializeAsString();
  const std::uint64_t length = text.size();
  std::string head(kLengthBytes, '\0');
  std::memcpy(head.data(), &length, kLengthBytes);
  head += text;
  std::vector<std::span<const std::byte>> parts = {{}, AsBytes(head)};
  parts.insert(parts.end(), rest.begin(), rest.end());
  Sha256 hash;
  for (const auto part : parts) hash.Update(part);
  const std::string digest = hash.Finish();
  parts.front() = AsBytes(digest);
  CSL_RETURN_IF_ERROR(MakeFolders(path.parent_path()));
  return WriteFileAtomically(path, parts, kPrivateMode);
}

// NOT_FOUND too where it is not what is wanted, which is asked before its bytes are hashed.
template <typename Message>
StatusOr<Contents<Message>> Read(const fs::path& path,
                                 const std::function<bool(const Message&)>& is_wanted) {
  CSL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const Status damaged = DataLoss("{}: damaged; the work is done again", path.string());
  const auto bytes = file.bytes();
  if (bytes.size() < kDigestBytes + kLengthBytes) return damaged;
  const std::string_view digest(reinterpret_cast<const char*>(bytes.data()), kDigestBytes);
  const auto body = bytes.subspan(kDigestBytes);
  std::uint64_t length = 0;
  std::memcpy(&length, body.data(), kLengthBytes);
  if (length > body.size() - kLengthBytes || length > INT32_MAX) return damaged;
  Message message;
  if (!message.ParseFromArray(body.data() + kLengthBytes, static_cast<int>(length))) {
    return damaged;
  }
  if (is_wanted && !is_wanted(message)) return NotFound("{}: another task's", path.string());
  if (Sha256Of(body) != digest) return damaged;
  return Contents<Message>{std::move(message), std::move(file),
                           body.subspan(kLengthBytes + length)};
}

// The contents, unless there are none; says so where they are damaged.
template <typename Message>
std::optional<Contents<Message>> Find(const fs::path& path,
                                      const std::function<bool(const Message&)>& is_wanted = {}) {
  auto contents = Read<Message>(path, is_wanted);
  if (contents.ok()) return *std::move(contents);
  if (!absl::IsNotFound(contents.status())) {
    spdlog::warn("{}", std::string(contents.status().message()));
  }
  return std::nullopt;
}

bool IsSameTask(const v1::TaskKey& a, const v1::TaskKey& b) {
  return a.task_id() == b.task_id() && a.model_digest() == b.model_digest() &&
         a.plan_digest() == b.plan_digest();
}

bool HasSameImagesAndDevice(const v1::TaskKey& a, const v1::TaskKey& b) {
  return std::equal(a.class_counts().begin(), a.class_counts().end(), b.class_counts().begin(),
                    b.class_counts().end()) &&
         a.device() == b.device();
}

// Of this task; null: of any.
std::optional<TaskStore::Finished> ReadFinished(const fs::path& path,
                                                const v1::TaskKey* task = nullptr) {
  const auto contents = Find<v1::FinishedTask>(path, [&](const v1::FinishedTask& finished) {
    return task == nullptr || IsSameTask(finished.task(), *task);
  });
  if (!contents) return std::nullopt;
  return TaskStore::Finished{
      contents->message.task(),
      contents->message.result(),
      {reinterpret_cast<const char*>(contents->rest.data()), contents->rest.size()},
      contents->message.update_norm()};
}

std::vector<float> ToNumbers(std::span<const std::byte> bytes) {
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(float));
  return numbers;
}

// Removes the folder's files that are as asked for, where there is a folder.
template <typename Predicate>
void RemoveFiles(const fs::path& folder, Predicate&& is_unwanted) {
  std::error_code ignored;
  for (fs::directory_iterator file(folder, ignored), end; file != end; file.increment(ignored)) {
    if (is_unwanted(file->path())) fs::remove(file->path(), ignored);
    if (ignored) return;
  }
}

}  // namespace

TaskStore::TaskStore(fs::path folder) : folder_(std::move(folder)) {
  RemoveFiles(folder_,
              [](const fs::path& file) { return file.extension() == kTemporaryExtension; });
}

Status TaskStore::KeepCheckpoint(const v1::TaskKey& task, const Evaluation& evaluation,
                                 const TrainState& state) const {
  const auto network = std::as_bytes(std::span(state.network));
  const auto optimizer = std::as_bytes(std::span(state.optimizer));
  v1::TaskCheckpoint message;
  *message.mutable_task() = task;
  *message.mutable_evaluation() = ToProto(evaluation);
  message.set_network_numbers(state.network.size());
  message.set_optimizer_numbers(state.optimizer.size());
  message.set_average_numbers(state.average.size());
  message.set_random(state.random.data(), state.random.size());
  message.set_epochs(state.epochs);
  message.set_batches(state.batches);
  message.set_steps_at_epoch_start(state.steps_at_epoch_start);
  message.set_steps(state.report.steps);
  message.set_examples(state.report.examples);
  message.set_loss_sum(state.report.loss);
  message.set_seconds(state.report.seconds);
  message.set_waiting_seconds(state.report.waiting_seconds);
  return Write(folder_ / kCheckpoint, message,
               {network, optimizer, std::as_bytes(std::span(state.average))});
}

std::optional<TaskStore::Checkpoint> TaskStore::FindCheckpoint(const v1::TaskKey& task) const {
  const auto contents = Find<v1::TaskCheckpoint>(folder_ / kCheckpoint);
  if (!contents) return std::nullopt;
  const v1::TaskCheckpoint& message = contents->message;
  const auto evaluation = FromProto(message.evaluation());
  const std::uint64_t numbers = contents->rest.size() / sizeof(float);
  if (!IsSameTask(message.task(), task) || !HasSameImagesAndDevice(message.task(), task) ||
      !evaluation.ok() || message.network_numbers() > numbers ||
      message.optimizer_numbers() > numbers - message.network_numbers() ||
      message.average_numbers() !=
          numbers - message.network_numbers() - message.optimizer_numbers()) {
    return std::nullopt;
  }
  const std::vector<float> all = ToNumbers(contents->rest);
  auto next = all.begin();
  const auto take = [&](std::uint64_t count) {
    const auto from = std::exchange(next, next + static_cast<std::ptrdiff_t>(count));
    return std::vector<float>(from, next);
  };
  Checkpoint checkpoint{.evaluation = *evaluation, .state = {}};
  TrainState& state = checkpoint.state;
  state.network = take(message.network_numbers());
  state.optimizer = take(message.optimizer_numbers());
  state.average = take(message.average_numbers());
  state.random = {message.random().begin(), message.random().end()};
  state.epochs = message.epochs();
  state.batches = message.batches();
  state.steps_at_epoch_start = message.steps_at_epoch_start();
  state.report = {.steps = message.steps(),
                  .examples = message.examples(),
                  .loss = message.loss_sum(),
                  .seconds = message.seconds(),
                  .waiting_seconds = message.waiting_seconds()};
  return checkpoint;
}

std::string TaskStore::CheckpointedTask() const {
  const auto contents = Find<v1::TaskCheckpoint>(folder_ / kCheckpoint);
  return contents ? contents->message.task().task_id() : "";
}

Status TaskStore::KeepFinished(const Finished& finished) const {
  v1::FinishedTask message;
  *message.mutable_task() = finished.task;
  *message.mutable_result() = finished.result;
  message.set_update_norm(finished.update_norm);
  return Write(folder_ / kFinished, message, {AsBytes(finished.update)});
}

std::optional<TaskStore::Finished> TaskStore::FindFinished(const v1::TaskKey& task) const {
  for (const char* name : {kFinished, kDelivered}) {
    if (auto finished = ReadFinished(folder_ / name, &task)) return finished;
  }
  return std::nullopt;
}

std::optional<TaskStore::Finished> TaskStore::LastFinished() const {
  return ReadFinished(folder_ / kFinished);
}

fs::path TaskStore::PartOf(const std::string& digest) const {
  const fs::path part = folder_ / (digest.substr(0, kNameOfPart) + kPartExtension);
  (void)MakeFolders(folder_);  // a download does without where there is no folder
  RemoveFiles(folder_, [&](const fs::path& file) {
    return file.extension() == kPartExtension && file != part;
  });
  return part;
}

Status TaskStore::KeepModel(const std::string& digest, std::string_view file) const {
  const fs::path kept = folder_ / (digest + kModelExtension);
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  RemoveFiles(folder_, [&](const fs::path& path) {
    return path.extension() == kModelExtension && path != kept;
  });
  return WriteFileAtomically(kept, std::array{AsBytes(file)}, kPrivateMode);
}

void TaskStore::ForgetModels() const {
  RemoveFiles(folder_, [](const fs::path& path) { return path.extension() == kModelExtension; });
}

StatusOr<MappedFile> TaskStore::FindModel(const std::string& digest) const {
  if (!IsDigest(digest)) return InvalidArgument("'{}' is not a digest", digest);
  return MappedFile::Open(folder_ / (digest + kModelExtension));
}

void TaskStore::Clear() const {
  std::error_code ignored;
  fs::remove(folder_ / kCheckpoint, ignored);
  fs::rename(folder_ / kFinished, folder_ / kDelivered, ignored);
}

}  // namespace consilium
