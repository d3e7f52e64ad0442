// SGD as torch.optim.SGD does it, and the moving average of the weights, over a range of the parameters.

#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// `momentum` is empty for SGD without it.
inline void update(const Optimiser& sgd, const PartialGradients& gradients, float learning_rate,
                   Span<float> weights, Span<float> momentum) {
    UNDER20K_ASSERT(!momentum || momentum.size >= weights.size);
    UNDER20K_ASSERT(gradients.values.size >= (gradients.groups - 1) * gradients.row + weights.size);
    const float* partial = gradients.values.data;
    for (ptrdiff_t i = 0; i < weights.size; ++i) {
        float gradient = 0;
        // Group by group in order, whichever thread computed it: the same bits for any number of threads.
        for (ptrdiff_t group = 0; group < gradients.groups; ++group)
            gradient += partial[group * gradients.row + i];
        gradient += sgd.weight_decay * weights.data[i];
        float step = gradient;
        if (momentum) {
            momentum.data[i] = sgd.momentum * momentum.data[i] + gradient;
            step = sgd.nesterov ? gradient + sgd.momentum * momentum.data[i] : momentum.data[i];
        }
        weights.data[i] -= learning_rate * step;
    }
}

inline void average(float decay, Span<const float> weights, Span<float> average) {
    UNDER20K_ASSERT(average.size >= weights.size);
    for (ptrdiff_t i = 0; i < weights.size; ++i)
        average.data[i] = decay * average.data[i] + (1 - decay) * weights.data[i];
}

}  // namespace under20k::UNDER20K_ISA
