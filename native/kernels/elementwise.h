// Passes over maps, element by element: additions, products, copies, and BatchNorm apart from a convolution.

#pragma once

#include "kernels/activation.h"
#include "kernels/dropout.h"
#include "kernels/operations.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// A map's vectors, to read and to write.
struct Reader {
    const Vec* data;
    Map map;

    UNDER20K_INLINE explicit Reader(const Source& source)
        : data(vectors(source.values, source.map.size())), map(source.map) {}
    UNDER20K_INLINE const Vec* row(ptrdiff_t c, ptrdiff_t y) const { return data + map.at(c, y, 0); }
};
struct Writer {
    Vec* data;
    Map map;

    UNDER20K_INLINE explicit Writer(const Target& target)
        : data(vectors(target.values, target.map.size())), map(target.map) {}
    UNDER20K_INLINE Vec* row(ptrdiff_t c, ptrdiff_t y) const { return data + map.at(c, y, 0); }
};

UNDER20K_INLINE void put(Vec& target, Vec value, bool add) { target = add ? target + value : value; }

UNDER20K_INLINE bool same_shape(const Map& a, const Map& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}
// Whether `a` is (C, 1, 1) beside the larger map `b` (C, H, W).
UNDER20K_INLINE bool broadcasts(const Map& a, const Map& b) {
    UNDER20K_ASSERT(same_shape(a, b) || (a.channels == b.channels && a.height == 1 && a.width == 1));
    return a.height * a.width == 1 && b.height * b.width != 1;
}

// Call `function(channel, row, width)` for each row of a map; or, where every map's rows follow each other
// without a frame, for each channel as one long row, which takes fewer loops on small maps.
template <typename Function, typename... Maps>
UNDER20K_INLINE void each_row(const Function& function, const Map& map, const Maps&... others) {
    const bool flat = map.frame_x == 0 && ((others.frame_x == 0) && ...);
    const ptrdiff_t rows = flat ? 1 : map.height, width = flat ? map.height * map.width : map.width;
    for (ptrdiff_t c = 0; c < map.channels; ++c)
        for (ptrdiff_t y = 0; y < rows; ++y) function(c, y, width);
}

// y = function(channel, x).
template <typename Function>
UNDER20K_INLINE void transform(const Source& x, const Target& y, bool add, const Function& function) {
    UNDER20K_ASSERT(same_shape(x.map, y.map));
    const Reader in(x);
    const Writer out(y);
    each_row(
        [&](ptrdiff_t c, ptrdiff_t row, ptrdiff_t width) {
            const Vec* from = in.row(c, row);
            Vec* to = out.row(c, row);
            if (add)
                for (ptrdiff_t i = 0; i < width; ++i) to[i] += function(c, from[i]);
            else
                for (ptrdiff_t i = 0; i < width; ++i) to[i] = function(c, from[i]);
        },
        y.map, x.map);
}

// y = function(channel, a, b). a and b may be broadcast.
template <typename Function>
UNDER20K_INLINE void combine(const Source& a, const Source& b, const Target& y, bool add,
                             const Function& function) {
    const bool one_a = broadcasts(a.map, y.map), one_b = broadcasts(b.map, y.map);
    const Reader left(a), right(b);
    const Writer out(y);
    const auto rows = [&](ptrdiff_t c, ptrdiff_t row, ptrdiff_t width) {
        const Vec* one = left.row(c, one_a ? 0 : row);
        const Vec* other = right.row(c, one_b ? 0 : row);
        const ptrdiff_t one_step = one_a ? 0 : 1, other_step = one_b ? 0 : 1;
        Vec* to = out.row(c, row);
        if (add)
            for (ptrdiff_t i = 0; i < width; ++i)
                to[i] += function(c, one[i * one_step], other[i * other_step]);
        else
            for (ptrdiff_t i = 0; i < width; ++i)
                to[i] = function(c, one[i * one_step], other[i * other_step]);
    };
    // Of one that is broadcast the frame is not met.
    Map first = a.map, second = b.map;
    if (one_a) first.frame_x = 0;
    if (one_b) second.frame_x = 0;
    each_row(rows, y.map, first, second);
}

// Each channel's sum over the map of value(row a, row b, column), (C, 1, 1).
template <typename Value>
UNDER20K_INLINE void sum_channels(const Source& a, const Source& b, const Target& y, bool add,
                                  const Value& value) {
    const Reader left(a), right(b);
    const Writer out(y);
    for (ptrdiff_t c = 0; c < a.map.channels; ++c) {
        Vec sum{};
        for (ptrdiff_t row = 0; row < a.map.height; ++row) {
            const Vec *one = left.row(c, row), *other = right.row(c, row);
            Vec row_sum{};
            for (ptrdiff_t x = 0; x < a.map.width; ++x) row_sum += value(one[x], other[x]);
            sum += row_sum;
        }
        put(*out.row(c, 0), sum, add);
    }
}

inline void copy(const Source& x, const Target& y, bool add) {
    combine(x, x, y, add, [](ptrdiff_t, Vec value, Vec) { return value; });
}

inline void add(const Source& a, const Source& b, const Target& y) {
    combine(a, b, y, false, [](ptrdiff_t, Vec one, Vec other) { return one + other; });
}

