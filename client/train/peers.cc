#include "client/train/peers.h"

#include <torch/torch.h>

#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif

namespace consilium {

#ifdef USE_C10D_GLOO

namespace {

constexpr std::chrono::minutes kJoinTimeout{1};
constexpr std::chrono::minutes kStepTimeout{10};  // that one may be ahead of another
constexpr char kLoopback[] = "127.0.0.1";

}  // namespace

struct Peers::Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

StatusOr<std::unique_ptr<Peers>> Peers::Join(const std::filesystem::path& meeting, int rank,
                                             int size) {
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
    return made;
  });
  if (!group.ok()) return Unavailable("{}", std::string(group.status().message()));
  return std::unique_ptr<Peers>(new Peers(*std::move(group), rank, size));
}

void Peers::Sum(std::span<float> numbers) {
  std::vector<torch::Tensor> tensors = {torch::from_blob(
      numbers.data(), {static_cast<std::int64_t>(numbers.size())}, torch::kFloat32)};
  group_->gloo->allreduce(tensors)->wait();
}

#else

struct Peers::Group {};

StatusOr<std::unique_ptr<Peers>> Peers::Join(const std::filesystem::path& /*meeting*/, int /*rank*/,
                                             int /*size*/) {
  return absl::UnimplementedError("this build has no Gloo: replicas want LibTorch with it");
}

void Peers::Sum(std::span<float> /*numbers*/) {}

#endif

Peers::Peers(std::unique_ptr<Group> group, int rank, int size)
    : group_(std::move(group)), rank_(rank), size_(size) {}
Peers::~Peers() = default;

}  // namespace consilium
