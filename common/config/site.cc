#include "common/config/site.h"

#include "common/base/file.h"
#include "common/config/yaml_message.h"

namespace consilium {
namespace {

Status CheckSite(const v1::SiteConfig& site) {
  const v1::SiteData& data = site.data();
  if (!(data.validation_fraction() > 0 && data.validation_fraction() < 1)) {
    return InvalidArgument("data.validation_fraction is {}, want above 0 and below 1",
                           data.validation_fraction());
  }
  if (!(data.max_unreadable() >= 0 && data.max_unreadable() <= 1)) {
    return InvalidArgument("data.max_unreadable is {}, want 0 to 1", data.max_unreadable());
  }
  if (site.device() != "cpu" && site.device() != "cuda" && site.device() != "auto") {
    return InvalidArgument("device is '{}', want one of: cpu, cuda, auto", site.device());
  }
  if (site.threads() > 1024 || data.workers() > 1024) {
    return InvalidArgument("threads and data.workers are at most 1024");
  }
  return OkStatus();
}

// Between double quotes in YAML (YAML 1.2, section 7.3.1).
std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

v1::SiteConfig DefaultSite() {
  v1::SiteConfig site;
  site.set_device("auto");
  site.set_checkpoint_seconds(60);
  site.mutable_data()->set_validation_fraction(0.2);
  site.mutable_data()->set_max_unreadable(0.05);
  site.mutable_data()->set_cache_memory_mb(4096);
  return site;
}

StatusOr<v1::SiteConfig> ReadSite(const std::filesystem::path& path) {
  CSL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  v1::SiteConfig site = DefaultSite();
  CSL_RETURN_IF_ERROR(MergeYaml(path.string(), text, &site));
  if (const Status status = CheckSite(site); !status.ok()) return Annotate(status, path.string());
  return site;
}

std::string NewSiteYaml(const std::string& data, int threads) {
  return fmt::format(
      "# This hospital's settings. `consilium-client start --help` explains each.\n"
      "data:\n"
      "  path: \"{}\"   # a CSV manifest (path,label[,patient_id][,split]) or a folder per class\n"
      "device: auto   # cpu | cuda | auto\n"
      "threads: {}     # 0: all cores\n"
      "architectures: []   # that this hospital agrees to train; empty: any\n",
      Escape(data), threads);
}

}  // namespace consilium
