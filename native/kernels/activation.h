// BatchNorm, ReLU, max pooling and dropout of one group, forward and backward, fused into one pass each.
//
// z is the convolution's output and y = scale·z + shift is BatchNorm's; nothing else is stored: the way back
// computes y again, which is cheaper than reading it.

#pragma once

#include "dropout.h"
#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

// z → the block's output.
inline void activate(const Activation& block, const float* z, float* out, uint32_t layer_key, int64_t position) {
    const Map &from = block.z, &to = block.out;
    const bool dropout = block.dropout_threshold > 0;
    const UintVec keys = dropout ? dropout_keys(layer_key, position) : UintVec{};
    int element = 0;
    for (int c = 0; c < to.channels; ++c) {
        const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
        for (int y = 0; y < to.height; ++y) {
            const Vec* __restrict in = reinterpret_cast<const Vec*>(z) + from.at(c, block.pool ? 2 * y : y, 0);
            Vec* __restrict row = reinterpret_cast<Vec*>(out) + to.at(c, y, 0);
            if (block.pool) {
                const Vec* __restrict next = in + from.row();
                for (int x = 0; x < to.width; ++x) {
                    const Vec upper = max(scale * in[2 * x] + shift, scale * in[2 * x + 1] + shift);
                    const Vec lower = max(scale * next[2 * x] + shift, scale * next[2 * x + 1] + shift);
                    row[x] = relu(max(upper, lower));
                }
            } else {
                for (int x = 0; x < to.width; ++x) row[x] = relu(scale * in[x] + shift);
            }
            if (dropout)
                for (int x = 0; x < to.width; ++x) row[x] = drop(block, keys, element++, row[x]);
        }
    }
}

// What BatchNorm counts of a convolution's output, from its stored values.
inline void map_statistics(const Map& z, const float* values, const Statistics& statistics, int live) {
    const IntVec mask = live_lanes(live);
    for (int c = 0; c < z.channels; ++c) {
        const Vec pivot = broadcast(statistics.pivot[c]);
        Vec sum{}, squares{};
        for (int y = 0; y < z.height; ++y) {
            const Vec* row = reinterpret_cast<const Vec*>(values) + z.at(c, y, 0);
            Vec row_sum{}, row_squares{};
            for (int x = 0; x < z.width; ++x) {
                const Vec deviation = row[x] - pivot;
                row_sum += deviation;
                row_squares += deviation * deviation;
            }
            sum += row_sum;
            squares += row_squares;
        }
        statistics.sums[c] = sum_lanes(where(mask, sum));
        statistics.sums[z.channels + c] = sum_lanes(where(mask, squares));
    }
}

// The gradient of y at the four pixels of a pooling window: all of it at the first maximum, if that is
// positive, for ReLU. The first, because ties are common (a constant background) and PyTorch takes it.
struct Window {
    Vec gradient[4];
};

UNDER20K_INLINE Window unpool(const Vec (&y)[4], Vec gradient) {
    const Vec largest = max(max(y[0], y[1]), max(y[2], y[3]));
    IntVec open = largest > 0;
    Window window;
    for (int i = 0; i < 4; ++i) {
        const IntVec here = open & (y[i] == largest);
        window.gradient[i] = where(here, gradient);
        open &= ~here;
    }
    return window;
}

