// A hospital's settings.

#include "common/config/site.h"
#include "common/config/yaml_message.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const std::string text(fuzz::AsText(data, size));
  v1::SiteConfig site = DefaultSite();
  (void)MergeYaml("site.yaml", text, &site);
  if (const auto hours = ParseHours(text); hours.ok()) {
    fuzz::Require(hours->first >= 0 && hours->first < 24 * 60 && hours->second >= 0 &&
                  hours->second < 24 * 60);
  }
  return 0;
}
