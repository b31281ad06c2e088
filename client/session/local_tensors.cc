#include "client/session/local_tensors.h"

#include <charconv>
#include <limits>
#include <map>

#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/model/local_part.h"

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

Status LocalTensors::PutInto(const std::string& run, int round, Model& model) const {
  if (!HasLocalPart(*model.state.layout)) return OkStatus();
  const auto files = FilesOf(folder_, run);
  const auto after = files.lower_bound(round);
  if (after == files.begin()) return OkStatus();
  const fs::path& file = std::prev(after)->second;
  CSL_ASSIGN_OR_RETURN(const Model kept, ReadModel(file));
  if (const Status put = PutLocalPart(kept.state, model.state); !put.ok()) {
    return Annotate(put, file.string());
  }
  return OkStatus();
}

Status LocalTensors::PutLastInto(Model& model) const {
  return PutInto(model.info.provenance.run, std::numeric_limits<int>::max(), model);
}

Status LocalTensors::Keep(const std::string& run, int round, const Model& model) const {
  if (!HasLocalPart(*model.state.layout)) return OkStatus();
  CSL_RETURN_IF_ERROR(MakeFolders(folder_));
  const fs::path file = folder_ / fmt::format("{}{}{}", PrefixOf(run), round, kExtension);
  ModelInfo info = model.info;
  info.provenance = {.run = model.info.provenance.run, .round = round};
  CSL_RETURN_IF_ERROR(WriteModel(file, info, LocalPart(model.state)));
  for (const auto& [kept, path] : FilesOf(folder_, run)) {
    std::error_code error;
    if (kept < round - 1) fs::remove(path, error);
  }
  return OkStatus();
}

}  // namespace consilium
