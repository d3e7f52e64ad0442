// The geometry of each layer and its convolutions.

#pragma once

#include <algorithm>
#include <vector>

#include "kernels/kernels.h"
#include "network/settings.h"

namespace under20k {

// A layer's maps: its padded input, its convolution's output, and its block's output.
struct Geometry {
    Map input, z, out;
};

// Of all layers, in order.
std::vector<Geometry> geometries(const NetworkSettings& settings);

struct LayerPlan {
    LayerSettings settings;
    Convolution forward;     // input → z
    Convolution evaluation;  // the same in fp32
    Convolution backward;    // z's gradient → the input's gradient
    Map out;
    ptrdiff_t shared_weights;  // those that the next layer has, too

    ptrdiff_t packed_forward() const { return std::max(forward.packed, evaluation.packed); }
    // Floats that a thread needs for any of the convolutions.
    ptrdiff_t scratch() const {
        return std::max({forward.scratch, forward.gradient_scratch, evaluation.scratch, backward.scratch});
    }
};

std::vector<LayerPlan> plan_layers(const NetworkSettings& settings, const Kernels& kernels);

}  // namespace under20k
