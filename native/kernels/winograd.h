// Convolution with kernels of 3 × 3 at Winograd's points (winograd_points.h), forward and backward.
//
// Along a row all is done at the points; over kernel rows and input channels the sum goes on as in any
// convolution. So between the way there and the way back six convolutions with kernels of one column run, one
// for each point, and take half of the multiplications.
//
// A group's map is cut into strips of rows, so that what lies at the points stays in the second cache.

#pragma once

#include "convolution.h"
#include "kernels.h"
#include "simd.h"
#include "winograd_points.h"

namespace under20k::UNDER20K_ISA {

constexpr int STRIP_ROWS = 4;

// Vectors at the points of one strip, of its input and of its output.
struct StripSize {
    ptrdiff_t input, output;
};

UNDER20K_INLINE StripSize strip_size(const Convolution& conv, int most_rows) {
    const Split rows = split(conv.output.height, most_rows);
    const ptrdiff_t tiles = POINTS * tiles_of(conv.output);
    return {tiles * (rows.size + 2) * conv.input.channels, tiles * rows.size * conv.output.channels};
}

// Vectors of scratch that a thread needs.
UNDER20K_INLINE ptrdiff_t winograd_scratch(const Convolution& conv) {
    const StripSize size = strip_size(conv, STRIP_ROWS);
    return 2 * conv.output.channels + size.input + size.output;
}

// Weights at the points in the order in which tiles read them:
// [point][tile][input channel][kernel row][channel of the tile].
template <typename Weight>
inline void pack_at_points(const Convolution& conv, const Weight& weight, float* packed) {
    const int inputs = conv.input.channels;
    const ptrdiff_t point = static_cast<ptrdiff_t>(conv.output.channels) * inputs * 3;
    for (int tile = 0; tile < conv.channels.tiles; ++tile) {
        const int first = tile_start(conv.channels, tile), size = tile_size(conv.channels, tile);
        for (int i = 0; i < inputs; ++i)
            for (int ky = 0; ky < 3; ++ky)
                for (int c = first; c < first + size; ++c)
                    weights_to_points(weight(c, i, 3 * ky), weight(c, i, 3 * ky + 1), weight(c, i, 3 * ky + 2), packed++,
                                      point);
    }
}

// One strip at one point, in the channels of one tile: its rows follow each other as one.
struct PointRow {
    const Vec* input;
    ptrdiff_t input_row, input_plane;
    int input_channels;
    const float* weights;  // [input channel][kernel row][channel of the tile]
    Vec* output;
    ptrdiff_t output_plane;
    int large, small;  // tiles of COLUMNS and of COLUMNS − 1 vectors
};

template <int COLUMNS, int CHANNELS>
UNDER20K_INLINE void point_tile(const PointRow& row, const Vec* __restrict in, Vec* __restrict output) {
    Vec sum[CHANNELS][COLUMNS] = {};
    const float* weight = row.weights;
    const ptrdiff_t next = row.input_row;
    for (int i = 0; i < row.input_channels; ++i) {
#pragma GCC unroll 3
        for (int ky = 0; ky < 3; ++ky)
            add_products<COLUMNS, CHANNELS>(in + ky * next, weight + ky * CHANNELS, sum);
        in += row.input_plane;
        weight += 3 * CHANNELS;
    }
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x) output[c * row.output_plane + x] = sum[c][x];
}

template <int COLUMNS, int CHANNELS>
void point_row(const PointRow& row) {
    const Vec* input = row.input;
    Vec* output = row.output;
    for (int tile = 0; tile < row.large; ++tile, input += COLUMNS, output += COLUMNS)
        point_tile<COLUMNS, CHANNELS>(row, input, output);
    if constexpr (COLUMNS > 1)
        for (int tile = 0; tile < row.small; ++tile, input += COLUMNS - 1, output += COLUMNS - 1)
            point_tile<COLUMNS - 1, CHANNELS>(row, input, output);
}

