// Convolution of one group, forward and (with transposed weights) backward.
//
// A tile is a few neighbouring columns × a few output channels of one row, whose sums stay in registers
// while every input channel and kernel tap is added: each input vector loaded serves all channels of the
// tile, each weight all its columns. A weight is one float, broadcast to all lanes.

#pragma once

#include "kernels.h"
#include "simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int MOST_CHANNELS = REGISTERS == 32 ? 8 : 6;
constexpr int MOST_COLUMNS = 6;

// One row of output in the channels of one tile.
struct ConvolutionRow {
    const Vec* input;  // at the first tap of the first column
    ptrdiff_t input_row, input_plane;
    int input_channels;
    int kernel_rows;       // those that fall on the map; rows of padding are skipped
    const float* weights;  // [input channel][kernel row][kernel column][channel of the tile], at the first row
    const float* bias;
    Vec* output;
    ptrdiff_t output_plane;
    int large, small;  // tiles of COLUMNS and of COLUMNS − 1 columns
    Finish finish;
    const float* pivot;
    Vec* sums;  // [channel][sum, sum of squares]
};

// What a vector of inputs is made of, and how it is multiplied: floats here, pairs of smaller numbers in bf16.h.
struct Singles {
    UNDER20K_INLINE static Vec broadcast(const float* weight) { return UNDER20K_ISA::broadcast(*weight); }
    UNDER20K_INLINE static void add_product(Vec& sum, Vec a, Vec b) { sum += a * b; }
};

// Adds inputs of neighbouring columns × weights of the tile's channels. The fewer of inputs and weights wait in
// registers while the others pass by, each loaded once.
template <int COLUMNS, int CHANNELS, typename Numbers = Singles>
UNDER20K_INLINE void add_products(const Vec* __restrict input, const float* weights, Vec (&sum)[CHANNELS][COLUMNS]) {
    if constexpr (COLUMNS <= CHANNELS) {
        Vec value[COLUMNS];
#pragma GCC unroll 8
        for (int x = 0; x < COLUMNS; ++x) value[x] = keep(input[x]);
#pragma GCC unroll 8
        for (int c = 0; c < CHANNELS; ++c) {
            const Vec factor = Numbers::broadcast(weights + c);
#pragma GCC unroll 8
            for (int x = 0; x < COLUMNS; ++x) Numbers::add_product(sum[c][x], value[x], factor);
        }
    } else {
        Vec factor[CHANNELS];
#pragma GCC unroll 8
        for (int c = 0; c < CHANNELS; ++c) factor[c] = keep(Numbers::broadcast(weights + c));
#pragma GCC unroll 8
        for (int x = 0; x < COLUMNS; ++x) {
            const Vec value = input[x];
#pragma GCC unroll 8
            for (int c = 0; c < CHANNELS; ++c) Numbers::add_product(sum[c][x], value, factor[c]);
        }
    }
}

template <typename Numbers, int KERNEL, int COLUMNS, int CHANNELS>
UNDER20K_INLINE void convolve_tile(const ConvolutionRow& row, const Vec* __restrict input, Vec* __restrict output) {
    Vec sum[CHANNELS][COLUMNS];
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x) sum[c][x] = broadcast(row.bias[c]);

    for (int i = 0; i < row.input_channels; ++i) {
        const Vec* in = input + i * row.input_plane;
        const float* weight = row.weights + i * (KERNEL * KERNEL * CHANNELS);
        for (int ky = 0; ky < row.kernel_rows; ++ky) {
#pragma GCC unroll 3
            for (int kx = 0; kx < KERNEL; ++kx)
                add_products<COLUMNS, CHANNELS, Numbers>(in + kx, weight + kx * CHANNELS, sum);
            in += row.input_row;
            weight += KERNEL * CHANNELS;
        }
    }

    if (row.finish == Finish::statistics) {
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
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x)
            output[c * row.output_plane + x] = row.finish == Finish::relu ? relu(sum[c][x]) : sum[c][x];
}

template <typename Numbers, int KERNEL, int COLUMNS, int CHANNELS>
void convolve_row(const ConvolutionRow& row) {
    const Vec* input = row.input;
    Vec* output = row.output;
    for (int tile = 0; tile < row.large; ++tile, input += COLUMNS, output += COLUMNS)
        convolve_tile<Numbers, KERNEL, COLUMNS, CHANNELS>(row, input, output);
    if constexpr (COLUMNS > 1)
        for (int tile = 0; tile < row.small; ++tile, input += COLUMNS - 1, output += COLUMNS - 1)
            convolve_tile<Numbers, KERNEL, COLUMNS - 1, CHANNELS>(row, input, output);
}

// Sums, the fewer of inputs and weights, and one of the others; one register is left to the compiler, which
// spills sums to memory otherwise.
constexpr bool fits(int columns, int channels) {
    const int fewer = columns < channels ? columns : channels;
    return columns <= MOST_COLUMNS && channels <= MOST_CHANNELS && columns * channels + fewer + 1 < REGISTERS;
}

// The compiled functions for tiles, by index, for the size is known only when the network is.
template <typename Function>
struct FunctionsByTile {
    Function of[MOST_COLUMNS + 1][MOST_CHANNELS + 1] = {};
};

