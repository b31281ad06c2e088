#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "client/data/check.h"
#include "client/data/check_page.h"
#include "client/data/contact_sheet.h"
#include "client/data/partition.h"
#include "client/data/public_set.h"
#include "client/data/synth.h"
#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "client/session/plan_options.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/config/site.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;

struct SynthOptions {
  std::string output;
  int site = 0;
  int images = 120;
  std::uint64_t seed = 1;
};

Status Synth(const SynthOptions& options, const std::stop_token& stop) {
  Progress progress("drawing", static_cast<std::uint64_t>(options.images));
  CSL_RETURN_IF_ERROR(
      WriteSynthCohort(options.output, options.site, options.images, options.seed, stop,
                       [&](int done) { progress.Advance(static_cast<std::uint64_t>(done)); }));
  fmt::print("{} synthetic phantoms in {}\n", options.images, options.output);
  return OkStatus();
}

struct CheckOptions {
  bool json = false;
  std::string html;
  bool names = false;
  v1::SiteConfig site = DefaultSite();
};

Json ToJson(const std::vector<DataReport::Duplicate>& duplicates) {
  Json json = Json::array();
  for (const auto& duplicate : duplicates) {
    Json paths = Json::array();
    for (const auto& path : duplicate.paths) paths.push_back(path.string());
    json.push_back({{"paths", paths}, {"across_splits", duplicate.across_splits}});
  }
  return json;
}

Json ToJson(const DataReport& report) {
  return {{"images", report.images},
          {"patients", report.patients},
          {"counts", report.counts},
          {"smallest_side", report.smallest_side},
          {"largest_side", report.largest_side},
          {"unreadable", report.unreadable},
          {"duplicates", ToJson(report.duplicates)},
          {"near_duplicates", ToJson(report.near_duplicates)},
          {"lateral_views", report.lateral},
          {"with_text", report.with_text.size()},
          {"views", report.views},
          {"sources", report.sources},
          {"patients_in_two_splits", report.patients_in_two_splits.size()},
          {"sound", report.IsSound()}};
}

std::string Describe(const DataReport& report) {
  std::vector<std::vector<std::string>> rows = {{"split", "label", "images"}};
  for (const auto& [split, labels] : report.counts) {
    for (const auto& [label, count] : labels) rows.push_back({split, label, std::to_string(count)});
  }
  std::string text = FormatTable(rows);
  text += fmt::format("\n{} images, {} patients, sides {} to {} pixels\n", report.images,
                      report.patients == 0 ? "unnamed" : std::to_string(report.patients),
                      report.smallest_side, report.largest_side);
  for (const std::string& line : report.unreadable) text += fmt::format("unreadable: {}\n", line);
  for (const auto& duplicate : report.duplicates) {
    std::vector<std::string> paths;
    for (const auto& path : duplicate.paths) paths.push_back(path.string());
    text +=
        fmt::format("the same picture {} times{}: {}\n", paths.size(),
                    duplicate.across_splits ? ", in different splits" : "", fmt::join(paths, ", "));
  }
  for (const auto& pair : report.near_duplicates) {
    text += fmt::format("nearly the same{}: {}, {}\n",
                        pair.across_splits ? ", in different splits" : "",
                        pair.paths.front().string(), pair.paths.back().string());
  }
  if (report.lateral > 0) text += fmt::format("{} lateral views\n", report.lateral);
  if (!report.with_text.empty()) {
    text += fmt::format("{} pictures seem to have a line of text in them: {}{}\n",
                        report.with_text.size(), report.with_text.front().string(),
                        report.with_text.size() > 1 ? ", …" : "");
  }
  if (!report.patients_in_two_splits.empty()) {
    text += fmt::format("{} patients are in more than one split\n",
                        report.patients_in_two_splits.size());
  }
  return text + (report.IsSound() ? "sound\n" : "");
}

Status WritePage(const CheckOptions& options, const DataReport& report) {
  CSL_ASSIGN_OR_RETURN(const std::string page, ToPage(report, options.names));
  return WriteFileAtomically(options.html, page, kPrivateMode);
}

