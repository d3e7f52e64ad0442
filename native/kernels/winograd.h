// Convolution with kernels of 3 × 3 or 5 × 5 at Winograd's points (winograd_points.h), forward and backward.
//
// Rows are convolved at the points; over kernel rows and input channels the sum is that of any convolution.
// So between the transforms run six convolutions with kernels of one column, one for each point, which take
// half the multiplications.
//
// A group's map is cut into strips of rows, whose values at the points stay in the second cache.

#pragma once

#include "kernels/convolution.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"
#include "kernels/winograd_points.h"

namespace under20k::UNDER20K_ISA {

// As many rows as these buffers hold, for a strip's first rows repeat the last ones before it; but the caches
// must hold the rest, too.
constexpr int MIN_STRIP_ROWS = 4, MAX_STRIP_ROWS = 14;
constexpr ptrdiff_t STRIP_BYTES = 600'000;

// Vectors at the points of one strip, of its input and of its output.
struct StripSize {
    ptrdiff_t input, output;
};

UNDER20K_INLINE StripSize strip_size(const Convolution& conv, ptrdiff_t max_rows) {
    const Tiling rows = cut(conv.output.height, max_rows);
    const ptrdiff_t tiles = POINTS * (conv.kernel == 5 ? tiles_of<5>(conv.output) : tiles_of<3>(conv.output));
    return {.input = tiles * (rows.size + conv.kernel - 1) * conv.input.channels,
            .output = tiles * rows.size * conv.output.channels};
}

// The most rows of a strip forward.
UNDER20K_INLINE ptrdiff_t strip_rows(const Convolution& conv) {
    ptrdiff_t rows = MAX_STRIP_ROWS;
    for (; rows > MIN_STRIP_ROWS; --rows) {
        const StripSize size = strip_size(conv, rows);
        if ((size.input + size.output) * static_cast<ptrdiff_t>(sizeof(Vec)) <= STRIP_BYTES) break;
    }
    return rows;
}

// Vectors of scratch that a thread needs.
UNDER20K_INLINE ptrdiff_t winograd_scratch(const Convolution& conv) {
    const StripSize size = strip_size(conv, strip_rows(conv));
    return 2 * conv.output.channels + size.input + size.output;
}

// Weights at the points in the order in which tiles read them:
// [point][tile][input channel][kernel row][channel of the tile].
template <int TAPS, typename Weight>
inline void pack_at_points(const Convolution& conv, const Weight& weight, Span<float> packed) {
    const ptrdiff_t inputs = conv.input.channels, point = conv.output.channels * inputs * TAPS;
    UNDER20K_ASSERT(packed.size >= POINTS * point);
    float* next = packed.data;
    for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
        const ptrdiff_t first = conv.channels.start_of(tile), end = first + conv.channels.size_of(tile);
        for (ptrdiff_t i = 0; i < inputs; ++i)
            for (ptrdiff_t ky = 0; ky < TAPS; ++ky)
                for (ptrdiff_t c = first; c < end; ++c) {
                    double row[TAPS];
                    for (int kx = 0; kx < TAPS; ++kx) row[kx] = weight(c, i, TAPS * ky + kx);
                    weights_to_points(row, next++, point);
                }
    }
}

// One strip at one point, in the channels of one tile: its rows follow each other as one, or it is a row.
struct PointRow {
    const Vec* input;
    ptrdiff_t input_row, input_plane;
    ptrdiff_t input_channels;
    ptrdiff_t kernel_rows;  // of 5: those that fall on the map
    const float* weights;   // [input channel][kernel row][channel of the tile]
    Vec* output;
    ptrdiff_t output_plane;
    ptrdiff_t large, small;  // tiles of COLUMNS and of COLUMNS − 1 vectors
};

template <int TAPS, int COLUMNS, int CHANNELS>
UNDER20K_INLINE void point_tile(const PointRow& row, const Vec* __restrict in, Vec* __restrict output) {
    Vec sum[CHANNELS][COLUMNS] = {};
    const float* weight = row.weights;
    const ptrdiff_t next = row.input_row;
    for (ptrdiff_t i = 0; i < row.input_channels; ++i) {
        const ptrdiff_t kernel_rows = TAPS == 3 ? TAPS : row.kernel_rows;
#pragma GCC unroll 3
        for (ptrdiff_t ky = 0; ky < kernel_rows; ++ky)
            add_products<COLUMNS, CHANNELS>(in + ky * next, weight + ky * CHANNELS, sum);
        in += row.input_plane;
        weight += TAPS * CHANNELS;
    }
    for (int c = 0; c < CHANNELS; ++c)
        for (int x = 0; x < COLUMNS; ++x) output[c * row.output_plane + x] = sum[c][x];
}

template <int TAPS, int COLUMNS, int CHANNELS>
void point_row(const PointRow& row) {
    const Vec* input = row.input;
    Vec* output = row.output;
    for (ptrdiff_t tile = 0; tile < row.large; ++tile, input += COLUMNS, output += COLUMNS)
        point_tile<TAPS, COLUMNS, CHANNELS>(row, input, output);
    if constexpr (COLUMNS > 1)
        for (ptrdiff_t tile = 0; tile < row.small; ++tile, input += COLUMNS - 1, output += COLUMNS - 1)
            point_tile<TAPS, COLUMNS - 1, CHANNELS>(row, input, output);
}

template <int TAPS>
struct PointRows {
    using Function = void (*)(const PointRow&);
    template <int COLUMNS, int CHANNELS>
    static constexpr Function function = point_row<TAPS, COLUMNS, CHANNELS>;
};

