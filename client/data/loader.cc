#include "client/data/loader.h"

#include <algorithm>
#include <utility>

namespace consilium {
namespace {

// Which images of so many are the part's: from, and to.
std::pair<std::size_t, std::size_t> PartOf(std::size_t count, const LoaderOptions& options) {
  const auto parts = std::min<std::size_t>(static_cast<std::size_t>(std::max(1, options.parts)),
                                           std::max<std::size_t>(1, count / 2));
  const auto part = static_cast<std::size_t>(options.part);
  if (part >= parts) return {count, count};
  return {count * part / parts, count * (part + 1) / parts};
}

}  // namespace

Loader::Loader(const ImageSet& images, const ModelSpec& spec, const LoaderOptions& options)
    : images_(images),
      spec_(spec),
      options_(options),
      slots_(static_cast<std::size_t>(std::max(1, options.prefetch))),
      next_(batches()) {  // nothing to do before the first epoch
  for (int i = 0; i < std::max(1, options_.workers); ++i) {
    workers_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

Loader::~Loader() {
  for (std::jthread& worker : workers_) worker.request_stop();
  changed_.notify_all();
}

std::size_t Loader::batches() const {
  const auto batch_size = static_cast<std::size_t>(options_.batch_size);
  return (images_.size() + batch_size - 1) / batch_size;
}

void Loader::StartEpoch(std::uint64_t epoch, std::size_t first_batch) {
  MutexLock lock(mu_);
  next_ = batches();  // no worker begins another batch
  while (in_hand_ > 0) changed_.wait(mu_);
  order_ = DrawEpoch(options_.sampling, images_.labels(), images_.patients(),
                     Random::For(options_.seed, epoch));
  std::vector<std::size_t> seen(order_.size());
  nth_.clear();
  for (const std::size_t image : order_) nth_.push_back(seen[image]++);
  for (Slot& slot : slots_) slot.ready = false;
  epoch_ = epoch;
  next_ = first_batch;
  consumed_ = first_batch;
  reading_ = false;
  changed_.notify_all();
}

StatusOr<const Batch*> Loader::Next() {
  MutexLock lock(mu_);
  if (reading_) {
    SlotOf(consumed_).ready = false;
    ++consumed_;
    changed_.notify_all();
  }
  reading_ = consumed_ < batches();
  if (!reading_) return nullptr;
  while (!SlotOf(consumed_).ready) changed_.wait(mu_);
  return &SlotOf(consumed_).batch;
}

void Loader::Work(const std::stop_token& stop) {
  MutexLock lock(mu_);
  while (true) {
    const auto may_take = [this] {
      mu_.AssertHeld();
      return next_ < batches() && next_ < consumed_ + slots_.size();
    };
    if (!changed_.wait(mu_, stop, may_take)) return;
    const std::size_t index = next_++;
    const std::uint64_t epoch = epoch_;
    ++in_hand_;
    mu_.unlock();
    Fill(index, epoch, SlotOf(index).batch);
    mu_.lock();
    SlotOf(index).ready = true;
    --in_hand_;
    changed_.notify_all();
  }
}

void Loader::Fill(std::size_t index, std::uint64_t epoch, Batch& batch) const {
  const std::size_t first = index * static_cast<std::size_t>(options_.batch_size);
  const std::size_t whole =
      std::min(static_cast<std::size_t>(options_.batch_size), order_.size() - first);
  const auto [from, to] = PartOf(whole, options_);
  const std::size_t begin = first + from;
  const std::size_t end = first + to;
  const std::size_t side = static_cast<std::size_t>(images_.side());
  const std::size_t values = static_cast<std::size_t>(spec_.channels) * side * side;
  batch.count = static_cast<int>(end - begin);
  batch.whole_count = static_cast<int>(whole);
  batch.channels = spec_.channels;
  batch.height = images_.side();
  batch.width = images_.side();
  batch.pixels.resize((end - begin) * values);
  const bool has_pixel_labels = !images_.pixel_labels(0).empty();
  batch.labels.resize((end - begin) * (has_pixel_labels ? side * side : 1));
  for (std::size_t i = begin; i < end; ++i) {
    const std::size_t image = order_[i];
    Random random = Random::For(options_.seed, epoch, image + nth_[i] * order_.size());
    const auto known = images_.pixel_labels(image);
    std::vector<std::uint8_t> pixel_labels(known.begin(), known.end());
    ToNetworkInput(images_.pixels(image), images_.side(), {spec_.mean, spec_.stddev},
                   options_.augmentation, random, spec_.channels,
                   std::span(batch.pixels).subspan((i - begin) * values, values), pixel_labels);
    if (has_pixel_labels) {
      std::ranges::copy(pixel_labels, batch.labels.begin() +
                                          static_cast<std::ptrdiff_t>((i - begin) * side * side));
    } else {
      batch.labels[i - begin] = images_.labels()[image];
    }
  }
}

}  // namespace consilium
