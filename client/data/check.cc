#include "client/data/check.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "client/data/burned_text.h"
#include "client/data/picture_hash.h"
#include "client/preprocess/image.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

void CountPatients(const Manifest& manifest, DataReport& report) {
  std::map<std::string, std::set<Split>> splits;
  for (const Example& example : manifest) {
    if (!example.patient.empty()) splits[example.patient].insert(example.split);
  }
  report.patients = splits.size();
  for (const auto& [patient, in] : splits) {
    if (in.size() > 1) report.patients_in_two_splits.push_back(patient);
  }
}

void CountGroups(const Manifest& manifest, DataReport& report) {
  std::map<std::string, std::set<std::string>> patients;
  for (const Example& example : manifest) {
    if (!example.patient.empty()) patients[example.label].insert(example.patient);
    if (!example.view.empty()) ++report.views[example.view];
    if (!example.site.empty()) ++report.sources[example.site];
  }
  for (const auto& [label, in_it] : patients) report.patients_by_label[label] = in_it.size();
}

void CountPixels(const Image& image, std::array<double, DataReport::kBrightnesses>& shares) {
  std::array<std::uint64_t, DataReport::kBrightnesses> counts{};
  for (const std::uint16_t pixel : image.pixels) ++counts[pixel / (65536 / counts.size())];
  const auto pixels = static_cast<double>(image.pixels.size());
  for (std::size_t b = 0; b < counts.size(); ++b) {
    shares[b] += static_cast<double>(counts[b]) / pixels;
  }
}

// Each label's shares, of its images' sums.
void Normalise(DataReport& report) {
  for (auto& [label, shares] : report.brightness) {
    const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
    for (double& share : shares) share /= total;
  }
}

// A picture that was read.
struct Seen {
  const Example* example;
  std::string digest;  // of its pixels
  PictureHash hash;
};

// A patient's own pictures in one split, as the slices of a scan, may look alike.
bool MayLookAlike(const Example& a, const Example& b) {
  return !a.patient.empty() && a.patient == b.patient && a.split == b.split;
}

void FindNearDuplicates(const std::vector<Seen>& pictures, const std::stop_token& stop,
                        DataReport& report) {
  constexpr std::size_t kMost = 1000;  // more than anybody looks at
  for (std::size_t i = 0; i < pictures.size() && !stop.stop_requested(); ++i) {
    for (std::size_t j = i + 1; j < pictures.size(); ++j) {
      const Seen& a = pictures[i];
      const Seen& b = pictures[j];
      if (Distance(a.hash, b.hash) > kNearlyTheSame || a.digest == b.digest ||
          MayLookAlike(*a.example, *b.example)) {
        continue;
      }
      if (report.near_duplicates.size() == kMost) return;
      report.near_duplicates.push_back(
          {{a.example->path, b.example->path}, a.example->split != b.example->split});
    }
  }
}

bool IsLateral(const std::string& view) {
  return view == "L" || view == "LL" || view == "RL" || view == "Lateral" || view == "LATERAL";
}

void FindDuplicates(const std::map<std::string, std::vector<const Example*>>& by_digest,
                    DataReport& report) {
  for (const auto& [digest, examples] : by_digest) {
    if (examples.size() < 2) continue;
    DataReport::Duplicate duplicate;
    for (const Example* example : examples) {
      duplicate.paths.push_back(example->path);
      duplicate.across_splits |= example->split != examples.front()->split;
    }
    report.duplicates.push_back(std::move(duplicate));
  }
}

}  // namespace

bool DataReport::IsSound() const {
  return unreadable.empty() && patients_in_two_splits.empty() &&
         std::none_of(duplicates.begin(), duplicates.end(),
                      [](const Duplicate& duplicate) { return duplicate.across_splits; });
}

StatusOr<DataReport> CheckData(const DataSource& source, const std::stop_token& stop,
                               const std::function<void(std::size_t, std::size_t)>& on_image) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadSplitManifest(source));
  DataReport report;
  CountPatients(manifest, report);
  CountGroups(manifest, report);
  std::map<std::string, std::vector<const Example*>> by_digest;
  std::vector<Seen> pictures;
  for (const Example& example : manifest) {
    if (stop.stop_requested()) return Cancelled("stopped after {} images", report.images);
    ++report.images;
    ++report.counts[SplitName(example.split)][example.label];
    if (on_image) on_image(report.images, manifest.size());
    const auto image = ReadImage(example.path);
    if (!image.ok()) {
      report.unreadable.emplace_back(image.status().message());
      continue;
    }
    const int side = std::min(image->width, image->height);
    report.smallest_side = report.smallest_side == 0 ? side : std::min(report.smallest_side, side);
    report.largest_side = std::max({report.largest_side, image->width, image->height});
    constexpr int kBand = 64;
    ++report.shorter_sides[side / kBand * kBand];
    CountPixels(*image, report.brightness[example.label]);
    if (SeemsToHaveText(*image)) report.with_text.push_back(example.path);
    if (IsLateral(example.view)) ++report.lateral;
    const std::string digest = Sha256Of(std::as_bytes(std::span(image->pixels)));
    by_digest[digest].push_back(&example);
    pictures.push_back({&example, digest, HashPicture(*image)});
  }
  Normalise(report);
  report.manifest = manifest;
  FindDuplicates(by_digest, report);
  FindNearDuplicates(pictures, stop, report);
  if (stop.stop_requested()) return Cancelled("stopped");
  return report;
}

}  // namespace consilium
