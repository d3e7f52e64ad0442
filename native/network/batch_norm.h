// BatchNorm of one layer: from the sums that the kernels count to the factors that they apply, in double
// precision. A layer without BatchNorm has the factors of the identity.

#pragma once

#include "kernels/kernels.h"
#include "network/memory_plan.h"
#include "network/settings.h"

namespace under20k {

// Views of one float a channel.
struct ChannelValues {
    Span<float> initial;                        // where the convolution's sums start: its bias
    Span<float> pivot;                          // what squares are counted about
    Span<float> scale, shift;                   // BatchNorm's output is scale·z + shift
    Span<float> inverse_sd, normalised_offset;  // the normalised value is inverse_sd·z + normalised_offset
    Span<float> grad_scale, z_scale, offset;    // backward: z̄ = grad_scale·ȳ + z_scale·z + offset

    ChannelValues(Span<float> memory, ptrdiff_t channels);

    ActivationGradient activation_gradient() const {
        return {.inverse_sd = inverse_sd,
                .normalised_offset = normalised_offset,
                .grad_scale = grad_scale,
                .z_scale = z_scale,
                .offset = offset};
    }
};

// A layer's sums of a step, [group][2][channels], over `count` values of each channel.
struct StepSums {
    Span<const float> values;
    ptrdiff_t groups;
    double count;
};

// Set what the convolution starts from and its pivots, before a step.
void start_step(const LayerSettings& layer, Span<const float> weights, const ChannelValues& channels);

// Move the pivots that lie so far from the mean that the sums have lost the variance. Returns whether any
// does; the statistics have then to be counted again.
bool move_far_pivots(const StepSums& sums, const ChannelValues& channels);

// Compute scale and shift from the sums, and each channel's mean and variance, [2][channels].
void normalise(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels,
               Span<const float> weights, Span<double> moments);

// Update the running statistics in `weights` by the moments of `count` values.
void track(const LayerSettings& layer, Span<const double> moments, double count, Span<float> weights);

// Both.
void normalise(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels,
               Span<float> weights);

// Compute the factors of the backward pass from the sums of y's gradient and of its product with the
// normalised value.
void gradient_factors(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels);

// Fold the running statistics into the convolution: each output channel's weights times `factors`, plus
// `bias`.
void fold(const LayerSettings& layer, Span<const float> weights, Span<float> factors, Span<float> bias);

}  // namespace under20k
