// Convolution of one group, forward and (with transposed weights) backward.
//
// A tile is a few neighbouring columns × a few output channels of one row, whose sums stay in registers while
// every input channel and kernel tap is added: each input vector loaded serves all channels of the tile, each
// weight all its columns. A weight is one float, broadcast to all lanes.

#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int MAX_TILE_CHANNELS = REGISTERS == 32 ? 8 : 6;
constexpr int MAX_TILE_COLUMNS = 6;

// One row of output in the channels of one tile.
struct ConvolutionRow {
    const Vec* input;  // at the first tap of the first column
    ptrdiff_t input_row, input_plane;
    ptrdiff_t input_channels;
    ptrdiff_t kernel_rows;  // those that fall on the map; rows of padding are skipped
    const float*
        weights;  // [input channel][kernel row][kernel column][channel of the tile], at the first row
    const float* bias;
    Vec* output;
    ptrdiff_t output_plane;
    ptrdiff_t large, small;  // tiles of COLUMNS and of COLUMNS − 1 columns
    Finish finish;
    bool add;
    const float* pivot;
    Vec* sums;  // [channel][sum, sum of squares]
};

// What a vector of inputs holds and how it is multiplied: floats here, pairs of bf16 in bf16.h.
struct Float32 {
    UNDER20K_INLINE static Vec broadcast(const float* weight) { return UNDER20K_ISA::broadcast(*weight); }
    UNDER20K_INLINE static void add_product(Vec& sum, Vec a, Vec b) { sum += a * b; }
};

// Add inputs of neighbouring columns × weights of the tile's channels. The fewer of inputs and weights are
// kept in registers; each of the others is loaded once.
template <int COLUMNS, int CHANNELS, typename Arithmetic = Float32>
UNDER20K_INLINE void add_products(const Vec* __restrict input, const float* weights,
                                  Vec (&sum)[CHANNELS][COLUMNS]) {
    if constexpr (COLUMNS <= CHANNELS) {
        Vec value[COLUMNS];
#pragma GCC unroll 8
        for (int x = 0; x < COLUMNS; ++x) value[x] = keep(input[x]);
#pragma GCC unroll 8
        for (int c = 0; c < CHANNELS; ++c) {
            const Vec factor = Arithmetic::broadcast(weights + c);
#pragma GCC unroll 8
            for (int x = 0; x < COLUMNS; ++x) Arithmetic::add_product(sum[c][x], value[x], factor);
        }
    } else {
        Vec factor[CHANNELS];
#pragma GCC unroll 8
        for (int c = 0; c < CHANNELS; ++c) factor[c] = keep(Arithmetic::broadcast(weights + c));
#pragma GCC unroll 8
        for (int x = 0; x < COLUMNS; ++x) {
            const Vec value = input[x];
#pragma GCC unroll 8
            for (int c = 0; c < CHANNELS; ++c) Arithmetic::add_product(sum[c][x], value, factor[c]);
        }
    }
}

template <typename Arithmetic, int KERNEL, int COLUMNS, int CHANNELS>
UNDER20K_INLINE void convolve_tile(const ConvolutionRow& row, const Vec* __restrict input,
                                   Vec* __restrict output) {
    Vec sum[CHANNELS][COLUMNS];
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x) sum[c][x] = broadcast(row.bias[c]);

    for (ptrdiff_t i = 0; i < row.input_channels; ++i) {
        const Vec* in = input + i * row.input_plane;
        const float* weight = row.weights + i * (KERNEL * KERNEL * CHANNELS);
        for (ptrdiff_t ky = 0; ky < row.kernel_rows; ++ky) {
#pragma GCC unroll 3
            for (int kx = 0; kx < KERNEL; ++kx)
                add_products<COLUMNS, CHANNELS, Arithmetic>(in + kx, weight + kx * CHANNELS, sum);
            in += row.input_row;
            weight += KERNEL * CHANNELS;
        }
    }

    if (rectifies(row.finish))
        for (int c = 0; c < CHANNELS; ++c)
            for (int x = 0; x < COLUMNS; ++x) sum[c][x] = relu(sum[c][x]);
    if (counts(row.finish)) {
        for (int c = 0; c < CHANNELS; ++c) {
            Vec total{}, squares{};
            for (int x = 0; x < COLUMNS; ++x) {
                const Vec deviation = sum[c][x] - row.pivot[c];
                total += deviation;
                squares += deviation * deviation;
            }
            row.sums[2 * c] += total;
            row.sums[2 * c + 1] += squares;
        }
    }
    if (row.add)
        for (int c = 0; c < CHANNELS; ++c)
            for (int x = 0; x < COLUMNS; ++x) sum[c][x] += output[c * row.output_plane + x];
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x) output[c * row.output_plane + x] = sum[c][x];
}

