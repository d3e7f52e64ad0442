// Convolutions of any kernel, stride, padding, dilation and groups, forward and backward to the input; and
// linear layers, which are convolutions.
//
// As in convolution.h, a tile is a few neighbouring columns × a few output channels of one row, whose sums
// stay in registers. Here the taps of a row are a list: where each finds its input, and which weight it has.
// Backward, neighbouring columns of the input meet different taps where the stride is more than 1, so a row
// is cut into phases, columns a stride apart, which meet the same ones.

#pragma once

#include "kernels/convolution.h"
#include "kernels/elementwise.h"
#include "kernels/framed.h"
#include "kernels/general_gradient.h"
#include "kernels/operations.h"
#include "kernels/simd.h"
#include "kernels/tiles.h"

namespace under20k::UNDER20K_ISA {

constexpr ptrdiff_t MAX_LISTED_TAPS = SIDE * SIDE;

struct Tap {
    ptrdiff_t input;   // vectors from the first column's origin
    ptrdiff_t weight;  // number of the tap in the kernel
};

// One row of output, or one phase of it, in the channels of one tile.
struct TapRow {
    const Vec* input;
    ptrdiff_t input_step, input_plane;  // vectors between neighbouring columns, and channels
    ptrdiff_t input_channels;
    const Tap* taps;
    ptrdiff_t tap_count;
    const float* weights;  // [input channel][tap of the kernel][channel of the tile]
    ptrdiff_t kernel_taps;
    const float* bias;  // null for none
    Vec* output;
    ptrdiff_t output_step;
    const ptrdiff_t* output_channels;  // where each of the tile's channels begins
    bool add;
    Finish finish;
    const float* pivot;
    Vec* sums;  // [channel][sum, sum of squares]
};

// Add `COLUMNS` inputs a step apart × the weights of the tile's channels.
template <int COLUMNS, int CHANNELS, typename Step>
UNDER20K_INLINE void add_tap(const Vec* input, Step step, const float* weights,
                             Vec (&sum)[CHANNELS][COLUMNS]) {
    if constexpr (COLUMNS <= CHANNELS) {
        Vec value[COLUMNS];
#pragma GCC unroll 16
        for (int x = 0; x < COLUMNS; ++x) value[x] = keep(input[x * step]);
#pragma GCC unroll 16
        for (int c = 0; c < CHANNELS; ++c) {
            const Vec factor = broadcast(weights[c]);
#pragma GCC unroll 16
            for (int x = 0; x < COLUMNS; ++x) sum[c][x] += value[x] * factor;
        }
    } else {
        Vec factor[CHANNELS];
#pragma GCC unroll 16
        for (int c = 0; c < CHANNELS; ++c) factor[c] = keep(broadcast(weights[c]));
#pragma GCC unroll 16
        for (int x = 0; x < COLUMNS; ++x) {
            const Vec value = input[x * step];
#pragma GCC unroll 16
            for (int c = 0; c < CHANNELS; ++c) sum[c][x] += value * factor[c];
        }
    }
}

template <int COLUMNS, int CHANNELS>
UNDER20K_INLINE void count_statistics(const TapRow& row, const Vec (&sum)[CHANNELS][COLUMNS]) {
    for (int c = 0; c < CHANNELS; ++c) {
        const Vec pivot = broadcast(row.pivot[c]);
        Vec total{}, squares{};
        for (int x = 0; x < COLUMNS; ++x) {
            const Vec deviation = sum[c][x] - pivot;
            total += deviation;
            squares += deviation * deviation;
        }
        row.sums[2 * c] += total;
        row.sums[2 * c + 1] += squares;
    }
}

// A step of 1 as a constant. Not std::integral_constant, whose conversion would be one symbol for all
// instruction sets.
struct UnitStep {
    UNDER20K_INLINE constexpr operator ptrdiff_t() const { return 1; }
};

// The sums of one tile. `step` is row.input_step, as a constant where it is 1.
template <int COLUMNS, int CHANNELS, typename Step>
UNDER20K_INLINE void sum_taps(const TapRow& row, Step step, const Vec* input, Vec (&sum)[CHANNELS][COLUMNS]) {
    const float* weights = row.weights;
    const ptrdiff_t channel_weights = row.kernel_taps * CHANNELS;
    if (row.tap_count == 1) {
        input += row.taps->input;
        weights += row.taps->weight * CHANNELS;
        for (ptrdiff_t i = 0; i < row.input_channels; ++i) {
            add_tap<COLUMNS, CHANNELS>(input, step, weights, sum);
            input += row.input_plane;
            weights += channel_weights;
        }
        return;
    }
    const Tap* const end = row.taps + row.tap_count;
    for (ptrdiff_t i = 0; i < row.input_channels; ++i) {
        for (const Tap* tap = row.taps; tap < end; ++tap)
            add_tap<COLUMNS, CHANNELS>(input + tap->input, step, weights + tap->weight * CHANNELS, sum);
        input += row.input_plane;
        weights += channel_weights;
    }
}

// `count` tiles side by side.
template <int COLUMNS, int CHANNELS>
void convolve_taps(const TapRow& row, ptrdiff_t count, const Vec* input, Vec* output) {
    for (ptrdiff_t tile = 0; tile < count; ++tile) {
        Vec sum[CHANNELS][COLUMNS];
        for (int c = 0; c < CHANNELS; ++c)
            for (int x = 0; x < COLUMNS; ++x) sum[c][x] = row.bias ? broadcast(row.bias[c]) : Vec{};
        if (COLUMNS == 1 || row.input_step == 1)
            sum_taps(row, UnitStep(), input, sum);
        else
            sum_taps(row, row.input_step, input, sum);
        if (rectifies(row.finish))
            for (int c = 0; c < CHANNELS; ++c)
                for (int x = 0; x < COLUMNS; ++x) sum[c][x] = relu(sum[c][x]);
        if (counts(row.finish)) count_statistics<COLUMNS, CHANNELS>(row, sum);
        for (int c = 0; c < CHANNELS; ++c) {
            Vec* to = output + row.output_channels[c];
            for (int x = 0; x < COLUMNS; ++x) put(to[x * row.output_step], sum[c][x], row.add);
        }
        input += COLUMNS * row.input_step;
        output += COLUMNS * row.output_step;
    }
}

struct TapTiles {
    // The widest tiles are of one channel, for depthwise convolutions, the deepest of one column, for linear
    // layers.
    static constexpr int MAX_WIDTH = REGISTERS == 32 ? 14 : 8, MAX_DEPTH = MAX_WIDTH;
    static constexpr bool fits(int columns, int channels) {
        const int fewer = columns < channels ? columns : channels;
        if (columns > 1 && channels > 1 && (columns > 6 || channels > 8)) return false;
        return columns * channels + fewer + 1 < REGISTERS;
    }
    static double cycles(ptrdiff_t columns, ptrdiff_t channels) {
        // Measured: a tile that keeps its weights in registers is slower than one that keeps its inputs.
        return tile_cycles(columns, channels) * (columns > channels && channels > 1 ? 1.25 : 1);
    }