// The sums over the group of y's gradient and of its product with the normalised value, in each channel,
// [2][channels]: the gradients of BatchNorm's shift and scale (or the convolution's bias). Applies dropout's
// mask to `out_gradient` on the way, so that the second pass need not hash again.
inline void activation_sums(const Activation& block, const ActivationGradient& back, const float* z,
                            float* out_gradient, uint32_t layer_key, int64_t position, float* sums) {
    const Map &from = block.z, &to = block.out;
    const bool dropout = block.dropout_threshold > 0;
    const UintVec keys = dropout ? dropout_keys(layer_key, position) : UintVec{};
    int element = 0;
    for (int c = 0; c < to.channels; ++c) {
        const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
        const Vec inverse_sd = broadcast(back.inverse_sd[c]), offset = broadcast(back.offset[c]);
        Vec sum{}, product{};
        for (int y = 0; y < to.height; ++y) {
            // Row by row: a background adds the same number again and again, always rounded the same way.
            Vec row_sum{}, row_product{};
            const Vec* __restrict in = reinterpret_cast<const Vec*>(z) + from.at(c, block.pool ? 2 * y : y, 0);
            Vec* __restrict gradient = reinterpret_cast<Vec*>(out_gradient) + to.at(c, y, 0);
            if (dropout)
                for (int x = 0; x < to.width; ++x) gradient[x] = drop(block, keys, element++, gradient[x]);
            if (block.pool) {
                const Vec* __restrict next = in + from.row();
                for (int x = 0; x < to.width; ++x) {
                    const Vec value[4] = {in[2 * x], in[2 * x + 1], next[2 * x], next[2 * x + 1]};
                    Vec activated[4];
                    for (int i = 0; i < 4; ++i) activated[i] = scale * value[i] + shift;
                    const Window window = unpool(activated, gradient[x]);
                    for (int i = 0; i < 4; ++i) {
                        row_sum += window.gradient[i];
                        row_product += window.gradient[i] * (inverse_sd * value[i] + offset);
                    }
                }
            } else {
                for (int x = 0; x < to.width; ++x) {
                    const Vec value = in[x];
                    const Vec passed = where(scale * value + shift > 0, gradient[x]);
                    row_sum += passed;
                    row_product += passed * (inverse_sd * value + offset);
                }
            }
            sum += row_sum;
            product += row_product;
        }
        // Dead lanes have no gradient: the loss gives them none, and activation_gradient keeps it so.
        sums[c] = sum_lanes(sum);
        sums[to.channels + c] = sum_lanes(product);
    }
}

// z's gradient, written over z.
inline void activation_gradient(const Activation& block, const ActivationGradient& back, float* z,
                                const float* out_gradient, int live) {
    const Map &from = block.z, &to = block.out;
    const IntVec mask = live_lanes(live);
    for (int c = 0; c < from.channels; ++c) {
        const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
        const Vec a = broadcast(back.a[c]), b = broadcast(back.b[c]), d = broadcast(back.c[c]);
        if (!block.pool) {
            for (int y = 0; y < from.height; ++y) {
                Vec* __restrict row = reinterpret_cast<Vec*>(z) + from.at(c, y, 0);
                const Vec* __restrict gradient = reinterpret_cast<const Vec*>(out_gradient) + to.at(c, y, 0);
                for (int x = 0; x < from.width; ++x) {
                    const Vec value = row[x];
                    row[x] = a * where(scale * value + shift > 0, gradient[x]) + (b * value + d);
                }
            }
        } else {
            for (int y = 0; y < to.height; ++y) {
                Vec* __restrict row = reinterpret_cast<Vec*>(z) + from.at(c, 2 * y, 0);
                Vec* __restrict next = row + from.row();
                const Vec* __restrict gradient = reinterpret_cast<const Vec*>(out_gradient) + to.at(c, y, 0);
                for (int x = 0; x < to.width; ++x) {
                    const Vec value[4] = {row[2 * x], row[2 * x + 1], next[2 * x], next[2 * x + 1]};
                    Vec activated[4];
                    for (int i = 0; i < 4; ++i) activated[i] = scale * value[i] + shift;
                    const Window window = unpool(activated, gradient[x]);
                    row[2 * x] = a * window.gradient[0] + (b * value[0] + d);
                    row[2 * x + 1] = a * window.gradient[1] + (b * value[1] + d);
                    next[2 * x] = a * window.gradient[2] + (b * value[2] + d);
                    next[2 * x + 1] = a * window.gradient[3] + (b * value[3] + d);
                }
                // Of an odd width or height, pooling leaves out the last column or row.
                for (int x = 2 * to.width; x < from.width; ++x) {
                    row[x] = b * row[x] + d;
                    next[x] = b * next[x] + d;
                }
            }
            for (int y = 2 * to.height; y < from.height; ++y) {
                Vec* row = reinterpret_cast<Vec*>(z) + from.at(c, y, 0);
                for (int x = 0; x < from.width; ++x) row[x] = b * row[x] + d;
            }
        }
        if (live < LANES)  // the short last batch: what its empty lanes hold must reach no sum
            for (int y = 0; y < from.height; ++y) {
                Vec* row = reinterpret_cast<Vec*>(z) + from.at(c, y, 0);
                for (int x = 0; x < from.width; ++x) row[x] = where(mask, row[x]);
            }
    }
}

}  // namespace under20k::UNDER20K_ISA