Status Check(const CheckOptions& options, const std::stop_token& stop) {
  CSL_RETURN_IF_ERROR(CheckFolderOf(options.html));
  std::unique_ptr<Progress> progress;
  CSL_ASSIGN_OR_RETURN(
      const DataReport report,
      CheckData(ToDataSource(options.site.data()), stop, [&](std::size_t done, std::size_t of) {
        if (!progress) progress = std::make_unique<Progress>("reading", of);
        progress->Advance(done);
      }));
  progress.reset();
  fmt::print("{}", options.json ? ToText(ToJson(report), 2) + "\n" : Describe(report));
  if (!options.html.empty()) CSL_RETURN_IF_ERROR(WritePage(options, report));
  if (report.IsSound()) return OkStatus();
  const auto leaking = std::count_if(report.duplicates.begin(), report.duplicates.end(),
                                     [](const auto& duplicate) { return duplicate.across_splits; });
  return FailedPrecondition(
      "the data are not sound: {} unreadable images, {} patients and {} pictures in two splits; "
      "see "
      "above",
      report.unreadable.size(), report.patients_in_two_splits.size(), leaking);
}

struct CutOptions {
  std::string data;
  std::string root;
  std::string output;
  std::string by = "iid";
  std::string column;
  PartitionOptions partition;
};

PartitionKind KindOf(const std::string& by) {
  if (by == "dirichlet") return PartitionKind::kDirichlet;
  return by == "quantity" ? PartitionKind::kQuantity : PartitionKind::kIid;
}

// The parts by the names of their files.
StatusOr<std::map<std::string, Manifest>> Cut(const CutOptions& options) {
  if (!options.column.empty()) return PartitionByColumn(options.data, options.root, options.column);
  CSL_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(options.data, options.root));
  PartitionOptions wanted = options.partition;
  wanted.kind = KindOf(options.by);
  CSL_ASSIGN_OR_RETURN(std::vector<Manifest> parts, Partition(manifest, wanted));
  std::map<std::string, Manifest> named;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    named[fmt::format("site-{}", k + 1)] = std::move(parts[k]);
  }
  return named;
}

// A table of the parts: a row a site, a column a label.
std::string Describe(const std::map<std::string, Manifest>& parts) {
  std::set<std::string> labels;
  for (const auto& [name, part] : parts) {
    for (const auto& [label, count] : CountLabels(part)) labels.insert(label);
  }
  std::vector<std::vector<std::string>> rows = {{"site"}};
  rows[0].insert(rows[0].end(), labels.begin(), labels.end());
  for (const auto& [name, part] : parts) {
    std::map<std::string, std::uint64_t> counts = CountLabels(part);
    rows.push_back({name});
    for (const std::string& label : labels) rows.back().push_back(std::to_string(counts[label]));
  }
  return FormatTable(rows);
}

Status CutIntoSites(const CutOptions& options) {
  std::error_code error;
  if (std::filesystem::exists(options.output) &&
      !std::filesystem::is_empty(options.output, error)) {
    return AlreadyExists("{} is not empty: choose another folder", options.output);
  }
  CSL_ASSIGN_OR_RETURN(const auto parts, Cut(options));
  for (const auto& [name, part] : parts) {
    if (name.find('/') != std::string::npos) {
      return InvalidArgument("'{}' cannot be the name of a file", name);
    }
  }
  CSL_RETURN_IF_ERROR(MakeFolders(options.output));
  for (const auto& [name, part] : parts) {
    CSL_RETURN_IF_ERROR(
        WriteManifest(std::filesystem::path(options.output) / (name + ".csv"), part));
  }
  fmt::print("{}", Describe(parts));
  return OkStatus();
}

struct ImportOptions {
  std::string layout;
  std::string path;
  std::string images;
  std::string output;
  std::string key;  // its file
};

// The site's own, kept for the sets that are still to come: a patient then has the same hash in
// all.
StatusOr<std::string> PatientKey(const std::filesystem::path& file) {
  if (std::filesystem::exists(file)) return ReadFile(file);
  const std::string key = RandomHex(32);
  CSL_RETURN_IF_ERROR(WriteFileAtomically(file, key, kPrivateMode));
  return key;
}

Status Import(const ImportOptions& options) {
  const std::string key_file = options.key.empty() ? options.output + ".key" : options.key;
  CSL_ASSIGN_OR_RETURN(const std::string key, PatientKey(key_file));
  CSL_ASSIGN_OR_RETURN(const PublicSet set,
                       ReadPublicSet(options.layout, options.path, options.images, key));
  CSL_RETURN_IF_ERROR(WriteManifest(options.output, set.manifest));
  for (const auto& [label, count] : CountLabels(set.manifest)) {
    fmt::print("{:<12}{:>7}\n", label, count);
  }
  for (const auto& [why, count] : set.left_out) fmt::print("left out {:>7}: {}\n", count, why);
  fmt::print("wrote {}; patients are hashed with the key in {}\n", options.output, key_file);
  return OkStatus();
}