template <int TAPS>
constexpr auto POINT_ROWS = tile_table<PointRows<TAPS>>();

// Rows of a strip that are multiplied as one. Where a kernel of 5 meets the padding, a row alone, so that it
// leaves out the padding's rows; 3 × 3 has few of them.
UNDER20K_INLINE ptrdiff_t rows_at_once(const Convolution& conv, ptrdiff_t rows) {
    return conv.kernel == 5 && conv.padding > 0 ? 1 : rows;
}

// A strip's products: of its input with the weights, at every point. `above` is the row above its first one
// that the kernel begins with.
template <int TAPS>
inline void multiply_at_points(const Convolution& conv, const Vec* points, ptrdiff_t above, ptrdiff_t rows,
                               const float* packed, Vec* products) {
    const ptrdiff_t inputs = conv.input.channels, tiles = tiles_of<TAPS>(conv.output), plane = rows * tiles;
    const bool alone = TAPS == 5 && conv.padding > 0;
    const ptrdiff_t height = rows_at_once(conv, rows);
    const Tiling columns = cut(height * tiles, conv.columns.size);
    PointRow row{};
    row.input_row = tiles;
    row.input_plane = (rows + TAPS - 1) * tiles;
    row.input_channels = inputs;
    row.output_plane = plane;
    row.large = columns.large;
    row.small = columns.tiles - columns.large;
    for (int p = 0; p < POINTS; ++p) {
        const Vec* input = points + p * inputs * row.input_plane;
        for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
            const ptrdiff_t size = conv.channels.size_of(tile);
            for (ptrdiff_t y = 0; y < rows; y += height) {
                const ptrdiff_t top = above + y, beyond = top + TAPS - conv.input.height;
                const ptrdiff_t first = alone && top < 0 ? -top : 0;
                row.kernel_rows = TAPS - first - (alone && beyond > 0 ? beyond : 0);
                row.input = input + (y + first) * tiles;
                row.weights = packed + first * size;
                row.output = products + y * tiles;
                POINT_ROWS<TAPS>.at(columns.size, size)(row);
            }
            packed += inputs * TAPS * size;
            products += size * plane;
        }
    }
}

// One row of one channel back from the points; adds BatchNorm's statistics to `sums`.
template <int TAPS, bool ADD>
UNDER20K_INLINE void row_from_points(const Vec* products, ptrdiff_t point, ptrdiff_t width, Vec bias,
                                     Finish finish, Vec pivot, Vec* sums, Vec* __restrict output) {
    Vec total{}, squares{};
    const auto store = [&](Vec value, ptrdiff_t x) __attribute__((always_inline)) {
        const Vec kept = rectifies(finish) ? relu(value) : value;
        const Vec deviation = kept - pivot;
        total += deviation;
        squares += deviation * deviation;
        output[x] = ADD ? output[x] + kept : kept;
    };
    Vec y[TILE<TAPS>];
    ptrdiff_t x = 0;
    for (; x + TILE<TAPS> <= width; x += TILE<TAPS>, ++products) {
        from_points(products, point, bias, y);
        for (int i = 0; i < TILE<TAPS>; ++i) store(y[i], x + i);
    }
    if (x < width) {
        from_points(products, point, bias, y);
        for (int i = 0; x + i < width; ++i) store(y[i], x + i);
    }
    sums[0] += total;
    sums[1] += squares;
}

template <int TAPS>
inline void convolve_at_points(const Convolution& conv, Span<const float> input, Span<const float> packed,
                               Span<const float> bias, Span<float> output, const Epilogue& epilogue,
                               Span<float> scratch) {
    const Map& out = conv.output;
    const bool counted = counts(epilogue.finish);
    const ptrdiff_t tiles = tiles_of<TAPS>(out);
    const Tiling strips = cut(out.height, strip_rows(conv));
    const Vec* from = vectors(input, conv.input.size());
    Vec* to = vectors(output, out.size());
    UNDER20K_ASSERT(packed.size >= conv.packed);
    Vec* sums = vectors(scratch, winograd_scratch(conv));  // [channel][sum, sum of squares]
    Vec* points = sums + 2 * out.channels;
    Vec* products = points + strip_size(conv, strip_rows(conv)).input;
    for (ptrdiff_t i = 0; i < 2 * out.channels; ++i) sums[i] = Vec{};

    for (ptrdiff_t strip = 0; strip < strips.tiles; ++strip) {
        const ptrdiff_t first = strips.start_of(strip), rows = strips.size_of(strip);
        input_to_points<TAPS>(conv, from, first - conv.padding, rows + TAPS - 1, points);
        multiply_at_points<TAPS>(conv, points, first - conv.padding, rows, packed.data, products);
        const ptrdiff_t plane = rows * tiles, point = out.channels * plane;
        const auto back = epilogue.add ? row_from_points<TAPS, true> : row_from_points<TAPS, false>;
        for (ptrdiff_t c = 0; c < out.channels; ++c)
            for (ptrdiff_t r = 0; r < rows; ++r)
                back(products + c * plane + r * tiles, point, out.width, broadcast(bias[c]), epilogue.finish,
                     broadcast(counted ? epilogue.statistics.pivot[c] : 0), sums + 2 * c,
                     to + out.at(c, first + r, 0));
    }
    if (counted) sum_statistics(epilogue.statistics, sums, out.channels);
}

}  // namespace under20k::UNDER20K_ISA
