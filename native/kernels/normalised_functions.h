// BatchNorm's normalisation and a function of each element after it, forward and backward, in one pass each.

#pragma once

#include "kernels/functions.h"

namespace under20k::UNDER20K_ISA {

inline void normalise(Span<const float> scale, Span<const float> shift, const Function* function,
                      const Source& x, const Target& y) {
    const auto affine = [&](ptrdiff_t c, Vec value) { return value * scale[c] + shift[c]; };
    if (!function) return transform(x, y, false, affine);
    with_function(*function, [&](const auto& f) {
        transform(x, y, false, [&](ptrdiff_t c, Vec value) { return f.value(affine(c, value)); });
    });
}

// Writes the gradient of the function's input over its output's, so that the second pass need not compute the
// derivative again, which may be an exponential.
inline void normalised_function_sums(const Function& function, Span<const float> scale,
                                     Span<const float> shift, const ActivationGradient& back, const Source& x,
                                     const Target& y_gradient, ptrdiff_t valid_lanes, Span<float> sums) {
    UNDER20K_ASSERT(same_shape(x.map, y_gradient.map));
    const Map& map = x.map;
    const Reader in(x);
    const Writer gradients(y_gradient);
    const IntVec mask = lane_mask(valid_lanes);
    with_function(function, [&](const auto& f) {
        for (ptrdiff_t c = 0; c < map.channels; ++c) {
            const Vec factor = broadcast(scale[c]), addend = broadcast(shift[c]);
            const Vec inverse_sd = broadcast(back.inverse_sd[c]),
                      offset = broadcast(back.normalised_offset[c]);
            Vec sum{}, product{};
            for (ptrdiff_t row = 0; row < map.height; ++row) {
                const Vec* value = in.row(c, row);
                Vec* gradient = gradients.row(c, row);
                Vec row_sum{}, row_product{};
                for (ptrdiff_t i = 0; i < map.width; ++i) {
                    const Vec own = f.gradient(value[i] * factor + addend, gradient[i]);
                    gradient[i] = own;
                    row_sum += own;
                    row_product += own * (inverse_sd * value[i] + offset);
                }
                sum += row_sum;
                product += row_product;
            }
            sums[c] = sum_lanes(where(mask, sum));
            sums[map.channels + c] = sum_lanes(where(mask, product));
        }
    });
}

}  // namespace under20k::UNDER20K_ISA