struct ShowOptions {
  std::string output;
  int columns = 8;
  int rows = 6;
  v1::SiteConfig site = DefaultSite();
};

Status Show(const ShowOptions& options) {
  CSL_ASSIGN_OR_RETURN(const Manifest manifest,
                       ReadSplitManifest(ToDataSource(options.site.data())));
  for (const auto& [label, count] : CountLabels(manifest))
    fmt::print("{:<12}{:>7}\n", label, count);
  CSL_RETURN_IF_ERROR(WriteContactSheet(manifest, options.columns, options.rows, options.output));
  fmt::print("contact sheet: {}\n", options.output);
  return OkStatus();
}

}  // namespace

void AddDataCommands(CLI::App& app, CommandLine& line) {
  CLI::App* data = app.add_subcommand(
      "data", "Images: synthetic ones, public sets, checks, contact sheets, cuts");
  data->require_subcommand(1);

  const auto synth = std::make_shared<SynthOptions>();
  CLI::App* command = data->add_subcommand("synth", "Draw a synthetic hospital's chest phantoms");
  command->add_option("-o,--output", synth->output, "The folder to make")->required();
  command->add_option("--site", synth->site, "Which hospital: each number looks different")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command->add_option("--images", synth->images)
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", synth->seed)->capture_default_str();
  command->callback(
      [synth, &line] { line.command = [synth, &line] { return Synth(*synth, line.stop); }; });

  const auto check = std::make_shared<CheckOptions>();
  command = data->add_subcommand("check", "Read every image; find leaks, duplicates, damage");
  command->add_flag("--json", check->json, "Print JSON");
  CLI::Option* html = command->add_option(
      "--html", check->html, "Write a page with tables, plots and pictures; it names nobody");
  command
      ->add_flag("--names", check->names,
                 "The page has files' names, and the pictures with text in them, too")
      ->needs(html);
  AddDataOptions(*command, check->site);
  command->callback(
      [check, &line] { line.command = [check, &line] { return Check(*check, line.stop); }; });

  const auto cut = std::make_shared<CutOptions>();
  command = data->add_subcommand(
      "partition", "Cut one set of images into sites, for experiments; patients stay whole");
  command->add_option("--data", cut->data, "A CSV, or a folder")->required();
  command->add_option("--root", cut->root,
                      "What a CSV's paths are relative to (default: its folder)");
  command->add_option("-o,--output", cut->output, "The folder that gets a CSV for each site")
      ->required();
  CLI::Option* column = command->add_option("--column", cut->column,
                                            "A site for each value of this column of the CSV");
  command->add_option("--sites", cut->partition.sites)
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str()
      ->excludes(column);
  command
      ->add_option("--by", cut->by,
                   "iid: alike; dirichlet: other shares of each label; quantity: other sizes")
      ->check(CLI::IsMember({"iid", "dirichlet", "quantity"}))
      ->capture_default_str()
      ->excludes(column);
  command->add_option("--alpha", cut->partition.alpha, "The smaller, the more the sites differ")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str()
      ->excludes(column);
  command->add_option("--seed", cut->partition.seed)->capture_default_str()->excludes(column);
  command->callback([cut, &line] { line.command = [cut] { return CutIntoSites(*cut); }; });

  const auto set = std::make_shared<ImportOptions>();
  command = data->add_subcommand("import", "Write the manifest of a public set of images");
  command->add_option("layout", set->layout)->required()->check(CLI::IsMember(PublicLayouts()));
  command->add_option("path", set->path, "Its CSV or list; of radiography: its folder")->required();
  command->add_option("--images", set->images, "Where its images are, if not where it has them");
  command->add_option("-o,--output", set->output, "The CSV to write")->required();
  command->add_option("--key", set->key,
                      "What patients are hashed with, made if there is none (default: OUTPUT.key)");
  command->callback([set, &line] { line.command = [set] { return Import(*set); }; });

  const auto show = std::make_shared<ShowOptions>();
  command = data->add_subcommand("show", "Count labels and draw a contact sheet");
  command->add_option("-o,--output", show->output, "The PNG to write")->required();
  command->add_option("--columns", show->columns)->check(CLI::Range(1, 40))->capture_default_str();
  command->add_option("--rows", show->rows)->check(CLI::Range(1, 40))->capture_default_str();
  AddDataOptions(*command, show->site);
  command->callback([show, &line] { line.command = [show] { return Show(*show); }; });
}

}  // namespace consilium
