#pragma once

// Training of a network on several devices at once: a replica each, which are one at every step.

#include <memory>
#include <vector>

#include "client/train/trainer.h"

namespace consilium {

// As Train, each step on a batch that is shared out among as many replicas as there are sources, of
// which source i gives part i of every batch (see LoaderOptions::parts). On CUDA replica i is on
// GPU i, on a CPU they share its threads. A step is that of the whole batch, but for batch norm and
// mixup, which see a part at a time, and for the extents of a unet, of which a part's mean counts
// with the part's images; the network gets the mean of the replicas' statistics. On a CPU a network
// with dropout does not give the same weights again. A checkpoint has the first replica's
// statistics alone. FAILED_PRECONDITION where there are fewer GPUs; see Peers::Join.
StatusOr<TrainReport> TrainReplicas(Network& network,
                                    const std::vector<std::unique_ptr<BatchSource>>& sources,
                                    const TrainOptions& options, const std::stop_token& stop,
                                    const StepCallback& on_step = {},
                                    const Checkpoints& checkpoints = {});

// How many replicas a setting asks for on a device: 0 is one on each GPU, or a single one.
int ResolveReplicas(int setting, const std::string& device);

}  // namespace consilium
