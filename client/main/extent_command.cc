#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/infer/extent.h"
#include "client/infer/overlay.h"
#include "client/infer/prediction_json.h"
#include "client/main/commands.h"
#include "client/main/json_text.h"
#include "client/main/subject.h"
#include "common/base/file.h"
#include "common/cli/cli.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

struct ExtentCommand {
  std::string model;
  std::vector<std::string> paths;
  std::string device = "auto";
  int threads = 0;
  std::string output;  // a folder for overlays; empty: none
  bool json = false;
};

std::string ShareOf(const std::optional<LungExtent>& lung) {
  return lung ? fmt::format("{:.0f}%", 100 * lung->affected) : "not found";
}

void Print(const fs::path& path, const Extent& extent, const fs::path& overlay, bool json) {
  if (json) {
    nlohmann::ordered_json line = {{"path", path.string()}};
    line.update(ToJson(extent));
    if (!overlay.empty()) line["overlay"] = overlay.string();
    fmt::print("{}\n", ToText(line));
    return;
  }
  const std::string scores = extent.geographic_extent
                                 ? fmt::format("extent {:.1f} of 8, opacity by it {:.1f} of 6",
                                               *extent.geographic_extent, *extent.opacity)
                                 : "no lung was found";
  fmt::print("{}: right lung {}, left lung {} affected; {}{}\n", path.string(),
             ShareOf(extent.right), ShareOf(extent.left), scores,
             overlay.empty() ? "" : " -> " + overlay.string());
}

Status MeasureAll(const ExtentCommand& command, const std::stop_token& stop) {
  CSL_ASSIGN_OR_RETURN(const Model model, ReadModel(command.model));
  CSL_ASSIGN_OR_RETURN(ExtentMeter meter,
                       ExtentMeter::Create(model, command.device, command.threads));
  CSL_ASSIGN_OR_RETURN(const auto images, FindImages({command.paths.begin(), command.paths.end()}));
  if (!command.output.empty()) CSL_RETURN_IF_ERROR(MakeFolders(command.output));
  Progress progress("measuring", images.size());
  std::size_t failures = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (stop.stop_requested()) return Cancelled("stopped after {} images", i);
    const auto measured = meter.Measure(images[i]);
    progress.Advance(i + 1);
    if (absl::IsInvalidArgument(measured.status()) || absl::IsNotFound(measured.status())) {
      ++failures;
      fmt::print(stderr, "left out: {}\n", std::string(measured.status().message()));
      continue;
    }
    CSL_RETURN_IF_ERROR(measured.status());
    fs::path overlay;
    if (!command.output.empty()) {
      overlay = fs::path(command.output) /
                fmt::format("{}.{}.extent.png", i + 1, images[i].filename().string());
      CSL_RETURN_IF_ERROR(WriteOverlay(overlay, measured->image, measured->map, meter.side()));
    }
    Print(images[i], measured->extent, overlay, command.json);
  }
  if (!command.json) PrintLimits();
  return CountFailures(failures, images.size());
}

}  // namespace

void AddExtentCommand(CLI::App& app, CommandLine& line) {
  const auto extent = std::make_shared<ExtentCommand>();
  CLI::App* command = app.add_subcommand("extent", "Measure how much of each lung is affected");
  command->add_option("images", extent->paths, "Files, or folders with images")->required();
  command->add_option("--model", extent->model, "A unet's model file")->required();
  command->add_option("-o,--output", extent->output,
                      "A folder for the pictures with what is affected over them");
  command->add_option("--device", extent->device)
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
  command->add_option("--threads", extent->threads, "0: all cores");
  command->add_flag("--json", extent->json, "A JSON line an image");
  command->callback([extent, &line] {
    line.command = [extent, &line] { return MeasureAll(*extent, line.stop); };
  });
}

}  // namespace consilium
