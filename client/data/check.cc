#include "client/data/check.h"

#include <algorithm>
#include <set>

#include "client/preprocess/image.h"
#include "common/base/file.h"
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
  std::map<std::string, std::vector<const Example*>> by_digest;
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
    CSL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(example.path));
    by_digest[Sha256Of(file.bytes())].push_back(&example);
  }
  FindDuplicates(by_digest, report);
  return report;
}

}  // namespace consilium