template <typename Arithmetic, int KERNEL, int COLUMNS, int CHANNELS>
void convolve_row(const ConvolutionRow& row) {
    const Vec* input = row.input;
    Vec* output = row.output;
    for (ptrdiff_t tile = 0; tile < row.large; ++tile, input += COLUMNS, output += COLUMNS)
        convolve_tile<Arithmetic, KERNEL, COLUMNS, CHANNELS>(row, input, output);
    if constexpr (COLUMNS > 1)
        for (ptrdiff_t tile = 0; tile < row.small; ++tile, input += COLUMNS - 1, output += COLUMNS - 1)
            convolve_tile<Arithmetic, KERNEL, COLUMNS - 1, CHANNELS>(row, input, output);
}

// Whether a tile fits the registers: sums, the fewer of inputs and weights, and one of the others. One
// register is left to the compiler, which otherwise spills sums to memory.
constexpr bool fits(int columns, int channels) {
    const int fewer = columns < channels ? columns : channels;
    return columns <= MAX_TILE_COLUMNS && channels <= MAX_TILE_CHANNELS &&
           columns * channels + fewer + 1 < REGISTERS;
}

// The functions compiled for each size of tile, which is known only at run time.
template <typename Function>
struct TileTable {
    Function functions[MAX_TILE_COLUMNS + 1][MAX_TILE_CHANNELS + 1] = {};

    UNDER20K_INLINE Function at(ptrdiff_t columns, ptrdiff_t channels) const {
        UNDER20K_ASSERT(columns >= 1 && columns <= MAX_TILE_COLUMNS && channels >= 1 &&
                        channels <= MAX_TILE_CHANNELS);
        return functions[columns][channels];
    }
};

template <typename Rows, int COLUMNS = 1, int CHANNELS = 1>
constexpr void fill(TileTable<typename Rows::Function>& table) {
    if constexpr (COLUMNS <= MAX_TILE_COLUMNS) {
        if constexpr (fits(COLUMNS, CHANNELS)) {
            table.functions[COLUMNS][CHANNELS] = Rows::template function<COLUMNS, CHANNELS>;
            fill<Rows, COLUMNS, CHANNELS + 1>(table);
        } else {
            fill<Rows, COLUMNS + 1, 1>(table);
        }
    }
}

template <typename Rows>
constexpr auto tile_table() {
    TileTable<typename Rows::Function> table;
    fill<Rows>(table);
    return table;
}

template <typename Arithmetic, int KERNEL>
struct DirectRows {
    using Function = void (*)(const ConvolutionRow&);
    template <int COLUMNS, int CHANNELS>
    static constexpr Function function = convolve_row<Arithmetic, KERNEL, COLUMNS, CHANNELS>;
};

template <typename Arithmetic, int KERNEL>
constexpr auto ROWS = tile_table<DirectRows<Arithmetic, KERNEL>>();

// The tiles that take the fewest cycles for `channels` × `width` outputs by a simple count: two multiply-adds
// or two loads a cycle, and no tile faster than the latency of one multiply-add.
inline void choose_tiles(ptrdiff_t width, ptrdiff_t outputs, Tiling* columns, Tiling* channels) {
    double least = 1e300;
    for (int across = 1; across <= MAX_TILE_COLUMNS; ++across)
        for (int deep = 1; deep <= MAX_TILE_CHANNELS; ++deep) {
            if (!fits(across, deep)) continue;
            const Tiling x = cut(width, across), c = cut(outputs, deep);
            double cycles = 0;
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 2; ++j) {
                    const auto tiles = static_cast<double>((i ? x.tiles - x.large : x.large) *
                                                           (j ? c.tiles - c.large : c.large));
                    const auto products = static_cast<double>((x.size - i) * (c.size - j));
                    const auto loads = static_cast<double>((x.size - i) + (c.size - j));
                    double worst = products > loads ? products : loads;
                    if (worst < 8) worst = 8;
                    // Measured: a tile that keeps its weights in registers is slower than one that keeps its
                    // inputs.
                    if (x.size - i > c.size - j) worst *= 1.25;
                    cycles += tiles * (worst / 2 + 0.3);
                }
            if (cycles < least) {
                least = cycles;
                *channels = c;
                *columns = x;
            }
        }
}

