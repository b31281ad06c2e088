#include "client/session/kept_models.h"

#include <charconv>
#include <map>

#include "common/base/file.h"
#include "common/crypto/digest.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr char kExtension[] = ".safetensors";

// A run's name comes from elsewhere; its hash can be part of a file's name.
std::string PrefixOf(const std::string& run) { return Sha256Of(run).substr(0, 16) + "-"; }

// By round.
std::map<int, fs::path> FilesOf(const fs::path& folder, const std::string& run) {
  std::map<int, fs::path> files;
  std::error_code error;
  const std::string prefix = PrefixOf(run);
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() != kExtension || !stem.starts_with(prefix)) continue;
    int round = 0;
    const char* end = stem.data() + stem.size();
    if (std::from_chars(stem.data() + prefix.size(), end, round).ptr == end) {
      files[round] = entry.path();
    }
  }
  return files;
}

}  // namespace

StatusOr<std::optional<KeptModels::Kept>> KeptModels::Find(const std::string& run,
                                                           int round) const {
  const auto files = FilesOf(folder_, run);
  const auto after = files.lower_bound(round);
  if (after == files.begin()) return std::nullopt;
  const fs::path& file = std::prev(after)->second;
  CSL_ASSIGN_OR_RETURN(Model model, ReadModel(file));
  return Kept{std::move(model), file};
}

Status KeptModels::Keep(const std::string& run, int round, ModelInfo info,
                        const ModelState& state) const {
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  const fs::path file = folder_ / fmt::format("{}{}{}", PrefixOf(run), round, kExtension);
  info.provenance = {.run = run, .round = round};
  CSL_RETURN_IF_ERROR(WriteModel(file, info, state));
  // This round may be trained again, from what was kept before it.
  const auto files = FilesOf(folder_, run);
  const auto here = files.lower_bound(round);
  const auto needed = here == files.begin() ? here : std::prev(here);
  for (auto old = files.begin(); old != needed; ++old) {
    std::error_code error;
    fs::remove(old->second, error);
  }
  return OkStatus();
}

}  // namespace consilium
