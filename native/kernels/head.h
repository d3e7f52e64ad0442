// The end of the network for one group: global average pooling, softmax, loss and its gradient.

#pragma once

#include <cmath>

#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

// Maps → one average a channel.
inline void global_average(const Map& map, const float* maps, float* averages) {
    const float share = 1.0f / static_cast<float>(map.height * map.width);
    for (int c = 0; c < map.channels; ++c) {
        Vec sum{};
        for (int y = 0; y < map.height; ++y) {
            const Vec* row = reinterpret_cast<const Vec*>(maps) + map.at(c, y, 0);
            Vec row_sum{};
            for (int x = 0; x < map.width; ++x) row_sum += row[x];
            sum += row_sum;
        }
        reinterpret_cast<Vec*>(averages)[c] = sum * share;
    }
}

inline void global_average_gradient(const Map& map, const float* averages_gradient, float* maps_gradient) {
    const float share = 1.0f / static_cast<float>(map.height * map.width);
    for (int c = 0; c < map.channels; ++c) {
        const Vec gradient = reinterpret_cast<const Vec*>(averages_gradient)[c] * share;
        for (int y = 0; y < map.height; ++y) {
            Vec* row = reinterpret_cast<Vec*>(maps_gradient) + map.at(c, y, 0);
            for (int x = 0; x < map.width; ++x) row[x] = gradient;
        }
    }
}

// The last convolution's maps → `live` rows of 10 logits.
inline void logits(const Map& map, const float* z, int live, float* out) {
    Vec averages[CLASSES];
    global_average(map, z, reinterpret_cast<float*>(averages));
    for (int lane = 0; lane < live; ++lane)
        for (int k = 0; k < CLASSES; ++k) out[lane * CLASSES + k] = averages[k][lane];
}

// The logarithm of the softmax of `score` over the temperature.
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

// Adds one teacher's answers to those of all, by `share`: its softmax of `live` rows of 10 logits.
inline void answer(const float* logits, int live, double temperature, double share, double* answers) {
    for (int lane = 0; lane < live; ++lane) {
        double logs[CLASSES];
        log_softmax(logits + lane * CLASSES, temperature, logs);
        for (int k = 0; k < CLASSES; ++k) answers[lane * CLASSES + k] += share * std::exp(logs[k]);
    }
}

// An image's loss and its slope in each score, by the label alone, with the teachers' share: T² times the divergence
// of the softmax at temperature T from their answers.
inline void learn(const float* score, const Teaching& teaching, const double* answers, double& loss,
                  double (&slope)[CLASSES]) {
    const double temperature = teaching.temperature, share = teaching.share;
    double logs[CLASSES], divergence = 0;
    log_softmax(score, temperature, logs);
    for (int k = 0; k < CLASSES; ++k) {
        if (answers[k] > 0) divergence += answers[k] * (std::log(answers[k]) - logs[k]);
        slope[k] = (1 - share) * slope[k] + share * temperature * (std::exp(logs[k]) - answers[k]);
    }
    loss = (1 - share) * loss + share * temperature * temperature * divergence;
}

// The group's summed loss and its gradient, written over z. `share` is one over the batch's images.
inline Loss loss(const Map& map, float* z, const uint8_t* labels, const Teaching& teaching, int live, float smoothing,
                 float share, float* bias_gradient) {
    float scores[LANES * CLASSES];
    logits(map, z, live, scores);
    Vec gradient[CLASSES] = {};
    Loss result{0, 0};
    for (int lane = 0; lane < live; ++lane) {
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
        if (teaching.answers) learn(score, teaching, teaching.answers + lane * CLASSES, image_loss, slope);
        result.loss += image_loss;
        for (int k = 0; k < CLASSES; ++k) gradient[k][lane] = static_cast<float>(slope[k] * static_cast<double>(share));
    }
    if (bias_gradient)
        for (int k = 0; k < CLASSES; ++k) bias_gradient[k] = sum_lanes(gradient[k]);
    global_average_gradient(map, reinterpret_cast<const float*>(gradient), z);
    return result;
}

}  // namespace under20k::UNDER20K_ISA
