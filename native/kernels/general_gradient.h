// The gradient of a general convolution's weights from one group.
//
// As in weight_gradient.h, a tile keeps the sums of several taps × several output channels in registers while
// it runs over a strip of rows. Where the output has few pixels, linear layers above all, the sum over the
// lanes would cost more than the products. There the input is transposed to [image][weight of an output
// channel], so that the lanes are weights, and the gradient is a matrix product over images and pixels.

#pragma once

#include <cstring>

#include "kernels/convolution.h"
#include "kernels/elementwise.h"
#include "kernels/framed.h"
#include "kernels/operations.h"
#include "kernels/simd.h"
#include "kernels/tiles.h"

namespace under20k::UNDER20K_ISA {

constexpr ptrdiff_t MAX_MATRIX_PIXELS = 9;

// Whether a matrix product takes less time. Counted in cycles for each weight of an output channel: a
// transposition of every pixel and a product more, or the sum over lanes.
UNDER20K_INLINE bool gradient_is_matrix(const GeneralConvolution& conv) {
    const ptrdiff_t pixels = conv.output.height * conv.output.width, outputs = conv.group_outputs();
    return pixels <= MAX_MATRIX_PIXELS && pixels * (35 - outputs) <= 25 * outputs;
}

UNDER20K_INLINE ptrdiff_t group_weights(const GeneralConvolution& conv) {
    return conv.group_inputs() * conv.window.taps();
}

// Vectors of the weights of one output channel side by side.
UNDER20K_INLINE ptrdiff_t patch_vectors(const GeneralConvolution& conv) {
    return (group_weights(conv) + LANES - 1) / LANES;
}

// Vectors.
inline ptrdiff_t general_gradient_scratch(const GeneralConvolution& conv) {
    const Sliding2d& w = conv.window;
    const ptrdiff_t frame = framed_size(conv.input, w.padding_y, w.padding_x);
    if (gradient_is_matrix(conv))
        return frame + LANES * conv.output.height * conv.output.width * patch_vectors(conv);
    return frame + conv.weights();
}

// `values` to or onto `target`.
UNDER20K_INLINE void store(Vec values, float* target, bool add) {
    if (add) {
        Vec before;
        std::memcpy(&before, target, sizeof before);
        values = before + values;
    }
    std::memcpy(target, &values, sizeof values);
}

// Sums over the valid lanes, to or onto `gradient`.
inline void reduce_lanes(Vec* sums, ptrdiff_t count, ptrdiff_t valid_lanes, Span<float> gradient, bool add) {
    UNDER20K_ASSERT(gradient.size >= count);
    const IntVec mask = lane_mask(valid_lanes);
    if (valid_lanes < LANES)
        for (ptrdiff_t i = 0; i < count; ++i) sums[i] = where(mask, sums[i]);
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) store(sum_each<LANES>(sums + i), gradient.data + i, add);
    for (; i < count; ++i) gradient[i] = (add ? gradient[i] : 0) + sum_lanes(sums[i]);
}

// A strip of rows, in a tile's taps and output channels.
struct TapStrip {
    const Vec* input;
    const ptrdiff_t* taps;  // where each tap's input lies
    ptrdiff_t input_row, input_step;
    const Vec* gradient;
    ptrdiff_t gradient_row, gradient_plane;
    ptrdiff_t rows, columns;
    bool first;  // of the map: the sums begin
    Vec* sums;   // [channel][tap]
    ptrdiff_t sums_row;
};

template <int TAPS, int CHANNELS>
void strip_gradient(const TapStrip& strip) {
    Vec sum[CHANNELS][TAPS] = {};
    ptrdiff_t taps[TAPS];
    for (int t = 0; t < TAPS; ++t) taps[t] = strip.taps[t];
    const ptrdiff_t step = strip.input_step, plane = strip.gradient_plane;
    for (ptrdiff_t y = 0; y < strip.rows; ++y) {
        const Vec* input = strip.input + y * strip.input_row;
        const Vec* gradient = strip.gradient + y * strip.gradient_row;
        for (ptrdiff_t x = 0; x < strip.columns; ++x, input += step, ++gradient) {
            Vec value[TAPS];
#pragma GCC unroll 16
            for (int t = 0; t < TAPS; ++t) value[t] = keep(input[taps[t]]);
#pragma GCC unroll 8
            for (int c = 0; c < CHANNELS; ++c) {
                const Vec factor = gradient[c * plane];
#pragma GCC unroll 16
                for (int t = 0; t < TAPS; ++t) sum[c][t] += value[t] * factor;
            }
        }
    }
    for (int c = 0; c < CHANNELS; ++c)
        for (int t = 0; t < TAPS; ++t) {
            Vec& total = strip.sums[c * strip.sums_row + t];
            total = strip.first ? sum[c][t] : total + sum[c][t];
        }
}

