#include "network/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace under20k {

namespace {

constexpr double EPSILON = 1e-5;  // PyTorch's default
constexpr double RUNNING_MOMENTUM = 0.1;
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
               Span<float> weights) {
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
        const double inverse_sd = 1 / std::sqrt(variance + EPSILON);
        const double scale = static_cast<double>(weights[layer.scale + c]) * inverse_sd;
        channels.scale[c] = static_cast<float>(scale);
        channels.shift[c] = static_cast<float>(static_cast<double>(weights[layer.shift + c]) - mean * scale);
        channels.inverse_sd[c] = static_cast<float>(inverse_sd);
        channels.normalised_offset[c] = static_cast<float>(-mean * inverse_sd);

        const double bias = layer.has_bias() ? static_cast<double>(weights[layer.bias + c]) : 0;
        const auto move = [](float& running, double value) {
            running = static_cast<float>((1 - RUNNING_MOMENTUM) * static_cast<double>(running) +
                                         RUNNING_MOMENTUM * value);
        };
        move(weights[layer.running_mean + c], mean + bias);
        move(weights[layer.running_variance + c], variance * sums.count / (sums.count - 1));
    }
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
        double constant = layer.has_bias() ? static_cast<double>(weights[layer.bias + c]) : 0, factor = 1;
        if (layer.batch_norm()) {
            factor = static_cast<double>(weights[layer.scale + c]) /
                     std::sqrt(static_cast<double>(weights[layer.running_variance + c]) + EPSILON);
            constant = (constant - static_cast<double>(weights[layer.running_mean + c])) * factor +
                       static_cast<double>(weights[layer.shift + c]);
        }
        factors[c] = static_cast<float>(factor);
        bias[c] = static_cast<float>(constant);
    }
}

}  // namespace under20k
