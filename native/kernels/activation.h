// BatchNorm, ReLU, max pooling and dropout of one group, forward and backward, fused into one pass each.
//
// z is the convolution's output and y = scale·z + shift is BatchNorm's. Only z is stored: the backward pass
// computes y again, which is cheaper than reading it.

#pragma once

#include "kernels/dropout.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// z → the block's output.
inline void activate(const Activation& block, Span<const float> z, Span<float> out, uint32_t layer_key,
                     ptrdiff_t position) {
    const Map &from = block.z, &to = block.out;
    const Vec* input = vectors(z, from.size());
    Vec* output = vectors(out, to.size());
    const bool dropout = block.dropout_threshold > 0;
    const UintVec keys = dropout ? dropout_keys(layer_key, position) : UintVec{};
    ptrdiff_t element = 0;
    for (ptrdiff_t c = 0; c < to.channels; ++c) {
        const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
        for (ptrdiff_t y = 0; y < to.height; ++y) {
            const Vec* __restrict in = input + from.at(c, block.pool ? 2 * y : y, 0);
            Vec* __restrict row = output + to.at(c, y, 0);
            if (block.pool) {
                const Vec* __restrict next = in + from.row();
                for (ptrdiff_t x = 0; x < to.width; ++x) {
                    const Vec upper = max(scale * in[2 * x] + shift, scale * in[2 * x + 1] + shift);
                    const Vec lower = max(scale * next[2 * x] + shift, scale * next[2 * x + 1] + shift);
                    row[x] = relu(max(upper, lower));
                }
            } else {
                for (ptrdiff_t x = 0; x < to.width; ++x) row[x] = relu(scale * in[x] + shift);
            }
            if (dropout)
                for (ptrdiff_t x = 0; x < to.width; ++x) row[x] = drop(block, keys, element++, row[x]);
        }
    }
}

