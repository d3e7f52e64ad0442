// BatchNorm, ReLU, max pooling and dropout of one group, forward and backward, fused into one pass each.
//
// z is the convolution's output and y = scale·z + shift is BatchNorm's. Only z is stored: the backward pass
// computes y again, which is cheaper than reading it.

#pragma once

#include "kernels/dropout.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// Call `function` with a flag as a compile-time constant.
template <typename Function>
UNDER20K_INLINE void with_flag(bool flag, const Function& function) {
    if (flag)
        function(std::true_type());
    else
        function(std::false_type());
}

// z → the block's output.
template <bool RELU>
void activate_block(const Activation& block, Span<const float> z, Span<float> out, uint32_t layer_key,
                    ptrdiff_t position) {
    const Map &from = block.z, &to = block.out;
    const Vec* input = vectors(z, from.size());
    Vec* output = vectors(out, to.size());
    const bool dropout = block.dropout_threshold > 0;
    const UintVec keys = dropout ? dropout_keys(layer_key, position) : UintVec{};
    const auto finished = [](Vec value) __attribute__((always_inline)) { return RELU ? relu(value) : value; };
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
                    row[x] = finished(max(upper, lower));
                }
            } else {
                for (ptrdiff_t x = 0; x < to.width; ++x) row[x] = finished(scale * in[x] + shift);
            }
            if (dropout)
                for (ptrdiff_t x = 0; x < to.width; ++x) row[x] = drop(block, keys, element++, row[x]);
        }
    }
}

