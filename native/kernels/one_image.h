// The network for one image alone, when it is the answer's delay that counts: the output channels lie in the
// lanes, for there are no other images to fill them.
//
// A tile is a few neighbouring pixels of the output × a block of a few vectors of its channels, whose sums stay in
// registers. An input is one float, broadcast to all lanes; the weights of a tap are vectors.

#pragma once

#include <algorithm>

#include "images.h"
#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int MOST_BLOCK_VECTORS = 4;
constexpr int IMAGE_SUMS = REGISTERS == 32 ? 24 : 12;
constexpr int MOST_IMAGE_COLUMNS = 8;

UNDER20K_INLINE int vectors_of(const ImageMap& map) { return static_cast<int>(map.pixel / LANES); }

// Packed, block by block of channels: its biases, then [kernel row][kernel column][input channel] of its vectors.
// Weights are (output, input, kernel, kernel), each output channel times its `scale`.
inline void pack_image(const ImageConvolution& conv, const float* weights, const float* scale, const float* bias,
                       float* packed) {
    const int outputs = conv.output.channels, inputs = conv.input.channels, taps = conv.kernel * conv.kernel;
    const int width = MOST_BLOCK_VECTORS * LANES, all = static_cast<int>(conv.output.pixel);
    for (int first = 0; first < all; first += width) {
        const int end = std::min(first + width, all);
        for (int c = first; c < end; ++c) *packed++ = c < outputs ? bias[c] : 0;
        for (int tap = 0; tap < taps; ++tap)
            for (int i = 0; i < inputs; ++i)
                for (int c = first; c < end; ++c)
                    *packed++ = c < outputs ? scale[c] * weights[(c * inputs + i) * taps + tap] : 0;
    }
}

inline void load_image(const uint8_t* image, const ImageMap& map, float* output) {
    for (int y = 0; y < SIDE; ++y)
        for (int x = 0; x < SIDE; ++x) output[map.at(y, x)] = normalised(static_cast<float>(image[y * SIDE + x]));
}

template <int COLUMNS, int VECTORS>
UNDER20K_INLINE void image_tile(const ImageConvolution& conv, const float* input, const Vec* packed, float* output) {
    Vec sum[COLUMNS][VECTORS];
    for (int x = 0; x < COLUMNS; ++x)
        for (int v = 0; v < VECTORS; ++v) sum[x][v] = packed[v];
    const Vec* weight = packed + VECTORS;
    for (int ky = 0; ky < conv.kernel; ++ky)
        for (int kx = 0; kx < conv.kernel; ++kx) {
            const float* in = input + ky * conv.input.row() + kx * conv.input.pixel;
            for (int i = 0; i < conv.input.channels; ++i, ++in, weight += VECTORS)
#pragma GCC unroll 8
                for (int x = 0; x < COLUMNS; ++x) {
                    const Vec value = broadcast(in[x * conv.input.pixel]);
#pragma GCC unroll 4
                    for (int v = 0; v < VECTORS; ++v) sum[x][v] += value * weight[v];
                }
        }
    for (int x = 0; x < COLUMNS; ++x) {
        Vec* out = reinterpret_cast<Vec*>(output + x * conv.output.pixel);
        for (int v = 0; v < VECTORS; ++v) out[v] = conv.relu ? relu(sum[x][v]) : sum[x][v];
    }
}

// The whole map in one block of channels.
template <int VECTORS>
void image_block(const ImageConvolution& conv, const float* input, const Vec* packed, float* output) {
    constexpr int MOST = std::min(IMAGE_SUMS / VECTORS, MOST_IMAGE_COLUMNS);
    const Split tiles = split(conv.output.width, MOST);
    for (int y = 0; y < conv.output.height; ++y)
        for (int tile = 0; tile < tiles.tiles; ++tile) {
            const int x = tile_start(tiles, tile);
            const float* from = input + conv.input.at(y - conv.padding, x - conv.padding);
            with_constant<MOST>(tile_size(tiles, tile), [&](auto columns) {
                image_tile<columns, VECTORS>(conv, from, packed, output + conv.output.at(y, x));
            });
        }
}

inline void convolve_image(const ImageConvolution& conv, const float* input, const float* packed, float* output) {
    const int all = vectors_of(conv.output), taps = conv.kernel * conv.kernel * conv.input.channels;
    for (int first = 0; first < all; first += MOST_BLOCK_VECTORS) {
        const int vectors = std::min(MOST_BLOCK_VECTORS, all - first);
        with_constant<MOST_BLOCK_VECTORS>(vectors, [&](auto count) {
            image_block<count>(conv, input, reinterpret_cast<const Vec*>(packed), output + first * LANES);
        });
        packed += static_cast<ptrdiff_t>(taps + 1) * vectors * LANES;
    }
}

// 2 × 2 max pooling; output may be input.
inline void pool_image(const ImageMap& from, const float* input, const ImageMap& to, float* output) {
    const int vectors = vectors_of(from);
    for (int y = 0; y < to.height; ++y)
        for (int x = 0; x < to.width; ++x) {
            const Vec* upper = reinterpret_cast<const Vec*>(input + from.at(2 * y, 2 * x));
            const Vec* lower = reinterpret_cast<const Vec*>(input + from.at(2 * y + 1, 2 * x));
            Vec* out = reinterpret_cast<Vec*>(output + to.at(y, x));
            for (int v = 0; v < vectors; ++v)
                out[v] = max(max(upper[v], upper[vectors + v]), max(lower[v], lower[vectors + v]));
        }
}

// Global average pooling, to one pixel; output may be input.
inline void average_image(const ImageMap& from, const float* input, float* output) {
    const float share = 1.0f / static_cast<float>(from.height * from.width);
    for (int v = 0; v < vectors_of(from); ++v) {
        Vec sum{};
        for (int y = 0; y < from.height; ++y)
            for (int x = 0; x < from.width; ++x) sum += reinterpret_cast<const Vec*>(input + from.at(y, x))[v];
        reinterpret_cast<Vec*>(output)[v] = sum * share;
    }
}

}  // namespace under20k::UNDER20K_ISA
