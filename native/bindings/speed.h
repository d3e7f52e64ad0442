// Time the processor and single kernels, for `python -m benchmarks`. Training uses none of this.

#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace under20k {

enum class Pass : uint8_t { forward, input_gradient, weight_gradient };

struct Speed {
    double work;  // multiply-adds of single floats, or images
    double time_s;
};

// Multiply-adds from register to register on one thread.
Speed time_multiply_adds(const Kernels& kernels, int64_t rounds);

// A convolution of square maps.
struct ConvolutionShape {
    ptrdiff_t kernel, padding, inputs, outputs;
    ptrdiff_t side;  // of the input

    // Throws std::invalid_argument unless the kernel is 1 or 3 and fits the map.
    void check() const;
    Map input() const;  // framed for the convolution
    Map z() const;      // framed for the backward pass
};

// One convolution of one group of images, `repetitions` times on one thread: what it touches stays in the
// caches as far as it fits. `work` counts images.
Speed time_convolution(const Kernels& kernels, Pass pass, const ConvolutionShape& shape, int64_t repetitions);

}  // namespace under20k
