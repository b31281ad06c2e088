#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "client/infer/overlay.h"
#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "client/main/subject.h"
#include "client/preprocess/mask.h"
#include "common/base/file.h"
#include "common/cli/cli.h"
#include "common/metrics/localisation.h"

namespace consilium {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct ExplainCommand {
  Subject subject;
  std::string output;
  std::string method = "grad-cam";
  std::string explained;  // a class; empty: the one that the model decides for
  std::string lungs;      // folders of masks
  std::string findings;
  bool json = false;
};

// What a map is worth beside regions that are known, of one image or as means of many.
struct Agreement {
  double in_lungs = 0;
  double lung_area = 0;
  std::size_t lungs = 0;  // images with a mask of their lungs and a map
  double overlap = 0;
  std::size_t hits = 0;
  std::size_t findings = 0;  // images with a mask of a finding and a map
};

// The map's places that count as marked, of its greatest value.
constexpr double kMarked = 0.5;

// Adds an image's agreement with the masks that there are for it.
Status Compare(const ExplainedPrediction& explained, int side, const ExplainCommand& command,
               Agreement& agreement) {
  const fs::path name = explained.prediction.path.filename();
  if (const fs::path mask = fs::path(command.lungs) / name;
      !command.lungs.empty() && fs::exists(mask)) {
    CSL_ASSIGN_OR_RETURN(const Region lungs, ReadMask(mask, explained.image, side));
    if (const auto share = ShareInside(explained.map, lungs)) {
      agreement.in_lungs += *share;
      agreement.lung_area += AreaShare(lungs);
      ++agreement.lungs;
    }
  }
  if (const fs::path mask = fs::path(command.findings) / name;
      !command.findings.empty() && fs::exists(mask)) {
    CSL_ASSIGN_OR_RETURN(const Region finding, ReadMask(mask, explained.image, side));
    const auto hit = PointsInside(explained.map, finding);
    if (hit && AreaShare(finding) > 0) {
      agreement.hits += *hit ? 1 : 0;
      agreement.overlap += Overlap(explained.map, kMarked, finding);
      ++agreement.findings;
    }
  }
  return OkStatus();
}

void Add(const Agreement& one, Agreement& sum) {
  sum.in_lungs += one.in_lungs;
  sum.lung_area += one.lung_area;
  sum.lungs += one.lungs;
  sum.overlap += one.overlap;
  sum.hits += one.hits;
  sum.findings += one.findings;
}

// "image.covid.grad-cam.png" in the folder, with a number where another image has that name.
fs::path OverlayPath(const ExplainCommand& command, const fs::path& image,
                     const std::string& explained, std::set<std::string>& taken) {
  const std::string stem =
      fmt::format("{}.{}.{}", image.filename().string(), explained, command.method);
  std::string name = stem;
  for (int i = 2; !taken.insert(name).second; ++i) name = fmt::format("{}-{}", stem, i);
  return fs::path(command.output) / (name + ".png");
}

void PrintExplained(const ExplainedPrediction& explained, const std::vector<std::string>& classes,
                    const Agreement& agreement, const fs::path& overlay, bool json) {
  const auto name_of = [&](int index) { return classes[static_cast<std::size_t>(index)]; };
  const float p = explained.prediction.probabilities[static_cast<std::size_t>(explained.explained)];
  if (!json) {
    fmt::print("{}: {} {:.1f}% -> {}\n", explained.prediction.path.string(),
               name_of(explained.explained), 100 * p, overlay.string());
    return;
  }
  Json line = {{"path", explained.prediction.path.string()},
               {"prediction", name_of(explained.prediction.predicted)},
               {"explained", name_of(explained.explained)},
               {"probability", p},
               {"overlay", overlay.string()}};
  if (agreement.lungs > 0) {
    line["share_in_lungs"] = agreement.in_lungs;
    line["lung_area"] = agreement.lung_area;
  }
  if (agreement.findings > 0) {
    line["points_at_finding"] = agreement.hits > 0;
    line["overlap"] = agreement.overlap;
  }
  fmt::print("{}\n", ToText(line));
}

void PrintAgreement(const Agreement& sum) {
  if (sum.lungs > 0) {
    const auto count = static_cast<double>(sum.lungs);
    fmt::print(
        "of {} images with a mask of the lungs: {} of the map lies in them, which are {} of "
        "the picture\n",
        sum.lungs, Percent(sum.in_lungs / count), Percent(sum.lung_area / count));
  }
  if (sum.findings > 0) {
    const auto count = static_cast<double>(sum.findings);
    fmt::print(
        "of {} images with a mask of a finding: the map's greatest value lies in it {} "
        "times ({}); intersection over union at half of it {:.3f}\n",
        sum.findings, sum.hits, Percent(static_cast<double>(sum.hits) / count),
        sum.overlap / count);
  }
}

// The class that is to be explained; none: the one that the model decides for.
StatusOr<std::optional<int>> ClassNamed(const std::string& name,
                                        const std::vector<std::string>& classes) {
  if (name.empty()) return std::nullopt;
  const auto found = std::ranges::find(classes, name);
  if (found == classes.end()) {
    return InvalidArgument("the model has no class '{}'; it has {}", name,
                           fmt::join(classes, ", "));
  }
  return static_cast<int>(found - classes.begin());
}

Status Explain(const ExplainCommand& command, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const ExplanationMethod method, ParseExplanationMethod(command.method));
  CSL_ASSIGN_OR_RETURN(Predictor predictor, PredictorOf(command.subject));
  const ModelSpec& spec = predictor.spec();
  CSL_ASSIGN_OR_RETURN(const auto which, ClassNamed(command.explained, spec.classes));
  CSL_ASSIGN_OR_RETURN(const auto images, ImagesOf(command.subject));
  CSL_RETURN_IF_ERROR(MakeFolders(command.output));
  Progress progress("explaining", images.size());
  Agreement sum;
  std::set<std::string> taken;
  std::size_t failures = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (stop.stop_requested()) return Cancelled("stopped after {} images", i);
    const auto explained = predictor.Explain(images[i], which, method, stop);
    progress.Advance(i + 1);
    if (absl::IsInvalidArgument(explained.status()) || absl::IsNotFound(explained.status())) {
      ++failures;
      fmt::print(stderr, "left out: {}\n", std::string(explained.status().message()));
      continue;
    }
    CSL_RETURN_IF_ERROR(explained.status());
    Agreement agreement;
    CSL_RETURN_IF_ERROR(Compare(*explained, spec.input_size, command, agreement));
    Add(agreement, sum);
    const fs::path overlay = OverlayPath(
        command, images[i], spec.classes[static_cast<std::size_t>(explained->explained)], taken);
    CSL_RETURN_IF_ERROR(WriteOverlay(overlay, explained->image, explained->map, spec.input_size));
    PrintExplained(*explained, spec.classes, agreement, overlay, command.json);
  }
  if (!command.json) {
    PrintAgreement(sum);
    PrintLimits();
  }
  return CountFailures(failures, images.size());
}

}  // namespace

void AddExplainCommand(CLI::App& app, CommandLine& line) {
  const auto explain = std::make_shared<ExplainCommand>();
  CLI::App* command =
      app.add_subcommand("explain", "Show where in an image a model sees what it says");
  AddSubjectOptions(*command, explain->subject);
  command->add_option("-o,--output", explain->output, "A folder for the pictures")->required();
  command->add_option("--method", explain->method)
      ->check(CLI::IsMember(ExplanationMethods()))
      ->capture_default_str();
  command->add_option("--class", explain->explained,
                      "What to explain; else what the model decides for");
  command->add_option("--masks", explain->lungs, "A folder of lung masks, named as their images");
  command->add_option("--findings", explain->findings,
                      "A folder of masks of what should be found, named likewise");
  command->add_flag("--json", explain->json, "A JSON line an image");
  command->callback([explain, &line] {
    line.command = [explain, &line] { return Explain(*explain, line.stop); };
  });
}

}  // namespace consilium