struct StripTiles {
    // One channel has the most taps: a depthwise convolution has no more channels.
    static constexpr int MAX_WIDTH = REGISTERS == 32 ? 12 : 9, MAX_DEPTH = 6;
    static constexpr bool fits(int taps, int channels) { return taps * (channels + 1) + 1 < REGISTERS; }
    static double cycles(ptrdiff_t taps, ptrdiff_t channels) { return tile_cycles(taps, channels); }

    using Function = void (*)(const TapStrip&);
    template <int TAPS, int CHANNELS>
    static constexpr Function function = strip_gradient<TAPS, CHANNELS>;
};

constexpr SizeTable<StripTiles, StripTiles::Function> STRIP_TILES;

// Counts through the weights of an output channel: input channel, kernel row, kernel column.
struct WeightCounter {
    const Sliding2d& window;
    const Map& map;
    ptrdiff_t channel = 0, ky = 0, kx = 0;

    // Where the next weight's input lies, in vectors.
    UNDER20K_INLINE ptrdiff_t next() {
        const ptrdiff_t offset =
            channel * map.plane() + ky * window.dilation_y * map.row() + kx * window.dilation_x;
        if (++kx == window.kernel_x) {
            kx = 0;
            if (++ky == window.kernel_y) {
                ky = 0;
                ++channel;
            }
        }
        return offset;
    }
};

// Vectors of a strip's gradients in one tile's channels. Smaller strips, which would stay in the first cache,
// take longer: their sums are loaded and stored more often.
constexpr ptrdiff_t STRIP_VECTORS = 1344;

// One channel group's gradients, a vector a weight.
inline void group_gradient(const GeneralConvolution& conv, const Framed& in, const Vec* input,
                           const Map& gradient_map, const Vec* gradient, Vec* sums) {
    const Sliding2d& w = conv.window;
    const ptrdiff_t weights = group_weights(conv), width = conv.output.width, height = conv.output.height;
    Tiling taps{}, channels{};
    choose_sizes<StripTiles>(weights, conv.group_outputs(), &taps, &channels);
    ptrdiff_t strip_rows = STRIP_VECTORS / (channels.size * width);
    if (strip_rows < 1) strip_rows = 1;
    TapStrip strip{};
    strip.input_row = w.stride_y * in.map.row();
    strip.input_step = w.stride_x;
    strip.gradient_row = gradient_map.row();
    strip.gradient_plane = gradient_map.plane();
    strip.columns = width;
    strip.sums_row = weights;
    for (ptrdiff_t y = 0; y < height; y += strip_rows) {
        strip.rows = height - y < strip_rows ? height - y : strip_rows;
        strip.first = y == 0;
        strip.input = input + y * strip.input_row;
        // The input is read once, the gradient, which is smaller where there is a stride, for each tile of
        // taps.
        WeightCounter counter{.window = w, .map = in.map};
        for (ptrdiff_t tile = 0; tile < taps.tiles; ++tile) {
            ptrdiff_t offsets[StripTiles::MAX_WIDTH];
            for (ptrdiff_t t = 0; t < taps.size_of(tile); ++t) offsets[t] = counter.next();
            strip.taps = offsets;
            for (ptrdiff_t deep = 0; deep < channels.tiles; ++deep) {
                const ptrdiff_t first = channels.start_of(deep);
                strip.gradient = gradient + first * strip.gradient_plane + y * strip.gradient_row;
                strip.sums = sums + first * weights + taps.start_of(tile);
                STRIP_TILES.at(taps.size_of(tile), channels.size_of(deep))(strip);
            }
        }
    }
}

// Images × pixels as rows: the matrix product of a tile of vectors of weights and output channels.
struct MatrixTile {
    const Vec* patches;  // [pixel][image][vector of weights]
    ptrdiff_t patch, images, pixels;
    const float* gradient;             // of the tile's first channel
    ptrdiff_t gradient_plane;          // floats
    const ptrdiff_t* gradient_pixels;  // floats, from the first one to each
    float* sums;                       // [channel][weight]
    ptrdiff_t weights, left;           // of a channel, and from the tile's first one on
    bool add;
};

constexpr int MATRIX_VECTORS = 3;
constexpr int MATRIX_CHANNELS = REGISTERS == 32 ? 8 : 4;

template <int VECTORS, int CHANNELS>
void matrix_gradient(const MatrixTile& tile) {
    Vec sum[CHANNELS][VECTORS] = {};
    for (ptrdiff_t p = 0; p < tile.pixels; ++p)
        for (ptrdiff_t image = 0; image < tile.images; ++image) {
            const Vec* patch = tile.patches + (p * LANES + image) * tile.patch;
            const float* gradient = tile.gradient + tile.gradient_pixels[p] + image;
            Vec value[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) value[v] = keep(patch[v]);
#pragma GCC unroll 8
            for (int c = 0; c < CHANNELS; ++c) {
                const Vec factor = broadcast(gradient[c * tile.gradient_plane]);
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; ++v) sum[c][v] += value[v] * factor;
            }
        }
    for (int c = 0; c < CHANNELS; ++c)
        for (int v = 0; v < VECTORS; ++v) {
            float* to = tile.sums + c * tile.weights + v * LANES;
            const ptrdiff_t left = tile.left - v * LANES;
            if (left >= LANES) {
                store(sum[c][v], to, tile.add);
            } else {
                for (ptrdiff_t i = 0; i < left; ++i) to[i] = tile.add ? to[i] + sum[c][v][i] : sum[c][v][i];
            }
        }
}

