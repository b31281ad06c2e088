#pragma once

// Whether a network looks at the lungs. Public sets of COVID-19 let it tell a class by everything
// else: markers, borders, the way a detector renders (DeGrave et al., Nature Machine Intelligence
// 2021).

#include <filesystem>
#include <optional>
#include <stop_token>
#include <vector>

#include "client/infer/source_probe.h"
#include "client/session/local.h"
#include "common/base/status.h"
#include "common/metrics/scores.h"
#include "common/model/model_file.h"
#include "consilium/v1/site.pb.h"

namespace consilium {

struct ShortcutAudit {
  // The same images, as they are, with black lungs, and with nothing but lungs. A network that
  // looks at lungs alone is at chance without them, and as good as ever with nothing else.
  Scores whole;
  Scores without_lungs;
  Scores lungs_alone;
  // Of what speaks for the class that was called (Grad-CAM, see explanation.h), the share that lies
  // in the lungs, mean over the images where something does; beside it, the share of the picture
  // that they are.
  std::optional<double> attention_in_lungs;
  double lung_area = 0;
  std::size_t without_mask = 0;  // images left out for want of one
};

// Of those of the model's scored images that have a mask: an image of the same file name in
// `masks`, white where there is lung, of the same shape as the picture. NOT_FOUND where none has;
// INVALID_ARGUMENT for a mask of another shape.
StatusOr<ShortcutAudit> AuditShortcuts(const Model& model, const ScoredImages& scored,
                                       const std::filesystem::path& masks,
                                       const v1::SiteConfig& site, const std::stop_token& stop);

// How well the source of these images can be told from what the network sees of them, see
// client/infer/source_probe.h. None where the data name fewer than two sources of some size.
StatusOr<std::optional<SourceProbe>> AuditSources(const Model& model, const ScoredImages& scored,
                                                  const v1::SiteConfig& site,
                                                  const std::stop_token& stop);

}  // namespace consilium
