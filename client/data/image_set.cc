#include "client/data/image_set.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "client/data/patients.h"
#include "common/base/file.h"
#include "common/base/mutex.h"

namespace consilium {
namespace {

using Pixels = std::shared_ptr<std::uint16_t>;

StatusOr<std::vector<std::int64_t>> LabelIndices(const Manifest& examples,
                                                 const std::vector<std::string>& classes) {
  std::vector<std::int64_t> labels;
  labels.reserve(examples.size());
  for (const Example& example : examples) {
    const auto found = std::find(classes.begin(), classes.end(), example.label);
    if (found == classes.end()) {
      return InvalidArgument("{}: label '{}' is none of the model's classes ({})",
                             example.path.string(), example.label, fmt::join(classes, ", "));
    }
    labels.push_back(found - classes.begin());
  }
  return labels;
}

// A mapped file without a name: it is gone with its last mapping, whatever happens to the process.
StatusOr<Pixels> MapScratchFile(const std::filesystem::path& folder, std::size_t bytes) {
  CSL_RETURN_IF_ERROR(MakeFolders(folder));
  std::string name = (folder / "images.XXXXXX").string();
  const FileDescriptor fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot write", name);
  ::unlink(name.c_str());
  // Allocated, not only extended: a full disk is an error here and not a crash at a later write.
  if (const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    return ErrnoStatus(error, "cannot keep decoded images in", folder);
  }
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "cannot map", folder);
  return Pixels(static_cast<std::uint16_t*>(data),
                [bytes](std::uint16_t* pixels) { ::munmap(pixels, bytes); });
}

StatusOr<Pixels> Allocate(std::size_t count, const ImageSetOptions& options) {
  const std::size_t bytes = count * sizeof(std::uint16_t);
  if (bytes > options.memory_bytes) return MapScratchFile(options.cache_folder, bytes);
  return Pixels(new std::uint16_t[std::max<std::size_t>(count, 1)],
                std::default_delete<std::uint16_t[]>());
}

Status DecodeTo(const Example& example, const ImageSetOptions& options, std::uint16_t* pixels,
                std::vector<std::uint8_t>& pixel_labels) {
  CSL_ASSIGN_OR_RETURN(const Image image, ReadImage(example.path, options.window));
  CSL_ASSIGN_OR_RETURN(const Image square, CatchAsStatus(example.path.string(), [&] {
                         return CropAndResize(image, options.side);
                       }));
  std::ranges::copy(square.pixels, pixels);
  if (!options.label_pixels) return OkStatus();
  CSL_ASSIGN_OR_RETURN(pixel_labels, options.label_pixels(example, image));
  return OkStatus();
}

// Decodes all examples in parallel, each to its own place; the status of each.
std::vector<Status> DecodeAll(const Manifest& examples, const ImageSetOptions& options,
                              std::uint16_t* pixels,
                              std::vector<std::vector<std::uint8_t>>& pixel_labels,
                              const std::stop_token& stop,
                              const std::function<void(std::size_t)>& on_image) {
  std::vector<Status> statuses(examples.size());
  std::atomic<std::size_t> next = 0;
  Mutex progress;
  std::size_t done = 0;
  const auto area = static_cast<std::size_t>(options.side) * static_cast<std::size_t>(options.side);
  const auto work = [&] {
    for (std::size_t i = next++; i < examples.size() && !stop.stop_requested(); i = next++) {
      statuses[i] = DecodeTo(examples[i], options, pixels + i * area, pixel_labels[i]);
      MutexLock lock(progress);
      ++done;
      if (on_image) on_image(done);
    }
  };
  const unsigned workers = options.workers > 0 ? static_cast<unsigned>(options.workers)
                                               : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  return statuses;
}

}  // namespace

StatusOr<ImageSet> ImageSet::Build(const Manifest& examples,
                                   const std::vector<std::string>& classes,
                                   const ImageSetOptions& options, const std::stop_token& stop,
                                   const std::function<void(std::size_t)>& on_image) {
  CSL_ASSIGN_OR_RETURN(const std::vector<std::int64_t> labels, LabelIndices(examples, classes));
  const std::vector<std::int64_t> patients = NumberPatients(examples);
  ImageSet set;
  set.side_ = options.side;
  set.classes_ = classes;
  set.class_counts_.resize(classes.size());
  CSL_ASSIGN_OR_RETURN(set.pixels_, Allocate(examples.size() * set.area(), options));
  std::vector<std::vector<std::uint8_t>> pixel_labels(examples.size());
  const std::vector<Status> statuses =
      DecodeAll(examples, options, set.pixels_.get(), pixel_labels, stop, on_image);
  if (stop.stop_requested()) return Cancelled("loading the images was stopped");

  // Close the gaps that unreadable images left.
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (!statuses[i].ok()) {
      set.unreadable_.emplace_back(statuses[i].message());
      continue;
    }
    const std::size_t to = set.labels_.size();
    if (to != i)
      std::copy_n(set.pixels_.get() + i * set.area(), set.area(),
                  set.pixels_.get() + to * set.area());
    set.labels_.push_back(labels[i]);
    if (options.label_pixels) set.pixel_labels_.push_back(std::move(pixel_labels[i]));
    set.patients_.push_back(patients[i]);
    set.examples_.push_back(i);
    ++set.class_counts_[static_cast<std::size_t>(labels[i])];
  }
  const auto bad = static_cast<double>(set.unreadable_.size());
  if (bad > options.max_unreadable * static_cast<double>(examples.size())) {
    return InvalidArgument(
        "{} of {} images cannot be read, more than the {:.0f}% allowed; first: {}",
        set.unreadable_.size(), examples.size(), 100 * options.max_unreadable,
        set.unreadable_.front());
  }
  return set;
}

}  // namespace consilium
