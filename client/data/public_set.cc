#include "client/data/public_set.h"

#include <libfccp/csv.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>

#include "client/preprocess/image.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kCovid[] = "covid";
constexpr char kPneumonia[] = "pneumonia";
constexpr char kNormal[] = "normal";

// A set while it is read.
class Reading {
 public:
  Reading(fs::path images, std::string key) : images_(std::move(images)), key_(std::move(key)) {}

  void Add(const fs::path& file, const std::string& label, const std::string& patient,
           Split split = Split::kNone, const std::string& view = "") {
    const std::string pseudonym = patient.empty() ? "" : Sha256Of(key_ + patient).substr(0, 16);
    set_.manifest.push_back({.path = images_ / file,
                             .label = label,
                             .patient = pseudonym,
                             .split = split,
                             .view = view});
  }
  void LeaveOut(const std::string& why) { ++set_.left_out[why]; }
  PublicSet Finish() { return std::move(set_); }

 private:
  const fs::path images_;
  const std::string key_;
  PublicSet set_;
};

template <unsigned columns>
using Csv =
    io::CSVReader<columns, io::trim_chars<' ', '\t', '\r'>, io::double_quote_escape<',', '"'>>;

template <unsigned columns, typename... Names>
Status ReadHeader(const fs::path& path, Csv<columns>& csv, const Names&... names) {
  csv.read_header(io::ignore_extra_column | io::ignore_missing_column, names...);
  for (const char* name : {names...}) {
    if (!csv.has_column(name)) return InvalidArgument("{}:1: no column '{}'", path.string(), name);
  }
  return OkStatus();
}

// "Pneumonia/Viral/COVID-19": from the general to the particular.
Status ReadIeee8023(const fs::path& path, Reading& reading) {
  Csv<6> csv(path.string());
  CSL_RETURN_IF_ERROR(
      ReadHeader<6>(path, csv, "patientid", "finding", "view", "modality", "folder", "filename"));
  std::string patient, finding, view, modality, folder, file;
  while (csv.read_row(patient, finding, view, modality, folder, file)) {
    if (modality != "X-ray") {
      reading.LeaveOut("not an X-ray");
    } else if (view != "PA" && view != "AP" && view != "AP Supine" && view != "AP Erect") {
      reading.LeaveOut("not a frontal view");
    } else if (finding.find("COVID-19") != std::string::npos) {
      reading.Add(fs::path(folder) / file, kCovid, patient, Split::kNone, view);
    } else if (finding.starts_with("Pneumonia")) {
      reading.Add(fs::path(folder) / file, kPneumonia, patient, Split::kNone, view);
    } else if (finding == "No Finding") {
      reading.Add(fs::path(folder) / file, kNormal, patient, Split::kNone, view);
    } else {
      reading.LeaveOut("finding '" + finding + "'");
    }
  }
  return OkStatus();
}

// Lines of words; the file's name is last but one or two, for it may have spaces of its own.
Status ReadCovidx(const fs::path& path, Reading& reading) {
  const std::map<std::string, std::string> labels = {
      {"COVID-19", kCovid}, {"pneumonia", kPneumonia}, {"normal", kNormal}};
  const std::string name = path.filename().string();
  const Split split = name.starts_with("train")  ? Split::kTrain
                      : name.starts_with("val")  ? Split::kValidation
                      : name.starts_with("test") ? Split::kTest
                                                 : Split::kNone;
  std::ifstream in(path);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::istringstream stream(line);
    const std::vector<std::string> words{std::istream_iterator<std::string>(stream), {}};
    if (words.empty()) continue;
    const auto is_class = [&](const std::string& word) {
      return labels.contains(word) || word == "positive" || word == "negative";
    };
    const auto found = std::find_if(words.rbegin(), words.rend(), is_class);
    const auto at = static_cast<std::size_t>(words.rend() - found) - 1;
    if (found == words.rend() || at < 2) {
      return InvalidArgument("{}:{}: want patient, file, class and source", path.string(), number);
    }
    if (!labels.contains(*found)) {
      // "Negative" mixes pneumonia with healthy lungs.
      reading.LeaveOut("class '" + *found + "': take a list of three classes");
      continue;
    }
    const std::vector<std::string> file(words.begin() + 1,
                                        words.begin() + static_cast<std::ptrdiff_t>(at));
    reading.Add(fmt::format("{}", fmt::join(file, " ")), labels.at(*found), words[0], split);
  }
  return OkStatus();
}

