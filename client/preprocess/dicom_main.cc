// consilium-dicom: decodes DICOM files for the process that started it, which asks over the socket
// that is this program's standard input. Started by ReadDicom and not by people: a file that was
// crafted against a decoder brings down this process, which has no key, no model and no network,
// and no other.

#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "client/preprocess/dicom_decode_internal.h"
#include "client/preprocess/dicom_protocol_internal.h"

namespace consilium::dicom {
namespace {

constexpr int kSocket = STDIN_FILENO;
constexpr std::uint32_t kMaxPathBytes = 64 << 10;

// Sanitizers take more than any file does.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitMemory = false;
#else
constexpr bool kLimitMemory = true;
#endif

void LimitMemory() {
  constexpr rlim_t kMost = rlim_t{6} << 30;  // the largest picture, in the decoder's several copies
  const rlimit limit{kMost, kMost};
  if (kLimitMemory) ::setrlimit(RLIMIT_AS, &limit);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

template <typename T>
StatusOr<T> Flatten(StatusOr<StatusOr<T>> nested) {
  if (!nested.ok()) return nested.status();
  return *std::move(nested);
}

bool SayError(const Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  const std::string text(message.substr(0, kMaxTextBytes));
  Answer answer{.code = static_cast<std::uint32_t>(status.code()),
                .text_bytes = static_cast<std::uint32_t>(text.size())};
  return Send(kSocket, BytesOf(answer)) && Send(kSocket, std::as_bytes(std::span(text)));
}

bool SayPicture(const Image& image) {
  Answer answer{.width = static_cast<std::uint32_t>(image.width),
                .height = static_cast<std::uint32_t>(image.height)};
  return Send(kSocket, BytesOf(answer)) && Send(kSocket, std::as_bytes(std::span(image.pixels)));
}

bool SayFacts(const DicomFacts& facts) {
  const std::string text =
      fmt::format("{}\n{}\n{}\n{}", facts.modality, facts.view, facts.study_date, facts.patient_id);
  if (text.size() > kMaxTextBytes) return SayError(InvalidArgument("its texts are too long"));
  Answer answer{.text_bytes = static_cast<std::uint32_t>(text.size()), .frames = facts.frames};
  return Send(kSocket, BytesOf(answer)) && Send(kSocket, std::as_bytes(std::span(text)));
}

// False once nobody asks any more.
bool AnswerOne() {
  Question question;
  if (!Receive(kSocket, BytesOf(question)) || question.path_bytes > kMaxPathBytes) return false;
  std::string path(question.path_bytes, '\0');
  if (!Receive(kSocket, std::as_writable_bytes(std::span(path)))) return false;
  ::alarm(question.seconds);
  const Window window{.center = question.window_center, .width = question.window_width};
  if (question.wants_picture != 0) {
    const auto image =
        Flatten(CatchAsStatus(path, [&] { return DecodeDicom(path, question.frame, window); }));
    ::alarm(0);
    return image.ok() ? SayPicture(*image) : SayError(image.status());
  }
  const auto facts = Flatten(CatchAsStatus(path, [&] { return DecodeDicomFacts(path); }));
  ::alarm(0);
  return facts.ok() ? SayFacts(*facts) : SayError(facts.status());
}

}  // namespace
}  // namespace consilium::dicom

int main() {
  consilium::dicom::LimitMemory();
  while (consilium::dicom::AnswerOne()) {
  }
  return 0;
}
