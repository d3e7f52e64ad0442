// SGD as torch.optim.SGD does it, and the moving average of the weights, over a range of the parameters.

#pragma once

#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

inline void update(const Optimiser& sgd, const PartialGradients& gradients, float learning_rate, ptrdiff_t begin,
                   ptrdiff_t end, float* weights, float* momentum) {
    for (ptrdiff_t i = begin; i < end; ++i) {
        float gradient = 0;
        // Group by group in order, whichever thread had it: the same bits for any number of threads.
        for (int group = 0; group < gradients.groups; ++group) gradient += gradients.first[group * gradients.row + i];
        gradient += sgd.weight_decay * weights[i];
        float step = gradient;
        if (momentum) {
            momentum[i] = sgd.momentum * momentum[i] + gradient;
            step = sgd.nesterov ? gradient + sgd.momentum * momentum[i] : momentum[i];
        }
        weights[i] -= learning_rate * step;
    }
}

inline void average(float decay, ptrdiff_t begin, ptrdiff_t end, const float* weights, float* average) {
    for (ptrdiff_t i = begin; i < end; ++i) average[i] = decay * average[i] + (1 - decay) * weights[i];
}

}  // namespace under20k::UNDER20K_ISA