inline void activate(const Activation& block, Span<const float> z, Span<float> out, uint32_t layer_key,
                     ptrdiff_t position) {
    with_flag(block.relu, [&](auto relu) { activate_block<relu>(block, z, out, layer_key, position); });
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

// The gradient of y at the four pixels of a pooling window: all of it at the first maximum, for ReLU if that
// is positive. The first, because ties are common (a constant background) and PyTorch takes it.
struct Window {
    Vec gradient[4];
};

template <bool RELU>
UNDER20K_INLINE Window unpool(const Vec (&y)[4], Vec gradient) {
    const Vec largest = max(max(y[0], y[1]), max(y[2], y[3]));
    IntVec open = RELU ? largest > 0 : ~IntVec{};
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
template <bool RELU>
void block_sums(const Activation& block, const ActivationGradient& back, Span<const float> z,
                Span<float> out_gradient, uint32_t layer_key, ptrdiff_t position, Span<float> sums) {
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
                    const Window window = unpool<RELU>(activated, gradient[x]);
                    for (int i = 0; i < 4; ++i) {
                        row_sum += window.gradient[i];
                        row_product += window.gradient[i] * (inverse_sd * value[i] + offset);
                    }
                }
            } else {
                for (ptrdiff_t x = 0; x < to.width; ++x) {
                    const Vec value = in[x];
                    const Vec passed = RELU ? where(scale * value + shift > 0, gradient[x]) : gradient[x];
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

inline void activation_sums(const Activation& block, const ActivationGradient& back, Span<const float> z,
                            Span<float> out_gradient, uint32_t layer_key, ptrdiff_t position,
                            Span<float> sums) {
    with_flag(block.relu,
              [&](auto relu) { block_sums<relu>(block, back, z, out_gradient, layer_key, position, sums); });
}

// One channel's factors in the backward pass.
struct ChannelGradient {
    Vec scale, shift, grad_scale, z_scale, offset;

    UNDER20K_INLINE ChannelGradient(const Activation& block, const ActivationGradient& back, ptrdiff_t c)
        : scale(broadcast(block.scale[c])),
          shift(broadcast(block.shift[c])),
          grad_scale(broadcast(back.grad_scale[c])),
          z_scale(broadcast(back.z_scale[c])),
          offset(broadcast(back.offset[c])) {}

    UNDER20K_INLINE Vec activated(Vec z) const { return scale * z + shift; }
    // z's gradient from y's; where z is ReLU's output, that of ReLU's input.
    template <bool AFTER_RELU>
    UNDER20K_INLINE Vec of(Vec gradient, Vec z) const {
        const Vec own = grad_scale * gradient + (z_scale * z + offset);
        return AFTER_RELU ? where(z > 0, own) : own;
    }
    // Of a pixel that pooling ignores.
    template <bool AFTER_RELU>
    UNDER20K_INLINE Vec of(Vec z) const {
        const Vec own = z_scale * z + offset;
        return AFTER_RELU ? where(z > 0, own) : own;
    }
};

// z's gradient of a block without pooling, in one channel. `to` may be z.
template <bool RELU, bool AFTER_RELU>
UNDER20K_INLINE void plain_gradient(const Activation& block, const ChannelGradient& factors, const Vec* z,
                                    const Vec* out_gradient, Vec* to) {
    for (ptrdiff_t y = 0; y < block.z.height; ++y) {
        const ptrdiff_t at = block.z.at(0, y, 0);
        const Vec* row = z + at;
        const Vec* __restrict gradient = out_gradient + block.out.at(0, y, 0);
        for (ptrdiff_t x = 0; x < block.z.width; ++x) {
            const Vec value = row[x];
            const Vec passed = RELU ? where(factors.activated(value) > 0, gradient[x]) : gradient[x];
            to[at + x] = factors.template of<AFTER_RELU>(passed, value);
        }
    }
}

// The same with pooling.
template <bool RELU, bool AFTER_RELU>
UNDER20K_INLINE void pooled_gradient(const Activation& block, const ChannelGradient& factors, const Vec* z,
                                     const Vec* out_gradient, Vec* to) {
    const Map &from = block.z, &out = block.out;
    for (ptrdiff_t y = 0; y < out.height; ++y) {
        const ptrdiff_t at = from.at(0, 2 * y, 0), below = at + from.row();
        const Vec *row = z + at, *next = z + below;
        const Vec* __restrict gradient = out_gradient + out.at(0, y, 0);
        for (ptrdiff_t x = 0; x < out.width; ++x) {
            const Vec value[4] = {row[2 * x], row[2 * x + 1], next[2 * x], next[2 * x + 1]};
            Vec activated[4];
            for (int i = 0; i < 4; ++i) activated[i] = factors.activated(value[i]);
            const Window window = unpool<RELU>(activated, gradient[x]);
            to[at + 2 * x] = factors.template of<AFTER_RELU>(window.gradient[0], value[0]);
            to[at + 2 * x + 1] = factors.template of<AFTER_RELU>(window.gradient[1], value[1]);
            to[below + 2 * x] = factors.template of<AFTER_RELU>(window.gradient[2], value[2]);
            to[below + 2 * x + 1] = factors.template of<AFTER_RELU>(window.gradient[3], value[3]);
        }
        // Pooling ignores the last column or row of an odd width or height.
        for (ptrdiff_t x = 2 * out.width; x < from.width; ++x) {
            to[at + x] = factors.template of<AFTER_RELU>(row[x]);
            to[below + x] = factors.template of<AFTER_RELU>(next[x]);
        }
    }
    for (ptrdiff_t y = 2 * out.height; y < from.height; ++y) {
        const ptrdiff_t at = from.at(0, y, 0);
        for (ptrdiff_t x = 0; x < from.width; ++x) to[at + x] = factors.template of<AFTER_RELU>(z[at + x]);
    }
}

template <bool RELU, bool AFTER_RELU>
void block_gradient(const Activation& block, const ActivationGradient& back, Span<const float> z,
                    Span<const float> out_gradient, ptrdiff_t valid_lanes, Span<float> z_gradient) {
    const Map& map = block.z;
    const Vec* values = vectors(z, map.size());
    const Vec* gradient = vectors(out_gradient, block.out.size());
    Vec* to = vectors(z_gradient, map.size());
    const IntVec mask = lane_mask(valid_lanes);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        const ChannelGradient factors(block, back, c);
        const ptrdiff_t at = c * map.plane(), from = c * block.out.plane();
        if (block.pool)
            pooled_gradient<RELU, AFTER_RELU>(block, factors, values + at, gradient + from, to + at);
        else
            plain_gradient<RELU, AFTER_RELU>(block, factors, values + at, gradient + from, to + at);
        if (valid_lanes < LANES)  // the short last batch: its invalid lanes must reach no sum
            for (ptrdiff_t y = 0; y < map.height; ++y) {
                Vec* row = to + map.at(c, y, 0);
                for (ptrdiff_t x = 0; x < map.width; ++x) row[x] = where(mask, row[x]);
            }
    }
}

// z's gradient; may be written over z.
inline void activation_gradient(const Activation& block, const ActivationGradient& back, Span<const float> z,
                                Span<const float> out_gradient, ptrdiff_t valid_lanes,
                                Span<float> z_gradient) {
    with_flag(block.relu, [&](auto relu) {
        with_flag(block.after_relu, [&](auto after) {
            block_gradient<relu, after>(block, back, z, out_gradient, valid_lanes, z_gradient);
        });
    });
}

}  // namespace under20k::UNDER20K_ISA
