#pragma once

// Synthetic hospitals: procedural chest phantoms with known opacities, for demonstrations and
// tests.
//
// They look like frontal radiographs and are none: no patient, no anatomy beyond ellipses. A model
// that scores well on them has learnt to find drawn blobs and nothing about disease.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "client/preprocess/image.h"
#include "common/base/status.h"

namespace consilium {

// What differs between hospitals: detector, protocol, patients.
struct SynthStyle {
  int width = 256;
  int height = 256;
  double gamma = 1;     // of the detector's curve
  double contrast = 1;  // about mid-grey
  double noise = 0.02;  // standard deviation, of full scale
  double blur = 0;      // Gaussian, pixels
  std::string marker;   // burned into a corner; empty: none
  // Share of images of normal, pneumonia and covid.
  std::array<double, 3> balance = {1.0 / 3, 1.0 / 3, 1.0 / 3};
};

// The labels, in the order of SynthStyle::balance.
inline constexpr std::array<const char*, 3> kSynthLabels = {"normal", "pneumonia", "covid"};

// Hospital number `site`: its neighbours have another contrast, noise, size and class balance, and
// most another marker or none. The same number gives the same style.
SynthStyle StyleOfSite(int site);

struct Phantom {
  Image image;
  Image lungs;      // 0 or 65535
  Image opacities;  // where the drawn disease is; 0 or 65535
};

// Draws one phantom of the label (an index into kSynthLabels). normal: clear lungs. pneumonia: one
// dense opacity that fills part of one lobe. covid: several faint opacities, in both lungs, toward
// the edge and the base.
Phantom DrawPhantom(const SynthStyle& style, int label, Random& random);

// Writes `images` phantoms of one to three a patient into the folder: images/, masks/lungs/,
// masks/opacities/, manifest.csv (path, label, patient_id) and a README that says what they are.
// ALREADY_EXISTS, with nothing written, where the folder has a manifest.
Status WriteSynthCohort(const std::filesystem::path& folder, int site, int images,
                        std::uint64_t seed, const std::stop_token& stop,
                        const std::function<void(int done)>& on_image = {});

}  // namespace consilium
