#include "client/train/replicas.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "client/nn/network_internal.h"
#include "client/train/peers.h"
#include "common/base/mutex.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// A folder of this process's own, for as long as it lives.
class MeetingPlace {
 public:
  static StatusOr<MeetingPlace> Make() {
    std::string folder = (fs::temp_directory_path() / "consilium-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) return Internal("cannot make the folder {}", folder);
    return MeetingPlace(folder);
  }
  MeetingPlace(MeetingPlace&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}
  ~MeetingPlace() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  fs::path file() const { return folder_ / "peers"; }

 private:
  explicit MeetingPlace(fs::path folder) : folder_(std::move(folder)) {}

  fs::path folder_;
};

StatusOr<Network> CopyTo(const Network& network, const std::string& device) {
  CSL_ASSIGN_OR_RETURN(Network copy, Network::Create(network.spec(), /*seed=*/0));
  CSL_RETURN_IF_ERROR(copy.Load(network.State()));
  CSL_RETURN_IF_ERROR(copy.MoveTo(device));
  copy.UseMixedPrecision(network.impl().mixed_precision);
  return copy;
}

// What went wrong first: the others' errors are of who has gone.
class FirstError {
 public:
  void Note(const Status& status) {
    MutexLock lock(mu_);
    if (first_.ok()) first_ = status;
  }
  Status Get() const {
    MutexLock lock(mu_);
    return first_;
  }

 private:
  mutable Mutex mu_;
  Status first_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

int ResolveReplicas(int setting, const std::string& device) {
  if (setting > 0) return setting;
  return device == "cuda" ? std::max(1, static_cast<int>(torch::cuda::device_count())) : 1;
}

StatusOr<TrainReport> TrainReplicas(Network& network,
                                    const std::vector<std::unique_ptr<BatchSource>>& sources,
                                    const TrainOptions& options, const std::stop_token& stop,
                                    const StepCallback& on_step, const Checkpoints& checkpoints) {
  const bool on_gpus = network.impl().device.is_cuda();
  const auto size = static_cast<int>(sources.size());
  CSL_ASSIGN_OR_RETURN(const MeetingPlace meeting, MeetingPlace::Make());
  std::vector<Network> copies;
  for (int i = 1; i < size; ++i) {
    CSL_ASSIGN_OR_RETURN(Network copy,
                         CopyTo(network, on_gpus ? fmt::format("cuda:{}", i) : "cpu"));
    copies.push_back(std::move(copy));
  }
  const int threads = std::max(1, at::get_num_threads() / size);
  FirstError error;
  const auto train = [&](int rank, Network& own, const StepCallback& say,
                         const Checkpoints& kept) -> StatusOr<TrainReport> {
    const auto peers =
        Peers::Join(meeting.file(), rank, size, on_gpus ? std::optional(rank) : std::nullopt);
    error.Note(peers.status());
    CSL_RETURN_IF_ERROR(peers.status());
    if (!on_gpus) at::set_num_threads(threads);  // of this thread
    auto trained = Train(own, *sources[static_cast<std::size_t>(rank)], options, stop, say, kept,
                         peers->get());
    error.Note(trained.status());  // before the others see that this one has gone
    return trained;
  };
  StatusOr<TrainReport> report;
  {
    std::vector<std::jthread> others;
    for (int rank = 1; rank < size; ++rank) {
      others.emplace_back([&, rank] {
        (void)train(rank, copies[static_cast<std::size_t>(rank - 1)], {},
                    {.from = checkpoints.from});
      });
    }
    const int threads_before = at::get_num_threads();
    report = train(0, network, on_step, checkpoints);
    at::set_num_threads(threads_before);
  }
  CSL_RETURN_IF_ERROR(error.Get());
  return report;
}

}  // namespace consilium