// BatchNorm's statistics of a convolution's output, from its stored values.
inline void map_statistics(const Map& z, Span<const float> values, const Statistics& statistics) {
    const Vec* in = vectors(values, z.size());
    const IntVec mask = lane_mask(statistics.valid_lanes);
    for (ptrdiff_t c = 0; c < z.channels; ++c) {
        const Vec pivot = broadcast(statistics.pivot[c]);
        Vec sum{}, squares{};
        for (ptrdiff_t y = 0; y < z.height; ++y) {
            const Vec* row = in + z.at(c, y, 0);
            Vec row_sum{}, row_squares{};
            for (ptrdiff_t x = 0; x < z.width; ++x) {
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

// The gradient of y at the four pixels of a pooling window: all of it at the first maximum if that is
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

// In each channel, the sums over the group of y's gradient and of its product with the normalised value,
// [2][channels]: the gradients of BatchNorm's shift and scale (or of the convolution's bias). Applies
// dropout's mask to `out_gradient`, so that the second pass need not hash again.
inline void activation_sums(const Activation& block, const ActivationGradient& back, Span<const float> z,
                            Span<float> out_gradient, uint32_t layer_key, ptrdiff_t position,
                            Span<float> sums) {
    const Map &from = block.z, &to = block.out;
    const Vec* input = vectors(z, from.size());
    Vec* gradients = vectors(out_gradient, to.size());
    const bool dropout = block.dropout_threshold > 0;
    const UintVec keys = dropout ? dropout_keys(layer_key, position) : UintVec{};
    ptrdiff_t element = 0;
    for (ptrdiff_t c = 0; c < to.channels; ++c) {
        const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
        const Vec inverse_sd = broadcast(back.inverse_sd[c]), offset = broadcast(back.normalised_offset[c]);
        Vec sum{}, product{};
        for (ptrdiff_t y = 0; y < to.height; ++y) {
            // Row by row: a constant background adds the same number again and again, rounded the same way.
            Vec row_sum{}, row_product{};
            const Vec* __restrict in = input + from.at(c, block.pool ? 2 * y : y, 0);
            Vec* __restrict gradient = gradients + to.at(c, y, 0);
            if (dropout)
                for (ptrdiff_t x = 0; x < to.width; ++x)
                    gradient[x] = drop(block, keys, element++, gradient[x]);
            if (block.pool) {
                const Vec* __restrict next = in + from.row();
                for (ptrdiff_t x = 0; x < to.width; ++x) {
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
                for (ptrdiff_t x = 0; x < to.width; ++x) {
                    const Vec value = in[x];
                    const Vec passed = where(scale * value + shift > 0, gradient[x]);
                    row_sum += passed;
                    row_product += passed * (inverse_sd * value + offset);
                }
            }
            sum += row_sum;
            product += row_product;
        }
        // Invalid lanes have no gradient: the loss gives them none, and activation_gradient keeps it so.
        sums[c] = sum_lanes(sum);
        sums[to.channels + c] = sum_lanes(product);
    }
}

// z's gradient of a block without pooling, in one channel.
UNDER20K_INLINE void plain_gradient(const Activation& block, const ActivationGradient& back, ptrdiff_t c,
                                    Vec* z, const Vec* out_gradient) {
    const Map &from = block.z, &to = block.out;
    const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
    const Vec grad_scale = broadcast(back.grad_scale[c]), z_scale = broadcast(back.z_scale[c]);
    const Vec offset = broadcast(back.offset[c]);
    for (ptrdiff_t y = 0; y < from.height; ++y) {
        Vec* __restrict row = z + from.at(c, y, 0);
        const Vec* __restrict gradient = out_gradient + to.at(c, y, 0);
        for (ptrdiff_t x = 0; x < from.width; ++x) {
            const Vec value = row[x];
            row[x] = grad_scale * where(scale * value + shift > 0, gradient[x]) + (z_scale * value + offset);
        }
    }
}

// The same with pooling.
UNDER20K_INLINE void pooled_gradient(const Activation& block, const ActivationGradient& back, ptrdiff_t c,
                                     Vec* z, const Vec* out_gradient) {
    const Map &from = block.z, &to = block.out;
    const Vec scale = broadcast(block.scale[c]), shift = broadcast(block.shift[c]);
    const Vec grad_scale = broadcast(back.grad_scale[c]), z_scale = broadcast(back.z_scale[c]);
    const Vec offset = broadcast(back.offset[c]);
    for (ptrdiff_t y = 0; y < to.height; ++y) {
        Vec* __restrict row = z + from.at(c, 2 * y, 0);
        Vec* __restrict next = row + from.row();
        const Vec* __restrict gradient = out_gradient + to.at(c, y, 0);
        for (ptrdiff_t x = 0; x < to.width; ++x) {
            const Vec value[4] = {row[2 * x], row[2 * x + 1], next[2 * x], next[2 * x + 1]};
            Vec activated[4];
            for (int i = 0; i < 4; ++i) activated[i] = scale * value[i] + shift;
            const Window window = unpool(activated, gradient[x]);
            row[2 * x] = grad_scale * window.gradient[0] + (z_scale * value[0] + offset);
            row[2 * x + 1] = grad_scale * window.gradient[1] + (z_scale * value[1] + offset);
            next[2 * x] = grad_scale * window.gradient[2] + (z_scale * value[2] + offset);
            next[2 * x + 1] = grad_scale * window.gradient[3] + (z_scale * value[3] + offset);
        }
        // Pooling ignores the last column or row of an odd width or height.
        for (ptrdiff_t x = 2 * to.width; x < from.width; ++x) {
            row[x] = z_scale * row[x] + offset;
            next[x] = z_scale * next[x] + offset;
        }
    }
    for (ptrdiff_t y = 2 * to.height; y < from.height; ++y) {
        Vec* row = z + from.at(c, y, 0);
        for (ptrdiff_t x = 0; x < from.width; ++x) row[x] = z_scale * row[x] + offset;
    }
}

// z's gradient, written over z.
inline void activation_gradient(const Activation& block, const ActivationGradient& back, Span<float> z,
                                Span<const float> out_gradient, ptrdiff_t valid_lanes) {
    const Map& map = block.z;
    Vec* values = vectors(z, map.size());
    const Vec* gradient = vectors(out_gradient, block.out.size());
    const IntVec mask = lane_mask(valid_lanes);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        if (block.pool)
            pooled_gradient(block, back, c, values, gradient);
        else
            plain_gradient(block, back, c, values, gradient);
        if (valid_lanes < LANES)  // the short last batch: its invalid lanes must reach no sum
            for (ptrdiff_t y = 0; y < map.height; ++y) {
                Vec* row = values + map.at(c, y, 0);
                for (ptrdiff_t x = 0; x < map.width; ++x) row[x] = where(mask, row[x]);
            }
    }
}

}  // namespace under20k::UNDER20K_ISA
