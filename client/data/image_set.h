#pragma once

// A split's images, decoded and resized once, so that an epoch costs arithmetic and no decoding.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "client/data/manifest.h"
#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

struct ImageSetOptions {
  int side = 224;                                       // pixels after CropAndResize
  Window window;                                        // of DICOM files
  int workers = 0;                                      // threads that decode; 0: all cores
  double max_unreadable = 0.05;                         // share of images that may be unreadable
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;  // beyond it, pixels lie in a mapped file
  std::filesystem::path cache_folder = "/tmp";          // of that file, which has no name
  // Beside all this in memory, a byte a pixel: what is known of the pixels of an example, whose
  // picture is given; side x side. Empty: nothing is asked.
  std::function<StatusOr<std::vector<std::uint8_t>>(const Example&, const Image& picture)>
      label_pixels;
};

// Images of side x side with class indices. Immutable once built, so many threads may read it.
// Moving it leaves the pixels where they are.
class ImageSet {
 public:
  // Decodes the examples; labels become indices into `classes`. An unreadable image is left out and
  // listed. INVALID_ARGUMENT for a label that is none of the classes, with the first such image;
  // and where more than max_unreadable of the images cannot be read, with the first of them.
  static StatusOr<ImageSet> Build(const Manifest& examples, const std::vector<std::string>& classes,
                                  const ImageSetOptions& options, const std::stop_token& stop,
                                  const std::function<void(std::size_t done)>& on_image = {});

  std::size_t size() const { return labels_.size(); }
  int side() const { return side_; }
  std::span<const std::uint16_t> pixels(std::size_t i) const {
    return {pixels_.get() + i * area(), area()};
  }
  const std::vector<std::int64_t>& labels() const { return labels_; }
  // See client/batch/batch.h; empty where they were not asked for.
  std::span<const std::uint8_t> pixel_labels(std::size_t i) const {
    return pixel_labels_.empty() ? std::span<const std::uint8_t>() : pixel_labels_[i];
  }
  // A number for each image that those of its patient share; one without a patient has its own.
  const std::vector<std::int64_t>& patients() const { return patients_; }
  // Which of the examples each image is.
  const std::vector<std::size_t>& examples() const { return examples_; }
  const std::vector<std::string>& classes() const { return classes_; }
  // Examples a class, in their order.
  const std::vector<std::uint64_t>& class_counts() const { return class_counts_; }
  // One line for each image left out.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  ImageSet() = default;
  std::size_t area() const {
    return static_cast<std::size_t>(side_) * static_cast<std::size_t>(side_);
  }

  int side_ = 0;
  std::vector<std::string> classes_;
  std::shared_ptr<std::uint16_t> pixels_;
  std::vector<std::int64_t> labels_;
  std::vector<std::vector<std::uint8_t>> pixel_labels_;
  std::vector<std::int64_t> patients_;
  std::vector<std::size_t> examples_;
  std::vector<std::uint64_t> class_counts_;
  std::vector<std::string> unreadable_;
};

}  // namespace consilium
