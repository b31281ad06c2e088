#pragma once

// A grey image in memory, and the way from a file to what a network sees.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "common/base/random.h"
#include "common/base/status.h"

namespace consilium {

// Row-major, 0 (black) to 65535 (white).
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint16_t> pixels;
};

// Which of a file's values are shown, from black to white: width of them about the centre, after
// the file's own rescaling (Hounsfield units for CT). Width 0: as the file says.
struct Window {
  double center = 0;
  double width = 0;

  bool operator==(const Window&) const = default;
};

// Whether a file is one that ReadImage reads, by its name: .png, .jpg, .jpeg, .dcm or .dicom in any
// case; or, where the name has no extension, by its beginning (DICOM).
bool IsImageFile(const std::filesystem::path& path);

// Reads a PNG or JPEG of 8 or 16 bits, grey or colour (made grey with the usual luma weights; alpha
// dropped). 8-bit intensities are spread over the whole range; 16-bit ones are stretched from the
// image's own minimum and maximum, since the file does not say how many of the bits were used.
// Or a DICOM file (see dicom.h), of whose frames "FILE#3" is the third; the window is for these
// alone. INVALID_ARGUMENT naming the path for what is not such an image or has a side below 16 or
// above 16384 pixels.
StatusOr<Image> ReadImage(const std::filesystem::path& path, const Window& window = {});

// The largest centred square, resized to side x side (area mean when it shrinks, cubic when it
// grows). Never padded: the shape of a picture must not reach the network.
Image CropAndResize(const Image& image, int side);

// Random changes of a training image; 0 or false: none. Each is drawn anew for each image and
// epoch.
struct Augmentation {
  double rotation_degrees = 0;  // up to this, either way
  double shift = 0;             // up to this share of the side, in both directions
  double scale = 0;             // up to this share larger or smaller
  double contrast = 0;          // up to this share more or less, about mid-grey
  double brightness = 0;        // up to this share of full scale, either way
  bool horizontal_flip = false;
  // A square of this share of the side, anywhere, becomes the mean (DeVries and Taylor 2017,
  // section 3); where it lies partly outside, what is left of it.
  double cutout = 0;

  bool IsNone() const { return *this == Augmentation{}; }
  bool operator==(const Augmentation&) const = default;
};

// Of copies of a picture at test time: so small that what it shows stays what it is.
inline constexpr Augmentation kSlightChanges{
    .rotation_degrees = 5, .shift = 0.03, .scale = 0.05, .contrast = 0.1, .brightness = 0.05};

// Writes a side x side image as the network sees it, channels x side x side: intensities in [0, 1],
// augmented, then (x - mean) / stddev, the same in every channel. What a turn uncovers repeats the
// edge. What is known of its pixels, side x side, is moved with them.
struct Normalisation {
  double mean = 0.5;
  double stddev = 0.25;
};
void ToNetworkInput(std::span<const std::uint16_t> pixels, int side,
                    const Normalisation& normalisation, const Augmentation& augmentation,
                    Random& random, int channels, std::span<float> out,
                    std::span<std::uint8_t> pixel_labels = {});

}  // namespace consilium
