// The gradient of a convolution's weights from one group, for small maps: the lanes are weights, not images.
//
// With images in the lanes (weight_gradient.h) each weight's sum has to be added up over the lanes at the
// end, which on a map of 3 × 3 costs more than the sum itself. Here the input is transposed first, to
// [image][row][column][channel]: the weights of one kernel row, column by column with all their channels, are
// neighbours then, and the output's gradient, one float of one image, is broadcast to them.

#pragma once

#include <cstring>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int MAX_WEIGHT_VECTORS = 3;  // of a tile
constexpr int MAX_BROADCASTS = REGISTERS == 32 ? 8 : 4;

// A vector that may begin at any float.
typedef float UnalignedVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

struct TransposedSize {
    ptrdiff_t rows, columns;  // of the input that the kernel passes over
    ptrdiff_t image;          // floats
    ptrdiff_t vectors;        // of one kernel row's weights
};

UNDER20K_INLINE TransposedSize transposed_size(const Convolution& conv) {
    const ptrdiff_t rows = conv.output.height + conv.kernel - 1,
                    columns = conv.output.width + conv.kernel - 1;
    const ptrdiff_t row_weights = conv.kernel * conv.input.channels;
    return {.rows = rows,
            .columns = columns,
            .image = rows * columns * conv.input.channels,
            .vectors = (row_weights + LANES - 1) / LANES};
}

// Floats of scratch that a thread needs. The last vector of the last weights reads up to a vector too far.
UNDER20K_INLINE ptrdiff_t transposed_scratch(const Convolution& conv) {
    return LANES * transposed_size(conv).image + LANES;
}

// One kernel row's weights, in a tile of vectors and output channels.
struct TransposedTile {
    const float* input;  // of the first image, at the kernel row and the tile's first weight
    ptrdiff_t image, input_row, input_column;
    const float* gradient;  // of the tile's first channel
    ptrdiff_t gradient_row, gradient_plane;
    ptrdiff_t rows, columns;
};

template <int VECTORS, int CHANNELS>
UNDER20K_INLINE void transposed_tile(const TransposedTile& tile, Vec (&sum)[CHANNELS][VECTORS]) {
    for (int c = 0; c < CHANNELS; ++c)
        for (int v = 0; v < VECTORS; ++v) sum[c][v] = Vec{};
    for (int image = 0; image < LANES; ++image)
        for (ptrdiff_t y = 0; y < tile.rows; ++y) {
            const float* in = tile.input + image * tile.image + y * tile.input_row;
            const float* gradient = tile.gradient + y * tile.gradient_row + image;
            for (ptrdiff_t x = 0; x < tile.columns; ++x, in += tile.input_column, gradient += LANES) {
                Vec value[VECTORS];
#pragma GCC unroll 3
                for (int v = 0; v < VECTORS; ++v)
                    value[v] = keep(*reinterpret_cast<const UnalignedVec*>(in + v * LANES));
#pragma GCC unroll 8
                for (int c = 0; c < CHANNELS; ++c) {
                    const Vec factor = broadcast(gradient[c * tile.gradient_plane]);
#pragma GCC unroll 3
                    for (int v = 0; v < VECTORS; ++v) sum[c][v] += value[v] * factor;
                }
            }
        }
}

// The gradients of one kernel row's weights from `first` on, in the order (kernel column, input channel),
// each to its place in `gradient`.
template <int VECTORS, int CHANNELS>
void transposed_weights(const Convolution& conv, const TransposedTile& tile, ptrdiff_t first,
                        float* gradient) {
    Vec sum[CHANNELS][VECTORS];
    transposed_tile<VECTORS, CHANNELS>(tile, sum);
    const ptrdiff_t inputs = conv.input.channels, taps = conv.taps(), left = conv.kernel * inputs - first;
    const ptrdiff_t count = left < VECTORS * LANES ? left : VECTORS * LANES;
    for (int c = 0; c < CHANNELS; ++c) {
        float values[VECTORS * LANES];
        std::memcpy(values, sum[c], sizeof values);
        ptrdiff_t kx = first / inputs, channel = first % inputs;
        for (ptrdiff_t i = 0; i < count; ++i) {
            gradient[(c * inputs + channel) * taps + kx] = values[i];
            if (++channel == inputs) {
                channel = 0;
                ++kx;
            }
        }
    }
}

inline void transpose(const Convolution& conv, const float* input, float* transposed) {
    const TransposedSize size = transposed_size(conv);
    const ptrdiff_t channels = conv.input.channels;
    for (ptrdiff_t c = 0; c < channels; ++c)
        for (ptrdiff_t y = 0; y < size.rows; ++y) {
            const float* from = input + conv.input.at(c, y - conv.padding, -conv.padding) * LANES;
            float* to = transposed + y * size.columns * channels + c;
            for (ptrdiff_t x = 0; x < size.columns; ++x, from += LANES, to += channels)
                for (int image = 0; image < LANES; ++image) to[image * size.image] = from[image];
        }
}

inline void weight_gradient_transposed(const Convolution& conv, Span<const float> input,
                                       Span<const float> z_gradient, Span<float> scratch,
                                       Span<float> gradient) {
    UNDER20K_ASSERT(input.size >= conv.input.size() * LANES && z_gradient.size >= conv.output.size() * LANES);
    UNDER20K_ASSERT(scratch.size >= transposed_scratch(conv) && gradient.size >= conv.weights());
    const Map& out = conv.output;
    const TransposedSize size = transposed_size(conv);
    const ptrdiff_t inputs = conv.input.channels, taps = conv.taps();
    transpose(conv, input.data, scratch.data);
    const Tiling vectors = cut(size.vectors, MAX_WEIGHT_VECTORS),
                 channels = cut(out.channels, MAX_BROADCASTS);
    TransposedTile tile{};
    tile.image = size.image;
    tile.input_column = inputs;
    tile.input_row = size.columns * inputs;
    tile.gradient_row = out.row() * LANES;
    tile.gradient_plane = out.plane() * LANES;
    tile.rows = out.height;
    tile.columns = out.width;
    for (ptrdiff_t ky = 0; ky < conv.kernel; ++ky)
        for (ptrdiff_t v = 0; v < vectors.tiles; ++v)
            for (ptrdiff_t c = 0; c < channels.tiles; ++c) {
                const ptrdiff_t first = vectors.start_of(v) * LANES, channel = channels.start_of(c);
                tile.input = scratch.data + ky * tile.input_row + first;
                tile.gradient = z_gradient.data + out.at(channel, 0, 0) * LANES;
                float* at = gradient.data + channel * inputs * taps + ky * conv.kernel;
                with_constant<MAX_WEIGHT_VECTORS>(vectors.size_of(v), [&](auto wide) {
                    with_constant<MAX_BROADCASTS>(channels.size_of(c), [&](auto deep) {
                        transposed_weights<wide, deep>(conv, tile, first, at);
                    });
                });
            }
}

}  // namespace under20k::UNDER20K_ISA
