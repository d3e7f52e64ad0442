// The gradient of a 3 × 3 or 5 × 5 convolution's weights at Winograd's points (winograd_points.h), from one
// group.
//
// The output's gradient slides over the input like a kernel: four of its columns are the taps, six columns of
// the input give three outputs, which are the weights' gradients; or two columns, and five outputs. Those of
// one kernel row are summed over all tiles of the map at the points and are transformed back once.

#pragma once

#include "kernels/convolution.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"
#include "kernels/weight_gradient.h"
#include "kernels/winograd.h"
#include "kernels/winograd_points.h"

namespace under20k::UNDER20K_ISA {

// More than forward: sums are loaded and stored once for each strip.
constexpr int GRADIENT_STRIP_ROWS = 14;

UNDER20K_INLINE ptrdiff_t winograd_gradient_scratch(const Convolution& conv) {
    const StripSize size = strip_size(conv, GRADIENT_STRIP_ROWS);
    const ptrdiff_t weights = conv.output.channels * conv.input.channels * conv.kernel,
                    strip = size.input + size.output, sums = conv.kernel * weights;
    // At the end the taps' sums are written over the strip.
    return POINTS * weights + (strip > sums ? strip : sums);
}

// One strip at one point, in a tile of output channels.
struct PointStrip {
    const Vec* input;
    ptrdiff_t input_row, input_plane;
    ptrdiff_t input_channels;
    const Vec* gradient;
    ptrdiff_t gradient_plane;
    ptrdiff_t columns;
    bool first;  // of the map: the sums begin
    Vec* sums;   // [channel of the tile][input channel][kernel row]
    ptrdiff_t sums_row;
};

// Input channels and output channels of a tile; each input channel has a sum for each kernel row.
template <int TAPS>
struct PointTile {
    static constexpr int INPUTS = TAPS == 3 ? MAX_TAPS / 3 : 1;
    static constexpr int CHANNELS = TAPS == 3 ? MAX_GRADIENT_CHANNELS : REGISTERS == 32 ? 4 : 2;
};

template <int TAPS, int INPUTS, int CHANNELS>
UNDER20K_INLINE void point_gradient_tile(const PointStrip& strip, const Vec* __restrict input,
                                         Vec* __restrict sums) {
    constexpr int SUMS = TAPS * INPUTS;
    Vec sum[CHANNELS][SUMS] = {};
    if (!strip.first)
        for (int c = 0; c < CHANNELS; ++c)
            for (int t = 0; t < SUMS; ++t) sum[c][t] = sums[c * strip.sums_row + t];
    const Vec* __restrict gradient = strip.gradient;
    for (ptrdiff_t x = 0; x < strip.columns; ++x) {
        Vec value[SUMS];
#pragma GCC unroll 9
        for (int t = 0; t < SUMS; ++t)
            value[t] = keep(input[t / TAPS * strip.input_plane + t % TAPS * strip.input_row + x]);
        add_gradients(value, gradient + x, strip.gradient_plane, sum);
    }
    for (int c = 0; c < CHANNELS; ++c)
        for (int t = 0; t < SUMS; ++t) sums[c * strip.sums_row + t] = sum[c][t];
}

template <int TAPS, int CHANNELS>
void point_gradient(const PointStrip& strip) {
    constexpr int INPUTS = PointTile<TAPS>::INPUTS;
    ptrdiff_t i = 0;
    for (; i + INPUTS <= strip.input_channels; i += INPUTS)
        point_gradient_tile<TAPS, INPUTS, CHANNELS>(strip, strip.input + i * strip.input_plane,
                                                    strip.sums + TAPS * i);
    if constexpr (INPUTS > 1)
        for (; i < strip.input_channels; ++i)
            point_gradient_tile<TAPS, 1, CHANNELS>(strip, strip.input + i * strip.input_plane,
                                                   strip.sums + TAPS * i);
}

template <int TAPS>
inline void weight_gradient_at_points(const Convolution& conv, Span<const float> input,
                                      Span<const float> z_gradient, Span<float> scratch,
                                      Span<float> gradient) {
    const Map &in = conv.input, &out = conv.output;
    const ptrdiff_t taps = in.channels * TAPS, weights = out.channels * taps, tiles = tiles_of<TAPS>(out);
    const Tiling strips = cut(out.height, GRADIENT_STRIP_ROWS),
                 channels = cut(out.channels, PointTile<TAPS>::CHANNELS);
    const Vec *from = vectors(input, in.size()), *z = vectors(z_gradient, out.size());
    // [point][output channel][input channel][kernel row]
    Vec* sums = vectors(scratch, winograd_gradient_scratch(conv));
    Vec* points = sums + POINTS * weights;
    Vec* gradients = points + strip_size(conv, GRADIENT_STRIP_ROWS).input;

    for (ptrdiff_t index = 0; index < strips.tiles; ++index) {
        const ptrdiff_t first = strips.start_of(index), rows = strips.size_of(index), plane = rows * tiles;
        input_to_points<TAPS>(conv, from, first - conv.padding, rows + TAPS - 1, points);
        for (ptrdiff_t c = 0; c < out.channels; ++c)
            for (ptrdiff_t r = 0; r < rows; ++r)
                row_to_points<TAPS, TILE<TAPS>>(z + out.at(c, first + r, 0), tiles, out.width,
                                                gradients + c * plane + r * tiles, out.channels * plane);
        PointStrip strip{};
        strip.input_row = tiles;
        strip.input_plane = (rows + TAPS - 1) * tiles;
        strip.input_channels = in.channels;
        strip.gradient_plane = plane;
        strip.columns = plane;
        strip.first = index == 0;
        strip.sums_row = taps;
        for (int p = 0; p < POINTS; ++p) {
            strip.input = points + p * in.channels * strip.input_plane;
            for (ptrdiff_t tile = 0; tile < channels.tiles; ++tile) {
                const ptrdiff_t channel = p * out.channels + channels.start_of(tile);
                strip.gradient = gradients + channel * plane;
                strip.sums = sums + channel * taps;
                with_constant<PointTile<TAPS>::CHANNELS>(
                    channels.size_of(tile), [&](auto deep) { point_gradient<TAPS, deep>(strip); });
            }
        }
    }
    Vec* tap_sums = points;
    for (ptrdiff_t i = 0; i < weights; ++i) taps_from_points<TAPS>(sums + i, weights, tap_sums + TAPS * i);
    sum_all(tap_sums, TAPS * weights, gradient);
}

}  // namespace under20k::UNDER20K_ISA
