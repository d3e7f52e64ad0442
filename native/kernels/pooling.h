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

// Whether windows of 2×2 pixels lie side by side, by far the commonest pooling.
UNDER20K_INLINE bool halves(const Pooling& pooling, const Map& in, const Map& out) {
    const Sliding2d& w = pooling.window;
    return !pooling.adaptive && w.kernel_y == 2 && w.kernel_x == 2 && w.stride_y == 2 && w.stride_x == 2 &&
           w.padding_y == 0 && w.padding_x == 0 && 2 * out.height <= in.height && 2 * out.width <= in.width;
}

template <bool MAX>
void pool_halves(const Source& input, const Target& output) {
    const Reader from(input);
    const Writer to(output);
    for (ptrdiff_t c = 0; c < output.map.channels; ++c)
        for (ptrdiff_t y = 0; y < output.map.height; ++y) {
            const Vec *upper = from.row(c, 2 * y), *lower = upper + input.map.row();
            Vec* row = to.row(c, y);
            for (ptrdiff_t x = 0; x < output.map.width; ++x, upper += 2, lower += 2)
                row[x] = MAX ? larger(larger(larger(upper[0], upper[1]), lower[0]), lower[1])
                             : ((upper[0] + upper[1]) + (lower[0] + lower[1])) * 0.25f;
        }
}

inline void pool(const Pooling& pooling, const Source& input, const Target& output) {
    const Map &in = input.map, &out = output.map;
    if (halves(pooling, in, out))
        return pooling.max ? pool_halves<true>(input, output) : pool_halves<false>(input, output);
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

// Of an average over the whole map.
inline void whole_map_gradient(float weight, const Source& output_gradient, const Target& input_gradient,
                               bool add) {
    combine(output_gradient, output_gradient, input_gradient, add,
            [=](ptrdiff_t, Vec gradient, Vec) { return gradient * weight; });
}

template <bool MAX, bool ADD>
void halves_gradient(const Source& input, const Source& output_gradient, const Target& input_gradient) {
    const Map &out = output_gradient.map, &target = input_gradient.map;
    const Reader from(input), gradients(output_gradient);
    const Writer to(input_gradient);
    for (ptrdiff_t c = 0; c < target.channels; ++c) {
        for (ptrdiff_t y = 0; y < out.height; ++y) {
            const Vec *upper = from.row(c, 2 * y), *lower = upper + input.map.row();
            const Vec* row = gradients.row(c, y);
            Vec *above = to.row(c, 2 * y), *below = above + target.row();
            for (ptrdiff_t x = 0; x < out.width; ++x, upper += 2, lower += 2, above += 2, below += 2) {
                const Vec gradient = MAX ? row[x] : row[x] * 0.25f;
                const Vec value[4] = {upper[0], upper[1], lower[0], lower[1]};
                Vec part[4] = {gradient, gradient, gradient, gradient};
                if (MAX) {
                    const Vec best = larger(larger(larger(value[0], value[1]), value[2]), value[3]);
                    IntVec open = best == best;
                    for (int i = 0; i < 4; ++i) {
                        const IntVec here = open & (IntVec)(value[i] == best);
                        part[i] = where(here, gradient);
                        open &= ~here;
                    }
                }
                put(above[0], part[0], ADD);
                put(above[1], part[1], ADD);
                put(below[0], part[2], ADD);
                put(below[1], part[3], ADD);
            }
            if (ADD) continue;
            for (ptrdiff_t x = 2 * out.width; x < target.width; ++x)  // an odd width's last column
                to.row(c, 2 * y)[x] = to.row(c, 2 * y + 1)[x] = Vec{};
        }
        for (ptrdiff_t y = 2 * out.height; !ADD && y < target.height; ++y)
            for (ptrdiff_t x = 0; x < target.width; ++x) to.row(c, y)[x] = Vec{};
    }
}

inline void pool_gradient(const Pooling& pooling, const Source& input, const Source& output_gradient,
                          const Target& input_gradient, bool add) {
    const Map &in = input.map, &out = output_gradient.map, &target = input_gradient.map;
    if (pooling.adaptive && !pooling.max && out.height == 1 && out.width == 1)
        return whole_map_gradient(1.0f / static_cast<float>(in.height * in.width), output_gradient,
                                  input_gradient, add);
    if (halves(pooling, in, out)) {
        const auto function = pooling.max
                                  ? (add ? halves_gradient<true, true> : halves_gradient<true, false>)
                                  : (add ? halves_gradient<false, true> : halves_gradient<false, false>);
        return function(input, output_gradient, input_gradient);
    }
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
