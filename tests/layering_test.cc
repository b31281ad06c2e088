// The architecture, as a test: every #include that leaves a folder must be an edge of layers.txt.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace consilium {
namespace {

namespace fs = std::filesystem;
using Layers = std::map<std::string, std::set<std::string>>;

Layers ReadLayers(const fs::path& file) {
  Layers layers;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string from, arrow, to;
    if (!(words >> from >> arrow)) continue;
    auto& targets = layers[from];
    while (words >> to) targets.insert(to);
  }
  return layers;
}

// The layer of a header: its folder if it is ours, "<first part>" if it is a library's, "" if it is
// the standard library's.
std::string LayerOf(const std::string& header) {
  static const std::regex kOurs("^(certs|client|common|server|consilium)/.*");
  if (std::regex_match(header, kOurs)) return fs::path(header).parent_path().generic_string();
  const auto slash = header.find('/');
  if (slash != std::string::npos) return "<" + header.substr(0, slash) + ">";
  return header.ends_with(".h") ? "<" + header + ">" : "";
}

std::vector<fs::path> Sources(const fs::path& root) {
  std::vector<fs::path> files;
  for (const char* top : {"certs", "client", "common", "server"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension == ".h" || extension == ".cc")
        files.push_back(fs::relative(entry.path(), root));
    }
  }
  return files;
}

std::vector<std::string> Includes(const fs::path& file) {
  static const std::regex kInclude(R"re(^#include [<"]([^>"]+)[>"])re");
  std::vector<std::string> headers;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (std::smatch match; std::regex_search(line, match, kInclude)) headers.push_back(match[1]);
  }
  return headers;
}

TEST(Layering, EveryIncludeFollowsTheLayers) {
  const fs::path root = CONSILIUM_SOURCE_DIR;
  Layers layers = ReadLayers(root / "tests/layers.txt");
  const auto sources = Sources(root);
  ASSERT_GT(sources.size(), 50U);
  for (const fs::path& file : sources) {
    const std::string from = file.parent_path().generic_string();
    const bool is_public = file.extension() == ".h" && !file.stem().string().ends_with("_internal");
    ASSERT_TRUE(layers.contains(from)) << from << " has no line in tests/layers.txt";
    for (const std::string& header : Includes(root / file)) {
      const std::string to = LayerOf(header);
      if (to.empty() || to == from) continue;
      EXPECT_TRUE(layers[from].contains(to))
          << file << ": " << header << " makes the edge " << from << " -> " << to;
      EXPECT_FALSE(is_public && layers["cc-only"].contains(to))
          << file << ": " << to << " belongs in a .cc";
    }
  }
}

}  // namespace
}  // namespace consilium