inline void multiply(const Source& a, const Source& b, const Target& y, bool add) {
    combine(a, b, y, add, [](ptrdiff_t, Vec one, Vec other) { return one * other; });
}

inline void sum_map(const Source& y_gradient, const Target& x_gradient, bool add) {
    sum_channels(y_gradient, y_gradient, x_gradient, add, [](Vec value, Vec) { return value; });
}

inline void sum_products(const Source& y_gradient, const Source& other, const Target& x_gradient, bool add) {
    UNDER20K_ASSERT(same_shape(y_gradient.map, other.map));
    sum_channels(y_gradient, other, x_gradient, add, [](Vec one, Vec two) { return one * two; });
}

inline void scale(float factor, float offset, const Source& x, const Target& y, bool add) {
    const Vec factors = broadcast(factor), offsets = broadcast(offset);
    transform(x, y, add, [=](ptrdiff_t, Vec value) { return factors * value + offsets; });
}

inline void reshape(const Source& x, const Target& y, bool add) {
    const Map &from = x.map, &to = y.map;
    UNDER20K_ASSERT(from.channels * from.height * from.width == to.channels * to.height * to.width);
    const Reader in(x);
    const Writer out(y);
    ptrdiff_t c = 0, row = 0, column = 0;  // of the target
    for (ptrdiff_t i = 0; i < from.channels; ++i)
        for (ptrdiff_t j = 0; j < from.height; ++j) {
            const Vec* values = in.row(i, j);
            for (ptrdiff_t k = 0; k < from.width; ++k) {
                put(out.row(c, row)[column], values[k], add);
                if (++column < to.width) continue;
                column = 0;
                if (++row < to.height) continue;
                row = 0;
                ++c;
            }
        }
}

inline void dropout(const Dropout& plan, const Source& x, const Target& y, bool add) {
    UNDER20K_ASSERT(same_shape(x.map, y.map));
    const UintVec keys = dropout_keys(plan.layer_key, plan.position);
    const auto keep = [&](ptrdiff_t element) {
        return (IntVec)(mix(keys ^ plan.hashes[element]) >= plan.threshold);
    };
    const Map& map = y.map;
    const Reader in(x);
    const Writer out(y);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        const IntVec channel = plan.channels ? keep(c) : IntVec{};
        for (ptrdiff_t row = 0; row < map.height; ++row) {
            const Vec* from = in.row(c, row);
            Vec* to = out.row(c, row);
            const ptrdiff_t first = (c * map.height + row) * map.width;
            for (ptrdiff_t i = 0; i < map.width; ++i) {
                const IntVec kept = plan.channels ? channel : keep(first + i);
                put(to[i], where(kept, from[i] * plan.scale), add);
            }
        }
    }
}

inline void statistics(const Source& x, const Statistics& counted) {
    map_statistics(x.map, x.values, counted);
}

inline void normalise_sums(const ActivationGradient& back, const Source& x, const Source& y_gradient,
                           ptrdiff_t valid_lanes, Span<float> sums) {
    UNDER20K_ASSERT(same_shape(x.map, y_gradient.map));
    const Map& map = x.map;
    const Reader in(x), gradients(y_gradient);
    const IntVec mask = lane_mask(valid_lanes);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        const Vec inverse_sd = broadcast(back.inverse_sd[c]), offset = broadcast(back.normalised_offset[c]);
        Vec sum{}, product{};
        for (ptrdiff_t row = 0; row < map.height; ++row) {
            const Vec *value = in.row(c, row), *gradient = gradients.row(c, row);
            Vec row_sum{}, row_product{};
            for (ptrdiff_t i = 0; i < map.width; ++i) {
                row_sum += gradient[i];
                row_product += gradient[i] * (inverse_sd * value[i] + offset);
            }
            sum += row_sum;
            product += row_product;
        }
        sums[c] = sum_lanes(where(mask, sum));
        sums[map.channels + c] = sum_lanes(where(mask, product));
    }
}

inline void normalise_gradient(const ActivationGradient& back, const Source& x, const Source& y_gradient,
                               ptrdiff_t valid_lanes, const Target& x_gradient, bool add) {
    const IntVec mask = lane_mask(valid_lanes);
    combine(x, y_gradient, x_gradient, add, [&](ptrdiff_t c, Vec value, Vec gradient) {
        return where(mask, gradient * back.grad_scale[c] + (value * back.z_scale[c] + back.offset[c]));
    });
}

inline void bias_gradient(const Source& output_gradient, ptrdiff_t valid_lanes, Span<float> gradient,
                          bool add) {
    const Map& map = output_gradient.map;
    const Reader in(output_gradient);
    const IntVec mask = lane_mask(valid_lanes);
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        Vec sum{};
        for (ptrdiff_t row = 0; row < map.height; ++row) {
            const Vec* values = in.row(c, row);
            Vec row_sum{};
            for (ptrdiff_t i = 0; i < map.width; ++i) row_sum += values[i];
            sum += row_sum;
        }
        const float total = sum_lanes(where(mask, sum));
        gradient[c] = add ? gradient[c] + total : total;
    }
}

}  // namespace under20k::UNDER20K_ISA
