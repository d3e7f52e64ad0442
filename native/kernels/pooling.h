// Pooling of any window, by maximum or average, forward and backward.

#pragma once

#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// A window along one axis: its pixels on the map, and how many pixels it has with those of the padding.
struct Range {
    ptrdiff_t first, end, counted;
};

UNDER20K_INLINE Range window_range(ptrdiff_t index, ptrdiff_t outputs, ptrdiff_t side, bool adaptive,
                                   ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t padding) {
    if (adaptive) {
        const ptrdiff_t first = index * side / outputs, end = ((index + 1) * side + outputs - 1) / outputs;
        return {.first = first, .end = end, .counted = end - first};
    }
    const ptrdiff_t start = index * stride - padding, full = start + kernel;
    const ptrdiff_t last = full < side + padding ? full : side + padding;
    return {.first = start > 0 ? start : 0, .end = full < side ? full : side, .counted = last - start};
}

UNDER20K_INLINE Range rows_of(const Pooling& pooling, const Map& in, const Map& out, ptrdiff_t y) {
    const Sliding2d& w = pooling.window;
    return window_range(y, out.height, in.height, pooling.adaptive, w.kernel_y, w.stride_y, w.padding_y);
}
UNDER20K_INLINE Range columns_of(const Pooling& pooling, const Map& in, const Map& out, ptrdiff_t x) {
    const Sliding2d& w = pooling.window;
    return window_range(x, out.width, in.width, pooling.adaptive, w.kernel_x, w.stride_x, w.padding_x);
}

UNDER20K_INLINE float average_weight(const Pooling& pooling, const Range& rows, const Range& columns) {
    const bool counted = pooling.count_padding;
    const ptrdiff_t high = counted ? rows.counted : rows.end - rows.first;
    const ptrdiff_t wide = counted ? columns.counted : columns.end - columns.first;
    return 1.0f / static_cast<float>(high * wide);
}

// The larger of two, or a NaN among them.
UNDER20K_INLINE Vec larger(Vec best, Vec value) {
    const IntVec taken = (IntVec)(value > best) | (IntVec)(value != value);
    return taken ? value : best;
}

UNDER20K_INLINE Vec window_maximum(const Vec* plane, ptrdiff_t stride, const Range& rows,
                                   const Range& columns) {
    Vec best = plane[rows.first * stride + columns.first];
    for (ptrdiff_t y = rows.first; y < rows.end; ++y)
        for (ptrdiff_t x = columns.first; x < columns.end; ++x) best = larger(best, plane[y * stride + x]);
    return best;
}

UNDER20K_INLINE Vec window_sum(const Vec* plane, ptrdiff_t stride, const Range& rows, const Range& columns) {
    Vec sum{};
    for (ptrdiff_t y = rows.first; y < rows.end; ++y) {
        Vec row_sum{};
        for (ptrdiff_t x = columns.first; x < columns.end; ++x) row_sum += plane[y * stride + x];
        sum += row_sum;
    }
    return sum;
}

inline void pool(const Pooling& pooling, const Source& input, const Target& output) {
    const Map &in = input.map, &out = output.map;
    const Reader from(input);
    const Writer to(output);
    for (ptrdiff_t c = 0; c < out.channels; ++c) {
        const Vec* plane = from.row(c, 0);
        for (ptrdiff_t y = 0; y < out.height; ++y) {
            const Range rows = rows_of(pooling, in, out, y);
            Vec* row = to.row(c, y);
            for (ptrdiff_t x = 0; x < out.width; ++x) {
                const Range columns = columns_of(pooling, in, out, x);
                if (pooling.max)
                    row[x] = window_maximum(plane, in.row(), rows, columns);
                else
                    row[x] =
                        window_sum(plane, in.row(), rows, columns) * average_weight(pooling, rows, columns);
            }
        }
    }
}

// Add a window's gradient to its first maximum.
UNDER20K_INLINE void add_to_maximum(const Vec* plane, ptrdiff_t stride, Vec* target, ptrdiff_t target_stride,
                                    const Range& rows, const Range& columns, Vec gradient) {
    const Vec best = window_maximum(plane, stride, rows, columns);
    IntVec open = best == best;
    for (ptrdiff_t y = rows.first; y < rows.end; ++y)
        for (ptrdiff_t x = columns.first; x < columns.end; ++x) {
            const IntVec here = open & (IntVec)(plane[y * stride + x] == best);
            target[y * target_stride + x] += where(here, gradient);
            open &= ~here;
        }
}

inline void pool_gradient(const Pooling& pooling, const Source& input, const Source& output_gradient,
                          const Target& input_gradient, bool add) {
    const Map &in = input.map, &out = output_gradient.map, &target = input_gradient.map;
    const Reader from(input), gradients(output_gradient);
    const Writer to(input_gradient);
    for (ptrdiff_t c = 0; c < out.channels; ++c) {
        const Vec* plane = from.row(c, 0);
        Vec* sums = to.row(c, 0);
        if (!add)
            for (ptrdiff_t y = 0; y < target.height; ++y)
                for (ptrdiff_t x = 0; x < target.width; ++x) sums[y * target.row() + x] = Vec{};
        for (ptrdiff_t y = 0; y < out.height; ++y) {
            const Range rows = rows_of(pooling, in, out, y);
            const Vec* row = gradients.row(c, y);
            for (ptrdiff_t x = 0; x < out.width; ++x) {
                const Range columns = columns_of(pooling, in, out, x);
                if (pooling.max) {
                    add_to_maximum(plane, in.row(), sums, target.row(), rows, columns, row[x]);
                    continue;
                }
                const Vec value = row[x] * average_weight(pooling, rows, columns);
                for (ptrdiff_t i = rows.first; i < rows.end; ++i)
                    for (ptrdiff_t j = columns.first; j < columns.end; ++j)
                        sums[i * target.row() + j] += value;
            }
        }
    }
}

}  // namespace under20k::UNDER20K_ISA