    using Function = void (*)(const TapRow&, ptrdiff_t count, const Vec* input, Vec* output);
    template <int COLUMNS, int CHANNELS>
    static constexpr Function function = convolve_taps<COLUMNS, CHANNELS>;
};

constexpr SizeTable<TapTiles, TapTiles::Function> TAP_TILES;

inline void convolve_tap_row(const TapRow& row, const Tiling& columns, ptrdiff_t channels) {
    const Vec* input = row.input;
    Vec* output = row.output;
    TAP_TILES.at(columns.size, channels)(row, columns.large, input, output);
    const ptrdiff_t wide = columns.large * columns.size, small = columns.tiles - columns.large;
    if (small)
        TAP_TILES.at(columns.size - 1, channels)(row, small, input + wide * row.input_step,
                                                 output + wide * row.output_step);
}

// Whether a convolution is a matrix product: one output pixel, which sees the whole map.
UNDER20K_INLINE bool is_matrix(const GeneralConvolution& conv) {
    const Sliding2d& w = conv.window;
    return conv.groups == 1 && conv.output.height == 1 && conv.output.width == 1 &&
           w.kernel_y == conv.input.height && w.kernel_x == conv.input.width && w.padding_y == 0 &&
           w.padding_x == 0 && w.dilation_y == 1 && w.dilation_x == 1;
}

inline GeneralConvolution general_convolution(const Map& input, const Map& output, const Sliding2d& window,
                                              ptrdiff_t groups) {
    UNDER20K_ASSERT(window.taps() <= MAX_LISTED_TAPS);
    GeneralConvolution conv{.input = input, .output = output, .window = window, .groups = groups};
    choose_sizes<TapTiles>(output.width, conv.group_outputs(), &conv.columns, &conv.channels);
    if (is_matrix(conv)) {
        conv.transposed_columns = cut(1, 1);
        conv.transposed_channels = cut(input.channels * window.taps(), TapTiles::MAX_DEPTH);
    } else {
        const ptrdiff_t columns = (input.width + window.stride_x - 1) / window.stride_x;
        choose_sizes<TapTiles>(columns, conv.group_inputs(), &conv.transposed_columns,
                               &conv.transposed_channels);
    }
    conv.packed = conv.packed_transposed = conv.weights();
    conv.scratch = LANES * (2 * output.channels + framed_size(input, window.padding_y, window.padding_x));
    conv.input_gradient_scratch =
        LANES *
        framed_size(output, 0,
                    is_matrix(conv) ? 0 : gradient_frame(conv.window, conv.input.width, conv.output.width));
    conv.weight_gradient_scratch = LANES * general_gradient_scratch(conv);
    return conv;
}

inline void pack_general(const GeneralConvolution& conv, Span<const float> weights, Span<const float> scale,
                         Span<float> packed) {
    const ptrdiff_t inputs = conv.group_inputs(), taps = conv.window.taps();
    ptrdiff_t next = 0;
    for (ptrdiff_t g = 0; g < conv.groups; ++g)
        for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
            const ptrdiff_t first = g * conv.group_outputs() + conv.channels.start_of(tile);
            const ptrdiff_t end = first + conv.channels.size_of(tile);
            for (ptrdiff_t i = 0; i < inputs * taps; ++i)
                for (ptrdiff_t c = first; c < end; ++c)
                    packed[next++] = static_cast<float>(static_cast<double>(weights[c * inputs * taps + i]) *
                                                        static_cast<double>(scale ? scale[c] : 1.0f));
        }
}

