// The network for one image alone (one_image.h), in evaluation.

#pragma once

#include <vector>

#include "kernels.h"
#include "memory.h"
#include "network.h"

namespace under20k {

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
        ImageConvolution conv;
        Floats packed;
        Floats input;  // its frame stays zero
        Floats z;      // what is pooled or averaged before it goes on
        std::vector<float> factors, bias;
    };

    const Kernels& kernels_;
    bool pool_first_;
    std::vector<Stage> stages_;
};

}  // namespace under20k
