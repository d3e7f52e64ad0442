#include "network/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace under20k {

namespace {

constexpr double MAX_PIVOT_DISTANCE_SD = 8;  // from a pivot to the mean

// Both sums of one channel, over all groups.
std::pair<double, double> channel_sums(const StepSums& sums, ptrdiff_t channels, ptrdiff_t channel) {
    double first = 0, second = 0;
    for (ptrdiff_t group = 0; group < sums.groups; ++group) {
        const Span<const float> own = sums.values.part(group * 2 * channels, 2 * channels);
        first += static_cast<double>(own[channel]);
        second += static_cast<double>(own[channels + channel]);
    }
    return {first, second};
}

// Of one channel; `absent` where there is no such tensor.
double parameter(Span<const float> weights, ptrdiff_t offset, ptrdiff_t channel, double absent) {
    return offset < 0 ? absent : static_cast<double>(weights[offset + channel]);
}

void fill(Span<float> values, float value) { std::fill_n(values.data, values.size, value); }

}  // namespace

ChannelValues::ChannelValues(Span<float> memory, ptrdiff_t channels) {
    ptrdiff_t next = 0;
    for (Span<float>* view : {&initial, &pivot, &scale, &shift, &inverse_sd, &normalised_offset, &grad_scale,
                              &z_scale, &offset}) {
        *view = memory.part(next, channels);
        next += channels;
    }
}

void start_step(const LayerSettings& layer, Span<const float> weights, const ChannelValues& channels) {
    for (ptrdiff_t c = 0; c < layer.channels; ++c) {
        // BatchNorm cancels any bias, so it is left out here and added to the running mean.
        const float bias = layer.has_bias() ? weights[layer.bias + c] : 0.0f;
        channels.initial[c] = layer.batch_norm() ? 0.0f : bias;
        // About the last mean, a variance is not lost in the square of a much larger mean.
        channels.pivot[c] = layer.batch_norm() ? weights[layer.running_mean + c] - bias : 0.0f;
    }
}

bool move_far_pivots(const StepSums& sums, const ChannelValues& channels) {
    bool moved = false;
    for (ptrdiff_t c = 0; c < channels.pivot.size; ++c) {
        const auto [sum, squares] = channel_sums(sums, channels.pivot.size, c);
        const double shifted = sum / sums.count;
        constexpr double max_squared = MAX_PIVOT_DISTANCE_SD * MAX_PIVOT_DISTANCE_SD;
        if (!(shifted * shifted > max_squared * (squares / sums.count - shifted * shifted))) continue;
        channels.pivot[c] = static_cast<float>(static_cast<double>(channels.pivot[c]) + shifted);
        moved = true;
    }
    return moved;
}

void normalise(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels,
               Span<const float> weights, Span<double> moments) {
    if (!layer.batch_norm()) {
        fill(channels.scale, 1);
        fill(channels.shift, 0);
        return;
    }
    for (ptrdiff_t c = 0; c < layer.channels; ++c) {
        const auto [sum, squares] = channel_sums(sums, layer.channels, c);
        const double shifted = sum / sums.count, mean = static_cast<double>(channels.pivot[c]) + shifted;
        // Not max(raw, 0): a NaN must stay one.
        const double raw = squares / sums.count - shifted * shifted, variance = raw < 0 ? 0 : raw;
        const double inverse_sd = 1 / std::sqrt(variance + layer.epsilon);
        const double scale = parameter(weights, layer.scale, c, 1) * inverse_sd;
        channels.scale[c] = static_cast<float>(scale);
        channels.shift[c] = static_cast<float>(parameter(weights, layer.shift, c, 0) - mean * scale);
        channels.inverse_sd[c] = static_cast<float>(inverse_sd);
        channels.normalised_offset[c] = static_cast<float>(-mean * inverse_sd);
        moments[c] = mean;
        moments[layer.channels + c] = variance;
    }
}

void track(const LayerSettings& layer, Span<const double> moments, double count, Span<float> weights) {
    if (!layer.batch_norm()) return;
    const auto move = [&](float& running, double value) {
        running =
            static_cast<float>((1 - layer.momentum) * static_cast<double>(running) + layer.momentum * value);
    };
    for (ptrdiff_t c = 0; c < layer.channels; ++c) {
        move(weights[layer.running_mean + c], moments[c] + parameter(weights, layer.bias, c, 0));
        move(weights[layer.running_variance + c], moments[layer.channels + c] * count / (count - 1));
    }
}

void normalise(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels,
               Span<float> weights) {
    std::vector<double> moments(static_cast<size_t>(2 * layer.channels));
    const Span<double> view{moments.data(), 2 * layer.channels};
    normalise(layer, sums, channels, weights, view);
    track(layer, view, sums.count, weights);
}

// z̄ = scale·(ȳ − mean(ȳ) − normalised·mean(ȳ·normalised)) as grad_scale·ȳ + z_scale·z + offset.
void gradient_factors(const LayerSettings& layer, const StepSums& sums, const ChannelValues& channels) {
    if (!layer.batch_norm()) {
        fill(channels.grad_scale, 1);
        fill(channels.z_scale, 0);
        fill(channels.offset, 0);
        return;
    }
    for (ptrdiff_t c = 0; c < layer.channels; ++c) {
        const auto [sum, product] = channel_sums(sums, layer.channels, c);
        const double scale = static_cast<double>(channels.scale[c]);
        const double slope = scale * product / sums.count;
        channels.grad_scale[c] = channels.scale[c];
        channels.z_scale[c] = static_cast<float>(-slope * static_cast<double>(channels.inverse_sd[c]));
        channels.offset[c] = static_cast<float>(-scale * sum / sums.count -
                                                slope * static_cast<double>(channels.normalised_offset[c]));
    }
}

void fold(const LayerSettings& layer, Span<const float> weights, Span<float> factors, Span<float> bias) {
    for (ptrdiff_t c = 0; c < layer.channels; ++c) {
        double constant = parameter(weights, layer.bias, c, 0), factor = 1;
        if (layer.batch_norm()) {
            factor = parameter(weights, layer.scale, c, 1) /
                     std::sqrt(static_cast<double>(weights[layer.running_variance + c]) + layer.epsilon);
            constant = (constant - static_cast<double>(weights[layer.running_mean + c])) * factor +
                       parameter(weights, layer.shift, c, 0);
        }
        factors[c] = static_cast<float>(factor);
        bias[c] = static_cast<float>(constant);
    }
}

}  // namespace under20k