inline void pack_general_transposed(const GeneralConvolution& conv, Span<const float> weights,
                                    Span<float> packed) {
    const ptrdiff_t inputs = conv.group_inputs(), outputs = conv.group_outputs(), taps = conv.window.taps();
    const bool matrix = is_matrix(conv);
    ptrdiff_t next = 0;
    for (ptrdiff_t g = 0; g < conv.groups; ++g)
        for (ptrdiff_t tile = 0; tile < conv.transposed_channels.tiles; ++tile) {
            const ptrdiff_t first = conv.transposed_channels.start_of(tile);
            const ptrdiff_t end = first + conv.transposed_channels.size_of(tile);
            for (ptrdiff_t o = g * outputs; o < (g + 1) * outputs; ++o) {
                const Span<const float> own = weights.from(o * inputs * taps);
                if (matrix)
                    for (ptrdiff_t i = first; i < end; ++i) packed[next++] = own[i];
                else
                    for (ptrdiff_t tap = 0; tap < taps; ++tap)
                        for (ptrdiff_t i = first; i < end; ++i) packed[next++] = own[i * taps + tap];
            }
        }
}

// Which of a kernel's rows, `step` apart, lie on a map of so many rows.
struct TapRange {
    ptrdiff_t first, end;
};

UNDER20K_INLINE TapRange taps_inside(ptrdiff_t top, ptrdiff_t step, ptrdiff_t kernel, ptrdiff_t height) {
    TapRange range{.first = 0, .end = kernel};
    while (range.first < range.end && top + range.first * step < 0) ++range.first;
    while (range.end > range.first && top + (range.end - 1) * step >= height) --range.end;
    return range;
}

