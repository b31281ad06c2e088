#include "client/infer/picture_batch.h"

namespace consilium {

Batch ToBatch(const std::vector<Image>& pictures, const ModelSpec& spec,
              const Augmentation& augmentation, Random random) {
  Batch batch{.count = static_cast<int>(pictures.size()),
              .channels = spec.channels,
              .height = spec.input_size,
              .width = spec.input_size};
  const auto area = static_cast<std::size_t>(spec.input_size) *
                    static_cast<std::size_t>(spec.input_size * spec.channels);
  batch.pixels.resize(pictures.size() * area);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    Random of_picture = random;  // whichever pictures are beside it
    ToNetworkInput(pictures[i].pixels, spec.input_size, {spec.mean, spec.stddev}, augmentation,
                   of_picture, spec.channels, std::span(batch.pixels).subspan(i * area, area));
  }
  return batch;
}

}  // namespace consilium
