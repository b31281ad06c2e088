#include "client/data/manifest.h"

#include <libfccp/csv.h>

#include <algorithm>
#include <set>

#include "client/preprocess/dicom.h"
#include "client/preprocess/image.h"
#include "common/base/file.h"
#include "common/base/random.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kManifestFile[] = "manifest.csv";

StatusOr<Split> ParseSplit(const std::string& name) {
  if (name.empty()) return Split::kNone;
  if (name == "train") return Split::kTrain;
  if (name == "val" || name == "validation") return Split::kValidation;
  if (name == "test") return Split::kTest;
  return InvalidArgument("split '{}', want train, val or test", name);
}

std::string Quote(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

StatusOr<Manifest> ReadCsv(const fs::path& path, const fs::path& root) {
  const fs::path folder = root.empty() ? path.parent_path() : root;
  io::CSVReader<8, io::trim_chars<' ', '\t', '\r'>, io::double_quote_escape<',', '"'>> reader(
      path.string());
  reader.read_header(io::ignore_extra_column | io::ignore_missing_column, "path", "label",
                     "patient_id", "split", "site", "view", "sex", "age");
  for (const char* column : {"path", "label"}) {
    if (!reader.has_column(column)) {
      return InvalidArgument("{}:1: no column '{}'; want path,label[,patient_id][,split]",
                             path.string(), column);
    }
  }
  Manifest manifest;
  std::string image, label, split_name;
  Example example;
  while (reader.read_row(image, label, example.patient, split_name, example.site, example.view,
                         example.sex, example.age)) {
    const std::string line = fmt::format("{}:{}", path.string(), reader.get_file_line());
    if (image.empty()) return InvalidArgument("{}: empty path", line);
    if (label.empty()) return InvalidArgument("{}: empty label", line);
    const auto split = ParseSplit(split_name);
    if (!split.ok()) return Annotate(split.status(), line);
    example.path = folder / image;
    example.label = label;
    example.split = *split;
    manifest.push_back(example);
  }
  return manifest;
}

// A file's pictures: one, or the frames of a DICOM file. One that says nothing of itself, or cannot
// be read, is still listed: what reads it will say why.
void AddImages(const fs::path& path, const std::string& label, Manifest& manifest) {
  DicomFacts facts;
  if (IsDicomFile(path)) facts = ReadDicomFacts(path).value_or(DicomFacts{});
  for (std::uint32_t frame = 1; frame <= facts.frames; ++frame) {
    manifest.push_back(
        {.path = facts.frames == 1 ? path.string() : fmt::format("{}#{}", path.string(), frame),
         .label = label,
         .patient = Pseudonym(facts.patient_id),
         .view = facts.view});
  }
}

StatusOr<Manifest> ReadFolder(const fs::path& path) {
  std::set<fs::path> classes;  // in order, whatever the file system's
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) {
      classes.insert(entry.path());
    }
  }
  Manifest manifest;
  for (const fs::path& folder : classes) {
    std::set<fs::path> images;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file() && IsImageFile(entry.path())) images.insert(entry.path());
    }
    if (images.empty()) {
      return InvalidArgument("{}: class '{}' has no PNG, JPEG or DICOM image", path.string(),
                             folder.filename().string());
    }
    for (const fs::path& image : images) {
      AddImages(image, folder.filename().string(), manifest);
    }
  }
  return manifest;
}

void DrawSplit(Manifest& manifest, double validation_fraction, std::uint64_t seed) {
  for (Example& example : manifest) example.split = Split::kTrain;
  for (const auto& [label, groups] : GroupPatients(manifest, seed)) {
    std::size_t images = 0;
    for (const auto& group : groups) images += group.size();
    const double wanted = validation_fraction * static_cast<double>(images);
    std::size_t drawn = 0;
    for (const auto& group : groups) {
      // A patient is taken while that brings the share nearer to what is wanted.
      if (static_cast<double>(drawn) + static_cast<double>(group.size()) / 2 > wanted) continue;
      for (const std::size_t i : group) manifest[i].split = Split::kValidation;
      drawn += group.size();
    }
  }
}

Status CheckDisjoint(const Manifest& train, const Manifest& validation) {
  std::set<std::string> patients;
  for (const Example& example : train) patients.insert(example.patient);
  for (const Example& example : validation) {
    if (!example.patient.empty() && patients.contains(example.patient)) {
      return InvalidArgument("{} is in validation, but its patient has an image in training too",
                             example.path.string());
    }
  }
  return OkStatus();
}

}  // namespace

std::string Pseudonym(const std::string& patient_id) {
  static const auto* key = new std::string(RandomHex(32));
  return patient_id.empty() ? "" : Sha256Of(*key + patient_id);
}