inline void convolve_generally(const GeneralConvolution& conv, const Source& input, Span<const float> packed,
                               Span<const float> bias, const Target& output, const Epilogue& epilogue,
                               Span<float> scratch) {
    UNDER20K_ASSERT(same_shape(conv.input, input.map) && same_shape(conv.output, output.map));
    UNDER20K_ASSERT(packed.size >= conv.packed);
    const Sliding2d& w = conv.window;
    const ptrdiff_t inputs = conv.group_inputs(), outputs = conv.group_outputs(), taps = w.taps();
    Vec* sums = vectors(scratch, conv.scratch / LANES);
    const bool counted = counts(epilogue.finish);
    if (counted)
        for (ptrdiff_t i = 0; i < 2 * output.map.channels; ++i) sums[i] = Vec{};
    const Framed in = framed(input, 0, w.padding_x, sums + 2 * output.map.channels);
    const Writer out(output);
    Tap listed[MAX_LISTED_TAPS];
    ptrdiff_t offsets[TapTiles::MAX_DEPTH];
    for (ptrdiff_t c = 0; c < TapTiles::MAX_DEPTH; ++c) offsets[c] = c * output.map.plane();
    TapRow row{};
    row.input_step = w.stride_x;
    row.input_plane = in.map.plane();
    row.input_channels = inputs;
    row.kernel_taps = taps;
    row.output_step = 1;
    row.output_channels = offsets;
    row.finish = epilogue.finish;
    for (ptrdiff_t ky = 0; ky < w.kernel_y; ++ky)
        for (ptrdiff_t kx = 0; kx < w.kernel_x; ++kx)
            listed[ky * w.kernel_x + kx] = {.input = ky * w.dilation_y * in.map.row() + kx * w.dilation_x,
                                            .weight = ky * w.kernel_x + kx};
    for (ptrdiff_t g = 0; g < conv.groups; ++g)
        for (ptrdiff_t y = 0; y < output.map.height; ++y) {
            const ptrdiff_t top = y * w.stride_y - w.padding_y;
            const TapRange rows = taps_inside(top, w.dilation_y, w.kernel_y, in.map.height);
            row.taps = listed + rows.first * w.kernel_x;
            row.tap_count = (rows.end - rows.first) * w.kernel_x;
            row.input = in.data + in.map.at(g * inputs, top, -w.padding_x);
            for (ptrdiff_t tile = 0; tile < conv.channels.tiles; ++tile) {
                const ptrdiff_t first = g * outputs + conv.channels.start_of(tile);
                const ptrdiff_t size = conv.channels.size_of(tile);
                row.weights = packed.data + first * inputs * taps;
                row.bias = bias ? bias.part(first, size).data : nullptr;
                row.output = out.row(first, y);
                if (counted) {
                    row.pivot = epilogue.statistics.pivot.part(first, size).data;
                    row.sums = sums + 2 * first;
                }
                convolve_tap_row(row, conv.columns, size);
            }
        }
    if (counted) sum_statistics(epilogue.statistics, sums, output.map.channels);
}

// The input's gradient where the output is one pixel that sees the whole map: each element's is a product of
// the output's gradient with the element's weights, so the elements are the tile's channels.
inline void matrix_input_gradient(const GeneralConvolution& conv, const Source& output_gradient,
                                  Span<const float> packed, const Target& input_gradient, bool add) {
    const Reader from(output_gradient);
    const Writer to(input_gradient);
    const Map& map = input_gradient.map;
    const Tap only{.input = 0, .weight = 0};
    ptrdiff_t offsets[TapTiles::MAX_DEPTH];
    TapRow row{};
    row.input = from.row(0, 0);
    row.input_step = 1;
    row.input_plane = output_gradient.map.plane();
    row.input_channels = conv.output.channels;
    row.taps = &only;
    row.tap_count = row.kernel_taps = 1;
    row.output = to.data;
    row.output_step = 1;
    row.output_channels = offsets;
    row.add = add;
    ptrdiff_t c = 0, y = 0, x = 0;
    for (ptrdiff_t tile = 0; tile < conv.transposed_channels.tiles; ++tile) {
        const ptrdiff_t first = conv.transposed_channels.start_of(tile);
        const ptrdiff_t size = conv.transposed_channels.size_of(tile);
        for (ptrdiff_t i = 0; i < size; ++i) {
            offsets[i] = map.at(c, y, x);
            if (++x < map.width) continue;
            x = 0;
            if (++y < map.height) continue;
            y = 0;
            ++c;
        }
        row.weights = packed.data + first * conv.output.channels;
        convolve_tap_row(row, conv.transposed_columns, size);
    }
}

// The taps that meet the input's rows and columns of one phase each, and where those at row and column
// `phase` find the output's gradient: kernel rows in order, which find it ever higher.
struct PhaseTaps {
    Tap listed[MAX_LISTED_TAPS];
    ptrdiff_t rows[SIDE];  // of the output, for each kernel row listed
    ptrdiff_t kernel_rows, kernel_columns;

