// The gradient of a convolution's weights from one group.
//
// A weight's gradient is the product of an input map, shifted by the weight's tap, with a gradient map,
// summed over all pixels. A tile keeps the sums of several taps × several output channels in registers
// while it runs over a strip of rows; lanes are added up only at the end.

#pragma once

#include "convolution.h"
#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

// 9 taps × 3 channels read each gradient vector a third as often as 3 × 9 do, where the registers allow it.
constexpr int MOST_TAPS = REGISTERS == 32 ? 9 : 3;
constexpr int MOST_GRADIENT_CHANNELS = REGISTERS == 32 ? 3 : 4;
// So many pixels of a strip that its gradients of one tile's channels stay in the first cache.
constexpr int STRIP_PIXELS = 112;

struct Strip {
    const Vec* input;
    const ptrdiff_t* taps;  // where each tap's input lies
    ptrdiff_t input_row;
    const Vec* gradient;
    ptrdiff_t gradient_row, gradient_plane;
    int rows, columns;
    bool first;  // of the map: the sums begin
    Vec* sums;  // [channel][tap]
    ptrdiff_t sums_row;
};

// Adds inputs under a tile's taps × one pixel's gradients in its channels.
template <typename Numbers = Singles, int TAPS, int CHANNELS>
UNDER20K_INLINE void add_gradients(const Vec (&value)[TAPS], const Vec* __restrict gradient, ptrdiff_t plane,
                                   Vec (&sum)[CHANNELS][TAPS]) {
#pragma GCC unroll 4
    for (int c = 0; c < CHANNELS; ++c) {
        const Vec factor = gradient[c * plane];
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; ++t) Numbers::add_product(sum[c][t], value[t], factor);
    }
}

template <typename Numbers, int TAPS, int CHANNELS>
void gradient_tile(const Strip& strip) {
    Vec sum[CHANNELS][TAPS] = {};
    for (int y = 0; y < strip.rows; ++y) {
        const Vec* __restrict input = strip.input + y * strip.input_row;
        const Vec* __restrict gradient = strip.gradient + y * strip.gradient_row;
        for (int x = 0; x < strip.columns; ++x) {
            Vec value[TAPS];
#pragma GCC unroll 9
            for (int t = 0; t < TAPS; ++t) value[t] = input[strip.taps[t] + x];
            add_gradients<Numbers>(value, gradient + x, strip.gradient_plane, sum);
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
    int columns;
};

// `scratch` holds a vector for each weight. `gradient` is (output, input, kernel, kernel).
template <typename Numbers>
void sum_gradients(const Convolution& conv, const Sliding& maps, float* scratch, float* gradient) {
    const Map& out = conv.output;
    const int kernel = conv.kernel, weights = conv.input.channels * kernel * kernel;  // of one output channel
    Vec* sums = reinterpret_cast<Vec*>(scratch);
    const Split channels = split(out.channels, MOST_GRADIENT_CHANNELS);
    int strip_rows = STRIP_PIXELS / maps.columns;
    if (strip_rows < 1) strip_rows = 1;
    for (int y = 0; y < out.height; y += strip_rows) {
        Strip strip{};
        strip.rows = out.height - y < strip_rows ? out.height - y : strip_rows;
        strip.columns = maps.columns;
        strip.first = y == 0;
        strip.input = maps.input + y * maps.input_row;
        strip.input_row = maps.input_row;
        strip.gradient_row = maps.gradient_row;
        strip.gradient_plane = maps.gradient_plane;
        strip.sums_row = weights;
        for (int tile = 0; tile < channels.tiles; ++tile) {
            const int first = tile_start(channels, tile), size = tile_size(channels, tile);
            strip.gradient = maps.gradient + first * maps.gradient_plane + y * maps.gradient_row;
            // All taps of all input channels in one row, cut where it suits the registers.
            int channel = 0, ky = 0, kx = 0;
            for (int tap = 0; tap < weights;) {
                const int left = weights - tap;
                const int taps = left >= MOST_TAPS ? MOST_TAPS : left >= 3 ? 3 : 1;
                // A place is (channel, kernel row, kernel column), counted up as an odometer does.
                ptrdiff_t offsets[MOST_TAPS];
                for (int t = 0; t < taps; ++t) {
                    offsets[t] = channel * maps.input_plane + ky * maps.input_row + maps.taps[kx];
                    if (++kx == kernel) kx = 0, ++ky;
                    if (ky == kernel) ky = 0, ++channel;
                }
                strip.taps = offsets;
                strip.sums = sums + first * weights + tap;
                with_constant<MOST_GRADIENT_CHANNELS>(size, [&](auto deep) {
                    if (taps == MOST_TAPS)
                        gradient_tile<Numbers, MOST_TAPS, deep>(strip);
                    else if (taps == 3)
                        gradient_tile<Numbers, 3, deep>(strip);
                    else
                        gradient_tile<Numbers, 1, deep>(strip);
                });
                tap += taps;
            }
        }
    }
    sum_all(sums, out.channels * weights, gradient);
}

inline void weight_gradient_directly(const Convolution& conv, const float* input, const float* z_gradient,
                                     float* scratch, float* gradient) {
    const Map &in = conv.input, &out = conv.output;
    const Sliding maps{reinterpret_cast<const Vec*>(input) + in.at(0, -conv.padding, -conv.padding), in.row(), in.plane(),
                       {0, 1, 2}, reinterpret_cast<const Vec*>(z_gradient) + out.at(0, 0, 0), out.row(), out.plane(),
                       out.width};
    sum_gradients<Singles>(conv, maps, scratch, gradient);
}

}  // namespace under20k::UNDER20K_ISA
