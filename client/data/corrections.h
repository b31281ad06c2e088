#pragma once

// What readers say of pictures that a model was used on, in corrections/ of a hospital's folder: a
// picture, the label that a reader gives it, and what became of that. Only what somebody accepts is
// ever trained on.

#include <filesystem>
#include <string>
#include <vector>

#include "client/data/manifest.h"
#include "common/base/clock.h"
#include "common/base/status.h"

namespace consilium {

enum class CorrectionState : std::uint8_t { kPending, kAccepted, kRejected };
std::string_view CorrectionStateName(CorrectionState state);

struct Correction {
  std::string id;                 // of the picture, label and reader: the same ones are one entry
  std::filesystem::path picture;  // a copy, readable by its owner alone
  std::string label;
  std::string reader;
  std::string model_digest;
  std::string predicted;  // by that model
  TimePoint made;
  CorrectionState state = CorrectionState::kPending;
  std::string by;     // who decided; empty while pending
  TimePoint decided;  // 1970: not yet
};

// Thread-safe: its state is the file system's.
class CorrectionBook {
 public:
  explicit CorrectionBook(const std::filesystem::path& folder) : folder_(folder / "corrections") {}

  // Writes one down as pending, unless it is there; gives what stands there. `picture` is what a
  // file that can be read holds. INVALID_ARGUMENT for a reader's name that is empty, longer than
  // 100 bytes or not UTF-8; RESOURCE_EXHAUSTED where kMostPending wait for a decision.
  StatusOr<Correction> Note(Correction correction, const std::string& picture, TimePoint now) const;
  // NOT_FOUND where there is none of this id.
  Status Decide(const std::string& id, CorrectionState state, const std::string& by,
                TimePoint now) const;
  // Oldest first; none where there is no folder yet. DATA_LOSS names a file that cannot be read.
  StatusOr<std::vector<Correction>> List() const;

  static constexpr std::size_t kMostPending = 10'000;

 private:
  std::filesystem::path PathOf(const std::string& id) const { return folder_ / (id + ".json"); }
  StatusOr<Correction> Read(const std::filesystem::path& path) const;
  Status Write(const Correction& correction) const;

  const std::filesystem::path folder_;
};

// Those that were accepted, as training examples.
Manifest AcceptedExamples(const std::vector<Correction>& corrections);

}  // namespace consilium
