// The network for one image alone, for low latency: the output channels lie in the lanes, since there are no
// other images to fill them.
//
// A tile is a few neighbouring pixels of the output × a block of a few vectors of its channels, whose sums
// stay in registers. An input is one float, broadcast to all lanes; the weights of a tap are vectors.

#pragma once

#include "kernels/images.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int MAX_BLOCK_VECTORS = 4;
constexpr int MAX_IMAGE_SUMS = REGISTERS == 32 ? 24 : 12;
constexpr int MAX_IMAGE_COLUMNS = 8;

UNDER20K_INLINE ptrdiff_t lesser(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// Vectors of a pixel.
UNDER20K_INLINE ptrdiff_t vectors_of(const ImageMap& map) { return map.pixel / LANES; }

// The vectors of a whole map.
UNDER20K_INLINE const Vec* vectors(const ImageMap& map, Span<const float> values) {
    return vectors(values, map.size() / LANES);
}
UNDER20K_INLINE Vec* vectors(const ImageMap& map, Span<float> values) {
    return vectors(values, map.size() / LANES);
}

// Packed, block by block of channels: biases, then [kernel row][kernel column][input channel] of the block's
// vectors. Weights are (output, input, kernel, kernel), each output channel times its `scale`.
inline void pack_image(const ImageConvolution& conv, Span<const float> weights, Span<const float> scale,
                       Span<const float> bias, Span<float> packed) {
    const ptrdiff_t outputs = conv.output.channels, inputs = conv.input.channels, taps = conv.taps();
    ptrdiff_t next = 0;
    for (ptrdiff_t first = 0; first < conv.output.pixel; first += MAX_BLOCK_VECTORS * LANES) {
        const ptrdiff_t end = lesser(first + MAX_BLOCK_VECTORS * LANES, conv.output.pixel);
        for (ptrdiff_t c = first; c < end; ++c) packed[next++] = c < outputs ? bias[c] : 0;
        for (ptrdiff_t tap = 0; tap < taps; ++tap)
            for (ptrdiff_t i = 0; i < inputs; ++i)
                for (ptrdiff_t c = first; c < end; ++c)
                    packed[next++] = c < outputs ? scale[c] * weights[(c * inputs + i) * taps + tap] : 0;
    }
}

inline void load_image(const uint8_t* image, const ImageMap& map, Span<float> output) {
    for (int y = 0; y < SIDE; ++y)
        for (int x = 0; x < SIDE; ++x)
            output[map.at(y, x)] = normalised(static_cast<float>(image[y * SIDE + x]));
}

template <int COLUMNS, int VECTORS>
UNDER20K_INLINE void image_tile(const ImageConvolution& conv, const float* input, const Vec* packed,
                                float* output) {
    Vec sum[COLUMNS][VECTORS];
    for (int x = 0; x < COLUMNS; ++x)
        for (int v = 0; v < VECTORS; ++v) sum[x][v] = packed[v];
    const Vec* weight = packed + VECTORS;
    for (ptrdiff_t ky = 0; ky < conv.kernel; ++ky)
        for (ptrdiff_t kx = 0; kx < conv.kernel; ++kx) {
            const float* in = input + ky * conv.input.row() + kx * conv.input.pixel;
            for (ptrdiff_t i = 0; i < conv.input.channels; ++i, ++in, weight += VECTORS)
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
    constexpr int MAX =
        MAX_IMAGE_SUMS / VECTORS < MAX_IMAGE_COLUMNS ? MAX_IMAGE_SUMS / VECTORS : MAX_IMAGE_COLUMNS;
    const Tiling tiles = cut(conv.output.width, MAX);
    for (ptrdiff_t y = 0; y < conv.output.height; ++y)
        for (ptrdiff_t tile = 0; tile < tiles.tiles; ++tile) {
            const ptrdiff_t x = tiles.start_of(tile);
            const float* from = input + conv.input.at(y - conv.padding, x - conv.padding);
            with_constant<MAX>(tiles.size_of(tile), [&](auto columns) {
                image_tile<columns, VECTORS>(conv, from, packed, output + conv.output.at(y, x));
            });
        }
}

inline void convolve_image(const ImageConvolution& conv, Span<const float> input, Span<const float> packed,
                           Span<float> output) {
    UNDER20K_ASSERT(input.size >= conv.input.size() && output.size >= conv.output.size());
    const ptrdiff_t all = vectors_of(conv.output), taps = conv.taps() * conv.input.channels;
    const Vec* weights = vectors(packed, conv.packed() / LANES);
    for (ptrdiff_t first = 0; first < all; first += MAX_BLOCK_VECTORS) {
        const ptrdiff_t count = lesser(MAX_BLOCK_VECTORS, all - first);
        with_constant<MAX_BLOCK_VECTORS>(count, [&](auto constant) {
            image_block<constant>(conv, input.data, weights, output.data + first * LANES);
        });
        weights += (taps + 1) * count;
    }
}

// 2 × 2 max pooling; output may be input.
inline void pool_image(const ImageMap& from, Span<const float> input, const ImageMap& to,
                       Span<float> output) {
    const Vec* in = vectors(from, input);
    Vec* out = vectors(output, to.size() / LANES);
    const ptrdiff_t count = vectors_of(from);
    for (ptrdiff_t y = 0; y < to.height; ++y)
        for (ptrdiff_t x = 0; x < to.width; ++x) {
            const Vec* upper = in + from.at(2 * y, 2 * x) / LANES;
            const Vec* lower = in + from.at(2 * y + 1, 2 * x) / LANES;
            Vec* pixel = out + to.at(y, x) / LANES;
            for (ptrdiff_t v = 0; v < count; ++v)
                pixel[v] = max(max(upper[v], upper[count + v]), max(lower[v], lower[count + v]));
        }
}

// Global average pooling, to one pixel; output may be input.
inline void average_image(const ImageMap& from, Span<const float> input, Span<float> output) {
    const Vec* in = vectors(from, input);
    Vec* out = vectors(output, vectors_of(from));
    const float pixel_weight = 1.0f / static_cast<float>(from.height * from.width);
    for (ptrdiff_t v = 0; v < vectors_of(from); ++v) {
        Vec sum{};
        for (ptrdiff_t y = 0; y < from.height; ++y)
            for (ptrdiff_t x = 0; x < from.width; ++x) sum += in[from.at(y, x) / LANES + v];
        out[v] = sum * pixel_weight;
    }
}

}  // namespace under20k::UNDER20K_ISA
