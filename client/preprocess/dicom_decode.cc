#include <dcmtk/config/osconfig.h>  // before the library's other headers
#include <dcmtk/dcmdata/dccodec.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimage/diregist.h>  // colour
#include <dcmtk/dcmimgle/dcmimage.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>
#include <opencv2/imgproc.hpp>

#include "client/preprocess/dicom_decode_internal.h"
#include "client/preprocess/picture_internal.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxFrames = 10'000;
// Longer elements stay on the disk until they are asked for.
constexpr Uint32 kMaxElementInMemory = 4096;

// The library's decoders, and its silence: what it would print may name a patient.
void SetUpOnce() {
  static std::once_flag done;
  std::call_once(done, [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
  });
}

Status NotDicom(const std::filesystem::path& path, const char* why) {
  return InvalidArgument("{}: not a whole, readable DICOM file ({})", path.string(), why);
}

std::string TextOf(DcmDataset& data, const DcmTagKey& tag) {
  OFString text;
  data.findAndGetOFString(tag, text);
  return {text.c_str(), text.length()};
}

// How a picture lies in its file.
struct Shape {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t frames = 1;
  std::uint32_t samples = 1;  // a pixel
  std::uint32_t bits = 0;     // a sample takes
};

StatusOr<Shape> ReadShape(const std::filesystem::path& path, DcmDataset& data) {
  const auto number = [&](const DcmTagKey& tag, Uint16 otherwise) {
    Uint16 value = otherwise;
    data.findAndGetUint16(tag, value);
    return static_cast<std::uint32_t>(value);
  };
  Shape shape{.rows = number(DCM_Rows, 0),
              .columns = number(DCM_Columns, 0),
              .frames = 1,
              .samples = number(DCM_SamplesPerPixel, 1),
              .bits = number(DCM_BitsAllocated, 0)};
  Sint32 frames = 1;
  if (data.findAndGetSint32(DCM_NumberOfFrames, frames).good() && frames > 1) {
    shape.frames = static_cast<std::uint32_t>(frames);
  }
  if (shape.rows == 0 || shape.columns == 0) {
    return InvalidArgument("{}: a DICOM file without a picture", path.string());
  }
  // What is multiplied below is bounded here.
  if ((shape.samples != 1 && shape.samples != 3) || shape.bits == 0 || shape.bits > 32 ||
      shape.frames > kMaxFrames) {
    return InvalidArgument("{}: {} frames of {} samples a pixel with {} bits", path.string(),
                           shape.frames, shape.samples, shape.bits);
  }
  if (std::min(shape.rows, shape.columns) < std::uint32_t{kMinSide} ||
      std::max(shape.rows, shape.columns) > std::uint32_t{kMaxSide}) {
    return InvalidArgument("{}: {} x {} pixels, want sides of {} to {}", path.string(),
                           shape.columns, shape.rows, kMinSide, kMaxSide);
  }
  return shape;
}

// The library's RLE decoder believes what a fragment's header says of where its segments begin: a
// number of them, then their offsets, each 32 bits with the lowest byte first (PS3.5, annex G.5).
Status CheckRle(const std::filesystem::path& path, DcmPixelData& pixels, const Shape& shape) {
  constexpr std::size_t kNumbers = 16;
  E_TransferSyntax syntax = EXS_Unknown;
  const DcmRepresentationParameter* parameter = nullptr;
  DcmPixelSequence* fragments = nullptr;
  pixels.getOriginalRepresentationKey(syntax, parameter);
  if (pixels.getEncapsulatedRepresentation(syntax, parameter, fragments).bad()) {
    return NotDicom(path, "its picture has no fragments");
  }
  for (unsigned long i = 1; i < fragments->card(); ++i) {  // the first is a table of the others
    DcmPixelItem* fragment = nullptr;
    unsigned char bytes[4 * kNumbers];
    if (fragments->getItem(fragment, i).bad() || fragment->getLength() < sizeof bytes ||
        fragment->getPartialValue(bytes, 0, sizeof bytes).bad()) {
      return NotDicom(path, "an RLE fragment without a header");
    }
    std::array<std::uint32_t, kNumbers> header{};
    for (std::size_t n = 0; n < sizeof bytes; ++n) {
      header[n / 4] |= std::uint32_t{bytes[n]} << (8 * (n % 4));
    }
    const std::size_t segments = std::size_t{shape.samples} * ((shape.bits + 7) / 8);
    if (header[0] != segments || segments >= kNumbers || header[1] < sizeof bytes ||
        !std::is_sorted(header.begin() + 1, header.begin() + 1 + segments) ||
        header[segments] > fragment->getLength()) {
      return NotDicom(path, "the header of an RLE fragment");
    }
  }
  return OkStatus();
}

