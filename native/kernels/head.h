// The end of the network for one group: global average pooling, softmax, loss and its gradient.

#pragma once

#include <cmath>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// `averages` is a vector a channel.
inline void global_average(const Map& map, Span<const float> values, Span<float> averages) {
    const Vec* in = vectors(values, map.size());
    Vec* out = vectors(averages, map.channels);
    const float pixel_weight = 1.0f / static_cast<float>(map.height * map.width);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        Vec sum{};
        for (ptrdiff_t y = 0; y < map.height; ++y) {
            const Vec* row = in + map.at(c, y, 0);
            Vec row_sum{};
            for (ptrdiff_t x = 0; x < map.width; ++x) row_sum += row[x];
            sum += row_sum;
        }
        out[c] = sum * pixel_weight;
    }
}

inline void global_average_gradient(const Map& map, Span<const float> averages_gradient,
                                    Span<float> gradient) {
    const Vec* in = vectors(averages_gradient, map.channels);
    Vec* out = vectors(gradient, map.size());
    const float pixel_weight = 1.0f / static_cast<float>(map.height * map.width);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        const Vec value = in[c] * pixel_weight;
        for (ptrdiff_t y = 0; y < map.height; ++y) {
            Vec* row = out + map.at(c, y, 0);
            for (ptrdiff_t x = 0; x < map.width; ++x) row[x] = value;
        }
    }
}

// The last convolution's output z → logits, [image][CLASSES] for as many images as `out` has room for.
inline void logits(const Map& map, Span<const float> z, Span<float> out) {
    Vec averages[CLASSES];
    global_average(map, z, floats(averages));
    const ptrdiff_t images = out.size / CLASSES;
    for (ptrdiff_t lane = 0; lane < images; ++lane)
        for (int k = 0; k < CLASSES; ++k) out[lane * CLASSES + k] = averages[k][lane];
}

// log softmax(score / temperature).
inline void log_softmax(const float* score, double temperature, double (&logs)[CLASSES]) {
    float largest = score[0];
    for (int k = 1; k < CLASSES; ++k) largest = score[k] > largest ? score[k] : largest;
    double total = 0;
    for (int k = 0; k < CLASSES; ++k) {
        logs[k] = (static_cast<double>(score[k]) - static_cast<double>(largest)) / temperature;
        total += std::exp(logs[k]);
    }
    for (int k = 0; k < CLASSES; ++k) logs[k] -= std::log(total);
}

// Add `weight` times one teacher's softmax to the soft targets, both [image][CLASSES].
inline void add_soft_targets(Span<const float> logits, double temperature, double weight,
                             Span<double> targets) {
    UNDER20K_ASSERT(targets.size >= logits.size);
    for (ptrdiff_t first = 0; first < logits.size; first += CLASSES) {
        double logs[CLASSES];
        log_softmax(logits.data + first, temperature, logs);
        for (int k = 0; k < CLASSES; ++k) targets[first + k] += weight * std::exp(logs[k]);
    }
}

// Mix the distillation loss into an image's loss and its slope in each logit: T² times the divergence of the
// softmax at temperature T from the soft targets.
inline void distillation_loss(const float* score, const SoftTargets& soft, const double* targets,
                              double& loss, double (&slope)[CLASSES]) {
    const double temperature = soft.temperature, fraction = soft.fraction;
    double logs[CLASSES], divergence = 0;
    log_softmax(score, temperature, logs);
    for (int k = 0; k < CLASSES; ++k) {
        if (targets[k] > 0) divergence += targets[k] * (std::log(targets[k]) - logs[k]);
        slope[k] = (1 - fraction) * slope[k] + fraction * temperature * (std::exp(logs[k]) - targets[k]);
    }
    loss = (1 - fraction) * loss + fraction * temperature * temperature * divergence;
}

// The group's summed loss; its gradient times `image_weight` is written over z. `labels` has an entry for
// each valid lane. `bias_gradient` is empty for a convolution without bias.
inline Loss loss(const Map& map, Span<float> z, Span<const uint8_t> labels, const SoftTargets& soft,
                 float smoothing, float image_weight, Span<float> bias_gradient) {
    UNDER20K_ASSERT(labels.size <= LANES);
    float scores[LANES * CLASSES];
    logits(map, z, {scores, labels.size * CLASSES});
    Vec gradient[CLASSES] = {};
    Loss result{.loss = 0, .correct = 0};
    for (ptrdiff_t lane = 0; lane < labels.size; ++lane) {
        const float* score = scores + lane * CLASSES;
        int best = 0;
        for (int k = 1; k < CLASSES; ++k)
            if (score[k] > score[best]) best = k;
        double exponential[CLASSES], total = 0, below = 0;  // below: the mean distance from the largest score
        for (int k = 0; k < CLASSES; ++k) {
            const double distance = static_cast<double>(score[k]) - static_cast<double>(score[best]);
            exponential[k] = std::exp(distance);
            total += exponential[k];
            below += distance / CLASSES;
        }
        const int label = labels[lane];
        const double own = static_cast<double>(score[label]) - static_cast<double>(score[best]);
        const double keep = 1 - static_cast<double>(smoothing);
        double image_loss = std::log(total) - keep * own - static_cast<double>(smoothing) * below;
        result.correct += best == label;
        double slope[CLASSES];
        for (int k = 0; k < CLASSES; ++k) {
            const double target = (k == label ? keep : 0) + static_cast<double>(smoothing) / CLASSES;
            slope[k] = exponential[k] / total - target;
        }
        if (soft.probabilities) {
            const Span<const double> targets = soft.probabilities.part(lane * CLASSES, CLASSES);
            distillation_loss(score, soft, targets.data, image_loss, slope);
        }
        result.loss += image_loss;
        for (int k = 0; k < CLASSES; ++k)
            gradient[k][lane] = static_cast<float>(slope[k] * static_cast<double>(image_weight));
    }
    if (bias_gradient)
        for (int k = 0; k < CLASSES; ++k) bias_gradient[k] = sum_lanes(gradient[k]);
    global_average_gradient(map, floats(gradient), z);
    return result;
}

}  // namespace under20k::UNDER20K_ISA