// The inputs under a pixel's taps as [pixel][image][weight], filled up with zeros to whole vectors.
inline void lay_patches(const GeneralConvolution& conv, const Framed& in, const Vec* input, Vec* patches) {
    const Sliding2d& w = conv.window;
    const ptrdiff_t weights = group_weights(conv), patch = patch_vectors(conv);
    for (ptrdiff_t y = 0; y < conv.output.height; ++y)
        for (ptrdiff_t x = 0; x < conv.output.width; ++x, patches += LANES * patch) {
            const Vec* from = input + y * w.stride_y * in.map.row() + x * w.stride_x;
            WeightCounter counter{.window = w, .map = in.map};
            for (ptrdiff_t block = 0; block < patch; ++block) {
                Vec values[LANES];
                const ptrdiff_t left = weights - block * LANES;
                for (ptrdiff_t i = 0; i < LANES; ++i) values[i] = i < left ? from[counter.next()] : Vec{};
                transpose(values);
                for (ptrdiff_t image = 0; image < LANES; ++image)
                    patches[image * patch + block] = values[image];
            }
        }
}

inline void group_matrix_gradient(const GeneralConvolution& conv, const Framed& in, const Vec* input,
                                  const Map& gradient_map, const Vec* gradient, ptrdiff_t valid_lanes,
                                  Vec* patches, float* sums, bool add) {
    ptrdiff_t pixels[MAX_MATRIX_PIXELS] = {};
    for (ptrdiff_t y = 0; y < conv.output.height; ++y)
        for (ptrdiff_t x = 0; x < conv.output.width; ++x)
            pixels[y * conv.output.width + x] = LANES * (y * gradient_map.row() + x);
    lay_patches(conv, in, input, patches);
    MatrixTile tile{};
    tile.patch = patch_vectors(conv);
    tile.images = valid_lanes;
    tile.pixels = conv.output.height * conv.output.width;
    tile.gradient_plane = LANES * gradient_map.plane();
    tile.gradient_pixels = pixels;
    tile.weights = group_weights(conv);
    tile.add = add;
    const Tiling vectors = cut(tile.patch, MATRIX_VECTORS);
    const Tiling channels = cut(conv.group_outputs(), MATRIX_CHANNELS);
    for (ptrdiff_t v = 0; v < vectors.tiles; ++v) {
        const ptrdiff_t first = vectors.start_of(v);
        tile.patches = patches + first;
        tile.left = tile.weights - first * LANES;
        for (ptrdiff_t c = 0; c < channels.tiles; ++c) {
            const ptrdiff_t channel = channels.start_of(c);
            tile.gradient = reinterpret_cast<const float*>(gradient) + channel * tile.gradient_plane;
            tile.sums = sums + channel * tile.weights + first * LANES;
            with_constant<MATRIX_VECTORS>(vectors.size_of(v), [&](auto wide) {
                with_constant<MATRIX_CHANNELS>(channels.size_of(c),
                                               [&](auto deep) { matrix_gradient<wide, deep>(tile); });
            });
        }
    }
}

inline void general_weight_gradient(const GeneralConvolution& conv, const Source& input,
                                    const Source& output_gradient, ptrdiff_t valid_lanes,
                                    Span<float> gradient, bool add, Span<float> scratch) {
    UNDER20K_ASSERT(same_shape(conv.input, input.map) && same_shape(conv.output, output_gradient.map));
    UNDER20K_ASSERT(gradient.size >= conv.weights());
    const Sliding2d& w = conv.window;
    Vec* own = vectors(scratch, conv.weight_gradient_scratch / LANES);
    const Framed in = framed(input, w.padding_y, w.padding_x, own);
    Vec* rest = own + framed_size(conv.input, w.padding_y, w.padding_x);
    const Reader gradients(output_gradient);
    const ptrdiff_t group = conv.group_outputs() * group_weights(conv);
    for (ptrdiff_t g = 0; g < conv.groups; ++g) {
        const Vec* from = in.data + in.map.at(g * conv.group_inputs(), -w.padding_y, -w.padding_x);
        const Vec* under = gradients.row(g * conv.group_outputs(), 0);
        if (gradient_is_matrix(conv))
            group_matrix_gradient(conv, in, from, output_gradient.map, under, valid_lanes, rest,
                                  gradient.part(g * group, group).data, add);
        else
            group_gradient(conv, in, from, output_gradient.map, under, rest + g * group);
    }
    if (!gradient_is_matrix(conv)) reduce_lanes(rest, conv.weights(), valid_lanes, gradient, add);
}

}  // namespace under20k::UNDER20K_ISA