Status ReadRadiography(const fs::path& path, Reading& reading) {
  constexpr std::array<std::pair<const char*, const char*>, 3> kFolders = {
      {{"COVID", kCovid}, {"Normal", kNormal}, {"Viral Pneumonia", kPneumonia}}};
  for (const auto& [name, label] : kFolders) {
    // Later versions have masks beside the images.
    const fs::path folder =
        fs::is_directory(path / name / "images") ? fs::path(name) / "images" : fs::path(name);
    if (!fs::is_directory(path / folder)) {
      return InvalidArgument("{}: no folder '{}'", path.string(), name);
    }
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path / folder)) {
      if (entry.is_regular_file() && IsImageFile(entry.path())) {
        files.insert(entry.path().filename());
      }
    }
    for (const fs::path& file : files) reading.Add(folder / file, label, "");
  }
  if (fs::is_directory(path / "Lung_Opacity")) {
    reading.LeaveOut("the folder Lung_Opacity: neither pneumonia nor normal");
  }
  return OkStatus();
}

Status ReadRsna(const fs::path& path, Reading& reading) {
  Csv<2> csv(path.string());
  CSL_RETURN_IF_ERROR(ReadHeader<2>(path, csv, "patientId", "class"));
  std::string patient, name;
  std::set<std::string> seen;  // a row for each box drawn
  while (csv.read_row(patient, name)) {
    if (!seen.insert(patient).second) continue;
    if (name == "Lung Opacity") {
      reading.Add(patient + ".dcm", kPneumonia, patient);
    } else if (name == "Normal") {
      reading.Add(patient + ".dcm", kNormal, patient);
    } else {
      reading.LeaveOut("class '" + name + "'");
    }
  }
  return OkStatus();
}

struct Layout {
  const char* name;
  Status (*read)(const fs::path&, Reading&);
  const char* images;  // beside the file, or in the folder; where the authors have them
};
constexpr std::array<Layout, 4> kLayouts = {{{"ieee8023", ReadIeee8023, ""},
                                             {"covidx", ReadCovidx, "data"},
                                             {"radiography", ReadRadiography, ""},
                                             {"rsna", ReadRsna, "stage_2_train_images"}}};

}  // namespace

std::vector<std::string> PublicLayouts() {
  std::vector<std::string> names;
  for (const Layout& layout : kLayouts) names.emplace_back(layout.name);
  return names;
}

StatusOr<PublicSet> ReadPublicSet(const std::string& layout, const fs::path& path,
                                  const fs::path& images, const std::string& key) {
  const auto* found =
      std::ranges::find(kLayouts, layout, [](const Layout& one) { return std::string(one.name); });
  if (found == kLayouts.end()) {
    return InvalidArgument("layout '{}', want one of: {}", layout,
                           fmt::join(PublicLayouts(), ", "));
  }
  if (!fs::exists(path)) return NotFound("{}: no such file or folder", path.string());
  const fs::path home = fs::is_directory(path) ? path : fs::absolute(path).parent_path();
  Reading reading(images.empty() ? home / found->images : images, key);
  Status status;
  const auto read = CatchAsStatus(path.string(), [&] {  // the reader throws
    status = found->read(path, reading);
    return true;
  });
  if (!read.ok()) return InvalidArgument("{}", std::string(read.status().message()));
  CSL_RETURN_IF_ERROR(status);
  PublicSet set = reading.Finish();
  if (set.manifest.empty()) return InvalidArgument("{}: no image to be used", path.string());
  return set;
}

}  // namespace consilium
