// Times of the processor and of single kernels, for `python -m benchmarks`. Training uses none of this.

#pragma once

#include <cstdint>

#include "kernels.h"

namespace under20k {

enum class Pass { forward, input_gradient, weight_gradient };

struct Speed {
    double work;     // multiply-adds of single floats, or images
    double time_s;
};

// Multiply-adds from register to register on one thread.
Speed time_multiply_adds(const Kernels& kernels, int64_t rounds);

// One convolution of one group of images, so many times, on one thread: all that it touches stays in the caches
// as far as it fits. `work` counts images. Maps are square, `side` is that of the input.
Speed time_convolution(const Kernels& kernels, Pass pass, int kernel, int padding, int inputs, int outputs, int side,
                       int64_t repetitions);

}  // namespace under20k
