// The network for one image alone (one_image.h), in evaluation.

#pragma once

#include <vector>

#include "kernels.h"
#include "memory.h"
#include "network.h"

namespace under20k {

// Bytes that an ImageNetwork of these settings asks for.
double image_network_bytes(const Settings& settings, const Kernels& kernels);

class ImageNetwork {
public:
    ImageNetwork(const Settings& settings, const Kernels& kernels);

    // Takes over the weights, BatchNorm's running statistics folded into them.
    void pack(const float* weights);

    // `out` is 10 logits.
    void logits(const uint8_t* image, float* out);

private:
    struct Stage {
        Layer layer;
        ImageConvolution conv;  // where nothing else follows it, straight to where the next one reads
        ImageMap out;           // the block's, after pooling
        Floats packed;
        Floats input;  // its frame stays zero
        Floats z;      // what is pooled or averaged before it goes on, and at the end the logits
    };

    const Kernels& kernels_;
    size_t averaged_;  // the stage whose maps global average pooling takes
    std::vector<Stage> stages_;
};

}  // namespace under20k
