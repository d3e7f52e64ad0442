// The network for one image alone (kernels/single_image.h), in evaluation.

#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "network/layers.h"
#include "network/memory_plan.h"

namespace under20k {

// Bytes that a SingleImageNetwork of these settings will allocate.
ptrdiff_t single_image_bytes(const NetworkSettings& settings, const Kernels& kernels);

class SingleImageNetwork {
public:
    SingleImageNetwork(const NetworkSettings& settings, const Kernels& kernels);

    // Take over the weights, BatchNorm's running statistics folded into them.
    void pack(Span<const float> weights);

    // `out` is 10 logits.
    void logits(const uint8_t* image, Span<float> out);

    struct LayerState {
        LayerSettings settings;
        ImageConvolution conv;  // without pooling, straight to where the next layer reads
        ImageMap out;           // the block's output, after pooling
        Floats packed;
        Floats input;  // in a frame that stays zero
        Floats z;      // values to be pooled or averaged; of the last layer, the logits
    };

private:
    const Kernels& kernels_;
    ptrdiff_t averaged_;  // the layer whose output is averaged
    std::vector<LayerState> layers_;
};

}  // namespace under20k