// The library fills what is missing of a picture with black; here it is an error. And what no codec
// decodes is said by name.
Status CheckPixels(const std::filesystem::path& path, DcmDataset& data, const Shape& shape) {
  DcmElement* pixels = nullptr;
  if (data.findAndGetElement(DCM_PixelData, pixels).bad() || pixels == nullptr) {
    return InvalidArgument("{}: a DICOM file without a picture", path.string());
  }
  const E_TransferSyntax syntax = data.getOriginalXfer();
  const DcmXfer coding(syntax);
  if (coding.isEncapsulated()) {
    auto* pixel_data = dynamic_cast<DcmPixelData*>(pixels);
    if (syntax == EXS_RLELossless && pixel_data != nullptr) {
      CSL_RETURN_IF_ERROR(CheckRle(path, *pixel_data, shape));
    }
    if (DcmCodecList::canChangeCoding(syntax, EXS_LittleEndianExplicit)) return OkStatus();
    return InvalidArgument("{}: coded as {}, which is not decoded here: convert the file first",
                           path.string(), coding.getXferName());
  }
  const std::uint64_t wanted = std::uint64_t{shape.rows} * shape.columns * shape.frames *
                               shape.samples * ((shape.bits + 7) / 8);
  if (pixels->getLength() < wanted) return NotDicom(path, "its picture is cut short");
  return OkStatus();
}

StatusOr<std::uint32_t> ChooseFrame(const std::filesystem::path& path, std::uint32_t frame,
                                    std::uint32_t frames) {
  if (frame == 0 && frames == 1) return 1;
  if (frame == 0) {
    return InvalidArgument("{}: it has {} frames: name one, as {}#1", path.string(), frames,
                           path.filename().string());
  }
  if (frame > frames) {
    return InvalidArgument("{}: no frame {}, it has {}", path.string(), frame, frames);
  }
  return frame;
}

// From the file's values to what is shown.
void SetWindow(DicomImage& image, const Window& window) {
  if (window.width > 0) {
    image.setWindow(window.center, window.width);
  } else if (image.getWindowCount() > 0) {
    image.setWindow(0);
  } else if (image.getVoiLutCount() > 0) {
    image.setVoiLut(0);
  } else {
    image.setMinMaxWindow();
  }
}

StatusOr<Image> Render(const std::filesystem::path& path, DicomImage& image, const Window& window) {
  SetWindow(image, window);
  constexpr int kBits = 16;
  const auto* values = static_cast<const Uint16*>(image.getOutputData(kBits));
  if (values == nullptr) return NotDicom(path, DicomImage::getString(image.getStatus()));
  const auto width = static_cast<int>(image.getWidth());
  const auto height = static_cast<int>(image.getHeight());
  const cv::Mat shown(height, width, CV_16U, const_cast<Uint16*>(values));
  // A pixel's width over its height: most are square.
  const double aspect = image.getWidthHeightRatio();
  cv::Mat square = shown;
  if (aspect > 0 && std::abs(aspect - 1) > 0.01) {
    const int wide = static_cast<int>(std::lround(width * aspect));
    if (wide < kMinSide || wide > kMaxSide) {
      return InvalidArgument("{}: pixels {} times as wide as high", path.string(), aspect);
    }
    cv::resize(shown, square, {wide, height}, 0, 0, aspect < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  return FromMat(square);
}

}  // namespace

StatusOr<Image> DecodeDicom(const std::filesystem::path& path, std::uint32_t frame,
                            const Window& window) {
  SetUpOnce();
  DcmFileFormat file;
  const OFCondition read =
      file.loadFile(path.c_str(), EXS_Unknown, EGL_noChange, kMaxElementInMemory);
  if (read.bad()) return NotDicom(path, read.text());
  DcmDataset& data = *file.getDataset();
  CSL_ASSIGN_OR_RETURN(const Shape shape, ReadShape(path, data));
  CSL_RETURN_IF_ERROR(CheckPixels(path, data, shape));
  CSL_ASSIGN_OR_RETURN(const std::uint32_t chosen, ChooseFrame(path, frame, shape.frames));

  DicomImage image(&data, data.getOriginalXfer(), CIF_UsePartialAccessToPixelData, chosen - 1, 1);
  if (image.getStatus() != EIS_Normal) {
    return NotDicom(path, DicomImage::getString(image.getStatus()));
  }
  if (image.isMonochrome()) return Render(path, image, window);
  const std::unique_ptr<DicomImage> grey(image.createMonochromeImage());
  if (grey == nullptr) return NotDicom(path, "its colours");
  return Render(path, *grey, {});
}

StatusOr<DicomFacts> DecodeDicomFacts(const std::filesystem::path& path) {
  SetUpOnce();
  DcmFileFormat file;
  const OFCondition read = file.loadFileUntilTag(
      path.c_str(), EXS_Unknown, EGL_noChange, kMaxElementInMemory, ERM_autoDetect, DCM_PixelData);
  if (read.bad()) return NotDicom(path, read.text());
  DcmDataset& data = *file.getDataset();
  CSL_ASSIGN_OR_RETURN(const Shape shape, ReadShape(path, data));
  return DicomFacts{.patient_id = TextOf(data, DCM_PatientID),
                    .modality = TextOf(data, DCM_Modality),
                    .view = TextOf(data, DCM_ViewPosition),
                    .study_date = TextOf(data, DCM_StudyDate),
                    .frames = shape.frames};
}

}  // namespace consilium
