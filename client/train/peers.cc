#include "client/train/peers.h"

#include <torch/torch.h>

#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#ifdef USE_C10D_NCCL
#include <array>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace consilium {

#ifdef USE_C10D_GLOO

namespace {

constexpr std::chrono::minutes kJoinTimeout{1};
constexpr std::chrono::minutes kStepTimeout{10};  // that one may be ahead of another
constexpr char kLoopback[] = "127.0.0.1";

using Store = c10::intrusive_ptr<c10d::Store>;

void SumOver(c10d::ProcessGroupGloo& gloo, std::span<float> numbers) {
  std::vector<torch::Tensor> tensors = {torch::from_blob(
      numbers.data(), {static_cast<std::int64_t>(numbers.size())}, torch::kFloat32)};
  gloo.allreduce(tensors)->wait();
}

#ifdef USE_C10D_NCCL
// Not by wait alone, which lets the GPU wait, for ever where a peer has gone.
void SumOver(c10d::ProcessGroupNCCL& nccl, const torch::Tensor& numbers,
             std::chrono::milliseconds timeout) {
  std::vector<torch::Tensor> tensors = {numbers};
  const auto work = nccl.allreduce(tensors);
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (!work->isCompleted()) {
    TORCH_CHECK(std::chrono::steady_clock::now() < end, "the other GPUs do not answer");
    std::this_thread::yield();
  }
  work->wait();
}

// A group over the GPUs themselves; null, with all peers, unless a sum over it comes out right with
// each of them.
c10::intrusive_ptr<c10d::ProcessGroupNCCL> TryNccl(c10d::ProcessGroupGloo& gloo, const Store& store,
                                                   int rank, int size, int gpu) {
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl;
  std::array<float, 1> works = {0};
  try {
    nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank, size);
    const torch::Tensor one =
        torch::ones({1}, torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(gpu)));
    SumOver(*nccl, one, kJoinTimeout);
    works[0] = one.item<float>() == static_cast<float>(size) ? 1 : 0;
  } catch (const std::exception&) {
    works[0] = 0;
  }
  SumOver(gloo, works);
  if (works[0] != static_cast<float>(size)) nccl.reset();
  return nccl;
}
#endif

}  // namespace

struct Peers::Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
#ifdef USE_C10D_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl;  // may be null
#endif
};

StatusOr<std::unique_ptr<Peers>> Peers::Join(const std::filesystem::path& meeting, int rank,
                                             int size, [[maybe_unused]] std::optional<int> gpu) {
  auto group = CatchAsStatus("training beside others", [&] {
    auto store = c10::make_intrusive<c10d::FileStore>(meeting.string(), size);
    // The group itself would wait for them as long as for a step.
    store->set(fmt::format("here {}", rank), std::vector<std::uint8_t>{1});
    std::vector<std::string> all;
    for (int peer = 0; peer < size; ++peer) all.push_back(fmt::format("here {}", peer));
    store->wait(all, kJoinTimeout);
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->timeout = kStepTimeout;
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(kLoopback));
    auto made = std::make_unique<Group>();
    made->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
#ifdef USE_C10D_NCCL
    if (gpu) made->nccl = TryNccl(*made->gloo, store, rank, size, *gpu);
#endif
    return made;
  });
  if (!group.ok()) return Unavailable("{}", std::string(group.status().message()));
  return std::unique_ptr<Peers>(new Peers(*std::move(group), rank, size));
}

void Peers::Sum(std::span<float> numbers) { SumOver(*group_->gloo, numbers); }

bool Peers::SumOnGpus([[maybe_unused]] at::Tensor& numbers) {
#ifdef USE_C10D_NCCL
  if (group_->nccl && numbers.is_cuda()) {
    SumOver(*group_->nccl, numbers, kStepTimeout);
    return true;
  }
#endif
  return false;
}

#else

struct Peers::Group {};

StatusOr<std::unique_ptr<Peers>> Peers::Join(const std::filesystem::path& /*meeting*/, int /*rank*/,
                                             int /*size*/, std::optional<int> /*gpu*/) {
  return absl::UnimplementedError("this build has no Gloo: replicas want LibTorch with it");
}

void Peers::Sum(std::span<float> /*numbers*/) {}
bool Peers::SumOnGpus(at::Tensor& /*numbers*/) { return false; }

#endif

Peers::Peers(std::unique_ptr<Group> group, int rank, int size)
    : group_(std::move(group)), rank_(rank), size_(size) {}
Peers::~Peers() = default;

}  // namespace consilium