struct PointRows {
    using Function = void (*)(const PointRow&);
    template <int COLUMNS, int CHANNELS>
    static constexpr Function function = point_row<COLUMNS, CHANNELS>;
};

constexpr auto POINT_ROWS = functions_by_tile<PointRows>();

// A strip's products: of its input with the weights, at every point.
inline void multiply_at_points(const Convolution& conv, const Vec* points, int rows, const float* packed, Vec* products) {
    const int inputs = conv.input.channels, tiles = tiles_of(conv.output), plane = rows * tiles;
    const Split columns = split(plane, conv.columns.size);
    const auto& functions = POINT_ROWS.of[columns.size];
    PointRow row{};
    row.input_row = tiles;
    row.input_plane = static_cast<ptrdiff_t>(rows + 2) * tiles;
    row.input_channels = inputs;
    row.weights = packed;
    row.output = products;
    row.output_plane = plane;
    row.large = columns.large;
    row.small = columns.tiles - columns.large;
    for (int p = 0; p < POINTS; ++p) {
        row.input = points + p * inputs * row.input_plane;
        for (int tile = 0; tile < conv.channels.tiles; ++tile) {
            const int size = tile_size(conv.channels, tile);
            functions[size](row);
            row.weights += inputs * 3 * size;
            row.output += size * row.output_plane;
        }
    }
}

// One row of one channel back from the points; adds what BatchNorm counts to `sums`.
UNDER20K_INLINE void row_from_points(const Vec* products, ptrdiff_t point, int width, Vec bias, Finish finish, Vec pivot,
                                     Vec* sums, Vec* __restrict output) {
    Vec total{}, squares{};
    const auto store = [&](Vec value, int x) __attribute__((always_inline)) {
        const Vec deviation = value - pivot;
        total += deviation;
        squares += deviation * deviation;
        output[x] = finish == Finish::relu ? relu(value) : value;
    };
    Vec y[TILE];
    int x = 0;
    for (; x + TILE <= width; x += TILE, ++products) {
        from_points(products, point, bias, y);
        for (int i = 0; i < TILE; ++i) store(y[i], x + i);
    }
    if (x < width) {
        from_points(products, point, bias, y);
        for (int i = 0; x + i < width; ++i) store(y[i], x + i);
    }
    sums[0] += total;
    sums[1] += squares;
}

inline void convolve_at_points(const Convolution& conv, const float* input, const float* packed, const float* bias,
                               float* output, Finish finish, const Statistics* statistics, int live, float* scratch) {
    const Map& out = conv.output;
    const int tiles = tiles_of(out);
    const Split strips = split(out.height, STRIP_ROWS);
    Vec* sums = reinterpret_cast<Vec*>(scratch);  // [channel][sum, sum of squares]
    Vec* points = sums + 2 * out.channels;
    Vec* products = points + strip_size(conv, STRIP_ROWS).input;
    for (int i = 0; i < 2 * out.channels; ++i) sums[i] = Vec{};

    for (int strip = 0; strip < strips.tiles; ++strip) {
        const int first = tile_start(strips, strip), rows = tile_size(strips, strip);
        input_to_points(conv, input, first - conv.padding, rows + 2, points);
        multiply_at_points(conv, points, rows, packed, products);
        const ptrdiff_t plane = static_cast<ptrdiff_t>(rows) * tiles, point = out.channels * plane;
        for (int c = 0; c < out.channels; ++c)
            for (int r = 0; r < rows; ++r)
                row_from_points(products + c * plane + r * tiles, point, out.width, broadcast(bias[c]), finish,
                                broadcast(statistics ? statistics->pivot[c] : 0), sums + 2 * c,
                                reinterpret_cast<Vec*>(output) + out.at(c, first + r, 0));
    }
    if (statistics) sum_statistics(*statistics, sums, out.channels, live);
}

}  // namespace under20k::UNDER20K_ISA
