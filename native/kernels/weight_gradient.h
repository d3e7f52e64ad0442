// The gradient of a convolution's weights from one group.
//
// A weight's gradient is the product of an input map, shifted by the weight's tap, with a gradient map,
// summed over all pixels. A tile keeps the sums of several taps × several output channels in registers while
// it runs over a strip of rows; lanes are added up only at the end.

#pragma once

#include "kernels/convolution.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// 9 taps × 3 channels read each gradient vector a third as often as 3 × 9 do, where the registers allow it.
constexpr int MAX_TAPS = REGISTERS == 32 ? 9 : 3;
constexpr int MAX_GRADIENT_CHANNELS = REGISTERS == 32 ? 3 : 4;
// Of a strip, whose gradients in one tile's channels then stay in the first cache.
constexpr int STRIP_PIXELS = 112;

struct Strip {
    const Vec* input;
    const ptrdiff_t* taps;  // where each tap's input lies
    ptrdiff_t input_row;
    const Vec* gradient;
    ptrdiff_t gradient_row, gradient_plane;
    ptrdiff_t rows, columns;
    bool first;  // of the map: the sums begin
    Vec* sums;   // [channel][tap]
    ptrdiff_t sums_row;
};

// Add inputs under a tile's taps × one pixel's gradients in its channels.
template <typename Arithmetic = Float32, int TAPS, int CHANNELS>
UNDER20K_INLINE void add_gradients(const Vec (&value)[TAPS], const Vec* __restrict gradient, ptrdiff_t plane,
                                   Vec (&sum)[CHANNELS][TAPS]) {
#pragma GCC unroll 4
    for (int c = 0; c < CHANNELS; ++c) {
        const Vec factor = gradient[c * plane];
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; ++t) Arithmetic::add_product(sum[c][t], value[t], factor);
    }
}

template <typename Arithmetic, int TAPS, int CHANNELS>
void gradient_tile(const Strip& strip) {
    Vec sum[CHANNELS][TAPS] = {};
    for (ptrdiff_t y = 0; y < strip.rows; ++y) {
        const Vec* __restrict input = strip.input + y * strip.input_row;
        const Vec* __restrict gradient = strip.gradient + y * strip.gradient_row;
        for (ptrdiff_t x = 0; x < strip.columns; ++x) {
            Vec value[TAPS];
#pragma GCC unroll 9
            for (int t = 0; t < TAPS; ++t) value[t] = input[strip.taps[t] + x];
            add_gradients<Arithmetic>(value, gradient + x, strip.gradient_plane, sum);
        }
    }
    for (int c = 0; c < CHANNELS; ++c)
        for (int t = 0; t < TAPS; ++t) {
            Vec& total = strip.sums[c * strip.sums_row + t];
            total = strip.first ? sum[c][t] : total + sum[c][t];
        }
}

// The input and z's gradient as they slide over each other, [channel][row][column] of vectors.
struct Sliding {
    const Vec* input;  // under the first tap of the first pixel
    ptrdiff_t input_row, input_plane;
    ptrdiff_t taps[3];  // of a kernel row: how far from the first
    const Vec* gradient;
    ptrdiff_t gradient_row, gradient_plane;
    ptrdiff_t columns;
};

// Where each of a tile's taps finds its input, counted up like an odometer of (channel, kernel row, kernel
// column).
struct TapCounter {
    ptrdiff_t channel = 0, ky = 0, kx = 0;

    UNDER20K_INLINE ptrdiff_t next(const Sliding& maps, ptrdiff_t kernel) {
        const ptrdiff_t offset = channel * maps.input_plane + ky * maps.input_row + maps.taps[kx];
        if (++kx == kernel) {
            kx = 0;
            ++ky;
        }
        if (ky == kernel) {
            ky = 0;
            ++channel;
        }
        return offset;
    }
};

// `scratch` holds a vector for each weight. `gradient` is (output, input, kernel, kernel).
template <typename Arithmetic>
void sum_gradients(const Convolution& conv, const Sliding& maps, Span<float> scratch, Span<float> gradient) {
    const Map& out = conv.output;
    const ptrdiff_t weights = conv.input.channels * conv.taps();  // of one output channel
    Vec* sums = vectors(scratch, conv.weights());
    const Tiling channels = cut(out.channels, MAX_GRADIENT_CHANNELS);
    ptrdiff_t strip_rows = STRIP_PIXELS / maps.columns;
    if (strip_rows < 1) strip_rows = 1;
    for (ptrdiff_t y = 0; y < out.height; y += strip_rows) {
        Strip strip{};
        strip.rows = out.height - y < strip_rows ? out.height - y : strip_rows;
        strip.columns = maps.columns;
        strip.first = y == 0;
        strip.input = maps.input + y * maps.input_row;
        strip.input_row = maps.input_row;
        strip.gradient_row = maps.gradient_row;
        strip.gradient_plane = maps.gradient_plane;
        strip.sums_row = weights;
        for (ptrdiff_t tile = 0; tile < channels.tiles; ++tile) {
            const ptrdiff_t first = channels.start_of(tile);
            strip.gradient = maps.gradient + first * maps.gradient_plane + y * maps.gradient_row;
            // All taps of all input channels in one row, cut where it suits the registers.
            TapCounter counter;
            for (ptrdiff_t tap = 0; tap < weights;) {
                const ptrdiff_t left = weights - tap;
                const int taps = left >= MAX_TAPS ? MAX_TAPS : left >= 3 ? 3 : 1;
                ptrdiff_t offsets[MAX_TAPS];
                for (int t = 0; t < taps; ++t) offsets[t] = counter.next(maps, conv.kernel);
                strip.taps = offsets;
                strip.sums = sums + first * weights + tap;
                with_constant<MAX_GRADIENT_CHANNELS>(channels.size_of(tile), [&](auto deep) {
                    if (taps == MAX_TAPS)
                        gradient_tile<Arithmetic, MAX_TAPS, deep>(strip);
                    else if (taps == 3)
                        gradient_tile<Arithmetic, 3, deep>(strip);
                    else
                        gradient_tile<Arithmetic, 1, deep>(strip);
                });
                tap += taps;
            }
        }
    }
    sum_all(sums, conv.weights(), gradient);
}

inline void weight_gradient_directly(const Convolution& conv, Span<const float> input,
                                     Span<const float> z_gradient, Span<float> scratch,
                                     Span<float> gradient) {
    const Map &in = conv.input, &out = conv.output;
    const Sliding maps{.input = vectors(input, in.size()) + in.at(0, -conv.padding, -conv.padding),
                       .input_row = in.row(),
                       .input_plane = in.plane(),
                       .taps = {0, 1, 2},
                       .gradient = vectors(z_gradient, out.size()) + out.at(0, 0, 0),
                       .gradient_row = out.row(),
                       .gradient_plane = out.plane(),
                       .columns = out.width};
    sum_gradients<Float32>(conv, maps, scratch, gradient);
}

}  // namespace under20k::UNDER20K_ISA