std::string SplitName(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "val";
    case Split::kTest:
      return "test";
    case Split::kNone:
      return "";
  }
  return "";
}

StatusOr<Manifest> ReadManifest(const fs::path& path, const fs::path& root) {
  if (!fs::exists(path)) return NotFound("{}: no such file or folder", path.string());
  // The reader and the file system throw.
  auto read = CatchAsStatus(path.string(), [&] {
    if (!fs::is_directory(path)) return ReadCsv(path, root);
    const fs::path csv = path / kManifestFile;
    return fs::exists(csv) ? ReadCsv(csv, root) : ReadFolder(path);
  });
  if (!read.ok()) return InvalidArgument("{}", std::string(read.status().message()));
  CSL_ASSIGN_OR_RETURN(Manifest manifest, *std::move(read));
  if (manifest.empty()) return InvalidArgument("{}: no images", path.string());
  return manifest;
}

StatusOr<std::vector<std::string>> ReadColumn(const fs::path& path, const std::string& column) {
  const fs::path csv = fs::is_directory(path) ? path / kManifestFile : path;
  auto read = CatchAsStatus(csv.string(), [&] {
    io::CSVReader<1, io::trim_chars<' ', '\t', '\r'>, io::double_quote_escape<',', '"'>> reader(
        csv.string());
    reader.read_header(io::ignore_extra_column, column);
    std::vector<std::string> values;
    for (std::string value; reader.read_row(value);) values.push_back(value);
    return values;
  });
  if (!read.ok()) return InvalidArgument("{}", std::string(read.status().message()));
  return *std::move(read);
}

Status WriteManifest(const fs::path& path, const Manifest& manifest) {
  std::string text = "path,label,patient_id,split,site,view,sex,age\n";
  for (const Example& example : manifest) {
    if (example.path.string().find('\n') != std::string::npos) {
      return InvalidArgument("{}: a name of two lines cannot stand in a CSV",
                             example.path.string());
    }
    text += fmt::format("{},{},{},{},{},{},{},{}\n", Quote(fs::absolute(example.path).string()),
                        Quote(example.label), Quote(example.patient), SplitName(example.split),
                        Quote(example.site), Quote(example.view), Quote(example.sex),
                        Quote(example.age));
  }
  return WriteFileAtomically(path, text);
}

PatientGroups GroupPatients(const Manifest& manifest, std::uint64_t seed) {
  std::map<std::string, std::vector<std::size_t>> patients;
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    const Example& example = manifest[i];
    patients[example.patient.empty() ? "\n" + example.path.string() : example.patient].push_back(i);
  }
  PatientGroups by_label;
  for (auto& [name, examples] : patients) {
    by_label[manifest[examples.front()].label].push_back(std::move(examples));
  }
  Random random(seed);
  for (auto& [label, groups] : by_label) {
    // By their first images: a pseudonym is another one in each process.
    std::ranges::sort(groups, {}, [](const auto& group) { return group.front(); });
    random.Shuffle(groups);
  }
  return by_label;
}

StatusOr<Manifest> ReadSplitManifest(const DataSource& source) {
  CSL_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(source.path, source.root));
  if (!source.validation.empty()) {
    CSL_ASSIGN_OR_RETURN(Manifest validation, ReadManifest(source.validation, source.root));
    CSL_RETURN_IF_ERROR(CheckDisjoint(manifest, validation));
    for (Example& example : manifest) {
      if (example.split == Split::kNone) example.split = Split::kTrain;
    }
    for (Example& example : validation) example.split = Split::kValidation;
    manifest.insert(manifest.end(), validation.begin(), validation.end());
    return manifest;
  }
  const Manifest undecided = Select(manifest, Split::kNone);
  if (undecided.size() == manifest.size()) {
    DrawSplit(manifest, source.validation_fraction, source.seed);
  } else if (!undecided.empty()) {
    return InvalidArgument(
        "{}: {} of {} images have no split, first {}; give all of them one, or none",
        source.path.string(), undecided.size(), manifest.size(), undecided.front().path.string());
  }
  return manifest;
}

Manifest Select(const Manifest& manifest, Split split) {
  Manifest selected;
  std::copy_if(manifest.begin(), manifest.end(), std::back_inserter(selected),
               [&](const Example& example) { return example.split == split; });
  return selected;
}

std::map<std::string, std::uint64_t> CountLabels(const Manifest& manifest) {
  std::map<std::string, std::uint64_t> counts;
  for (const Example& example : manifest) ++counts[example.label];
  return counts;
}

}  // namespace consilium