// `weight(output, input, tap)` in the order in which tiles read them:
// [tile][input channel][kernel row][kernel column][channel of the tile].
template <typename Weight>
inline void pack_directly(const Convolution& conv, const Weight& weight, Span<float> packed) {
    ptrdiff_t next = 0;
    for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
        const ptrdiff_t first = conv.channels.start_of(tile), end = first + conv.channels.size_of(tile);
        for (ptrdiff_t i = 0; i < conv.input.channels; ++i)
            for (ptrdiff_t tap = 0; tap < conv.taps(); ++tap)
                for (ptrdiff_t c = first; c < end; ++c)
                    packed[next++] = static_cast<float>(weight(c, i, tap));
    }
}

// A group's statistics from those of its lanes, [channel][sum, sum of squares].
inline void sum_statistics(const Statistics& statistics, const Vec* sums, ptrdiff_t channels) {
    const IntVec mask = lane_mask(statistics.valid_lanes);
    for (ptrdiff_t c = 0; c < channels; ++c)
        for (ptrdiff_t part = 0; part < 2; ++part)
            statistics.sums[part * channels + c] = sum_lanes(where(mask, sums[2 * c + part]));
}

// `scratch` holds two vectors for each channel of the output.
template <typename Arithmetic>
void convolve_directly(const Convolution& conv, Span<const float> input, Span<const float> packed,
                       Span<const float> bias, Span<float> output, const Epilogue& epilogue,
                       Span<float> scratch) {
    const auto& table = conv.kernel == 3 ? ROWS<Arithmetic, 3> : ROWS<Arithmetic, 1>;
    const Map &in = conv.input, &out = conv.output;
    const Vec* from = vectors(input, in.size());
    Vec* to = vectors(output, out.size());
    const bool counted = counts(epilogue.finish);
    const ptrdiff_t channel_weights = in.channels * conv.taps();
    UNDER20K_ASSERT(packed.size >= out.channels * channel_weights && bias.size >= out.channels);
    Vec* sums = vectors(scratch, 2 * out.channels);  // [channel][sum, sum of squares]
    if (counted)
        for (ptrdiff_t i = 0; i < 2 * out.channels; ++i) sums[i] = Vec{};

    ConvolutionRow row{};
    row.input_row = in.row();
    row.input_plane = in.plane();
    row.input_channels = in.channels;
    row.output_plane = out.plane();
    row.large = conv.columns.large;
    row.small = conv.columns.tiles - conv.columns.large;
    row.finish = epilogue.finish;
    row.add = epilogue.add;
    // Row by row, all channels of a row before the next one: the input rows are then still in the first
    // cache.
    for (ptrdiff_t y = 0; y < out.height; ++y) {
        const ptrdiff_t above = conv.padding - y, below = y - conv.padding + conv.kernel - in.height;
        const ptrdiff_t first_ky = above > 0 ? above : 0, last_ky = conv.kernel - (below > 0 ? below : 0);
        row.kernel_rows = last_ky - first_ky;
        row.input = from + in.at(0, y - conv.padding + first_ky, -conv.padding);
        for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
            const ptrdiff_t first = conv.channels.start_of(tile), size = conv.channels.size_of(tile);
            row.weights = packed.data + first * channel_weights + first_ky * conv.kernel * size;
            row.bias = bias.data + first;
            row.output = to + out.at(first, y, 0);
            if (counted) {
                row.pivot = epilogue.statistics.pivot.part(first, size).data;
                row.sums = sums + 2 * first;
            }
            table.at(conv.columns.size, size)(row);
        }
    }
    if (counted) sum_statistics(epilogue.statistics, sums, out.channels);
}

}  // namespace under20k::UNDER20K_ISA