template <typename Rows, int COLUMNS = 1, int CHANNELS = 1>
constexpr void fill(FunctionsByTile<typename Rows::Function>& table) {
    if constexpr (COLUMNS <= MOST_COLUMNS) {
        if constexpr (fits(COLUMNS, CHANNELS)) {
            table.of[COLUMNS][CHANNELS] = Rows::template function<COLUMNS, CHANNELS>;
            fill<Rows, COLUMNS, CHANNELS + 1>(table);
        } else {
            fill<Rows, COLUMNS + 1, 1>(table);
        }
    }
}

template <typename Rows>
constexpr auto functions_by_tile() {
    FunctionsByTile<typename Rows::Function> table;
    fill<Rows>(table);
    return table;
}

template <typename Numbers, int KERNEL>
struct DirectRows {
    using Function = void (*)(const ConvolutionRow&);
    template <int COLUMNS, int CHANNELS>
    static constexpr Function function = convolve_row<Numbers, KERNEL, COLUMNS, CHANNELS>;
};

template <typename Numbers, int KERNEL>
constexpr auto ROWS = functions_by_tile<DirectRows<Numbers, KERNEL>>();

// The tiles that take the fewest cycles for `channels` × `width` outputs by a simple count: two multiply-adds or
// two loads a cycle, and no tile faster than the latency of one multiply-add.
inline void choose_tiles(int width, int outputs, Split* columns, Split* channels) {
    double least = 1e300;
    for (int across = 1; across <= MOST_COLUMNS; ++across)
        for (int deep = 1; deep <= MOST_CHANNELS; ++deep) {
            if (!fits(across, deep)) continue;
            const Split x = split(width, across), c = split(outputs, deep);
            double cycles = 0;
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 2; ++j) {
                    const int tiles = (i ? x.tiles - x.large : x.large) * (j ? c.tiles - c.large : c.large);
                    const double products = (x.size - i) * (c.size - j), loads = (x.size - i) + (c.size - j);
                    double worst = products > loads ? products : loads;
                    if (worst < 8) worst = 8;
                    // Measured: with weights waiting and inputs passing by a tile runs slower than the other way.
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
inline void pack_directly(const Convolution& conv, const Weight& weight, float* packed) {
    const int inputs = conv.input.channels, taps = conv.kernel * conv.kernel;
    for (int tile = 0; tile < conv.channels.tiles; ++tile) {
        const int first = tile_start(conv.channels, tile), size = tile_size(conv.channels, tile);
        for (int i = 0; i < inputs; ++i)
            for (int tap = 0; tap < taps; ++tap)
                for (int c = first; c < first + size; ++c) *packed++ = static_cast<float>(weight(c, i, tap));
    }
}

// A group's statistics from those of its lanes.
inline void sum_statistics(const Statistics& statistics, const Vec* sums, int channels, int live) {
    const IntVec mask = live_lanes(live);
    for (int c = 0; c < channels; ++c)
        for (int part = 0; part < 2; ++part)
            statistics.sums[part * channels + c] = sum_lanes(where(mask, sums[2 * c + part]));
}

// `scratch` holds two vectors for each channel of the output.
template <typename Numbers>
void convolve_directly(const Convolution& conv, const float* input, const float* packed, const float* bias,
                              float* output, Finish finish, const Statistics* statistics, int live, float* scratch) {
    const auto& functions = (conv.kernel == 3 ? ROWS<Numbers, 3> : ROWS<Numbers, 1>).of[conv.columns.size];
    const Map &in = conv.input, &out = conv.output;
    const int channel_weights = in.channels * conv.kernel * conv.kernel;
    Vec* sums = reinterpret_cast<Vec*>(scratch);  // [channel][sum, sum of squares]
    if (statistics)
        for (int i = 0; i < 2 * out.channels; ++i) sums[i] = Vec{};

    ConvolutionRow row{};
    row.input_row = in.row();
    row.input_plane = in.plane();
    row.input_channels = in.channels;
    row.output_plane = out.plane();
    row.large = conv.columns.large;
    row.small = conv.columns.tiles - conv.columns.large;
    row.finish = finish;
    // Row by row, all channels of a row before the next: the input rows are then still in the first cache.
    for (int y = 0; y < out.height; ++y) {
        const int above = conv.padding - y, below = y - conv.padding + conv.kernel - in.height;
        const int first_ky = above > 0 ? above : 0, last_ky = conv.kernel - (below > 0 ? below : 0);
        row.kernel_rows = last_ky - first_ky;
        row.input = reinterpret_cast<const Vec*>(input) + in.at(0, y - conv.padding + first_ky, -conv.padding);
        for (int tile = 0; tile < conv.channels.tiles; ++tile) {
            const int first = tile_start(conv.channels, tile), size = tile_size(conv.channels, tile);
            row.weights = packed + first * channel_weights + first_ky * conv.kernel * size;
            row.bias = bias + first;
            row.output = reinterpret_cast<Vec*>(output) + out.at(first, y, 0);
            if (statistics) {
                row.pivot = statistics->pivot + first;
                row.sums = sums + 2 * first;
            }
            functions[size](row);
        }
    }
    if (statistics) sum_statistics(*statistics, sums, out.channels, live);
}

}  // namespace under20k::UNDER20K_ISA