    UNDER20K_INLINE PhaseTaps(const Sliding2d& w, const Map& gradient, ptrdiff_t phase_y, ptrdiff_t phase_x)
        : kernel_rows(0), kernel_columns(0) {
        ptrdiff_t next = 0, column = 0;
        for (ptrdiff_t ky = 0; ky < w.kernel_y; ++ky) {
            ptrdiff_t& row = rows[kernel_rows];
            if (!output_under(phase_y, ky, w.stride_y, w.padding_y, w.dilation_y, &row)) continue;
            for (ptrdiff_t kx = 0; kx < w.kernel_x; ++kx)
                if (output_under(phase_x, kx, w.stride_x, w.padding_x, w.dilation_x, &column))
                    listed[next++] = {.input = row * gradient.row() + column, .weight = ky * w.kernel_x + kx};
            ++kernel_rows;
        }
        kernel_columns = kernel_rows > 0 ? next / kernel_rows : 0;
    }

    // The kernel rows that lie on a gradient of `height` rows, `shift` rows below the phase's first row.
    UNDER20K_INLINE TapRange inside(ptrdiff_t shift, ptrdiff_t height) const {
        TapRange range{.first = 0, .end = kernel_rows};
        while (range.first < range.end && rows[range.first] + shift >= height) ++range.first;
        while (range.end > range.first && rows[range.end - 1] + shift < 0) --range.end;
        return range;
    }
};

inline void general_input_gradient(const GeneralConvolution& conv, const Source& output_gradient,
                                   Span<const float> packed, const Target& input_gradient, bool add,
                                   Span<float> scratch) {
    UNDER20K_ASSERT(same_shape(conv.input, input_gradient.map));
    UNDER20K_ASSERT(same_shape(conv.output, output_gradient.map) && packed.size >= conv.packed_transposed);
    if (is_matrix(conv)) return matrix_input_gradient(conv, output_gradient, packed, input_gradient, add);
    const Sliding2d& w = conv.window;
    const ptrdiff_t inputs = conv.group_inputs(), outputs = conv.group_outputs(), taps = w.taps();
    const Framed from =
        framed(output_gradient, 0, gradient_frame(conv.window, conv.input.width, conv.output.width),
               vectors(scratch, conv.input_gradient_scratch / LANES));
    const Map& map = input_gradient.map;
    const Writer to(input_gradient);
    ptrdiff_t offsets[TapTiles::MAX_DEPTH];
    for (ptrdiff_t c = 0; c < TapTiles::MAX_DEPTH; ++c) offsets[c] = c * map.plane();
    TapRow row{};
    row.input_step = 1;
    row.input_plane = from.map.plane();
    row.input_channels = outputs;
    row.kernel_taps = taps;
    row.output_step = w.stride_x;
    row.output_channels = offsets;
    row.add = add;
    for (ptrdiff_t phase_y = 0; phase_y < w.stride_y && phase_y < map.height; ++phase_y)
        for (ptrdiff_t phase_x = 0; phase_x < w.stride_x && phase_x < map.width; ++phase_x) {
            const PhaseTaps phase(w, from.map, phase_y, phase_x);
            const Tiling columns =
                cut((map.width - phase_x + w.stride_x - 1) / w.stride_x, conv.transposed_columns.size);
            for (ptrdiff_t g = 0; g < conv.groups; ++g)
                for (ptrdiff_t shift = 0; phase_y + shift * w.stride_y < map.height; ++shift) {
                    const TapRange rows = phase.inside(shift, from.map.height);
                    row.taps = phase.listed + rows.first * phase.kernel_columns;
                    row.tap_count = (rows.end - rows.first) * phase.kernel_columns;
                    row.input = from.data + from.map.at(g * outputs, shift, 0);
                    for (ptrdiff_t tile = 0; tile < conv.transposed_channels.tiles; ++tile) {
                        const ptrdiff_t first = conv.transposed_channels.start_of(tile);
                        row.weights = packed.data + (g * inputs + first) * outputs * taps;
                        row.output = to.row(g * inputs + first, phase_y + shift * w.stride_y) + phase_x;
                        convolve_tap_row(row, columns, conv.transposed_channels.size_of(tile));
                    }
                }
        }
}

}  // namespace under20k::UNDER20K_ISA
