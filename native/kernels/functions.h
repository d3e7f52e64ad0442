// Functions of each element and their derivatives, softmax, and the exponential function that they rest on.
//
// The polynomials were fitted by weighted least squares with the weights of a minimax (Lawson's iteration) on
// 400 Chebyshev nodes, in the basis of their variable, and then rounded to float.

#pragma once

#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// By Horner's rule, the constant last.
template <size_t COUNT>
UNDER20K_INLINE Vec polynomial(Vec x, const float (&coefficients)[COUNT]) {
    Vec sum = broadcast(coefficients[0]);
#pragma GCC unroll 16
    for (size_t i = 1; i < COUNT; ++i) sum = sum * x + coefficients[i];
    return sum;
}

UNDER20K_INLINE Vec absolute(Vec value) { return (Vec)((UintVec)value & 0x7FFFFFFFu); }

UNDER20K_INLINE Vec clamp(Vec value, float least, float most) {  // a NaN stays one
    const Vec raised = value < least ? broadcast(least) : value;
    return raised > most ? broadcast(most) : raised;
}

// eˣ as power · (1 + rest), |rest| < 0.42.
struct Exponential {
    Vec power, half_power, rest;  // power · half_power: two factors, for the smallest and largest numbers

    UNDER20K_INLINE Vec value() const { return (half_power + half_power * rest) * power; }
};

// The exponential of x + low, where low is a small correction.
UNDER20K_INLINE Exponential exponential(Vec x, Vec low = Vec{}) {
    constexpr float REDUCED[] = {1.9914264e-4f,  1.39411027e-3f, 8.33327323e-3f,
                                 4.16663550e-2f, 1.66666672e-1f, 0.5f};
    constexpr float ROUND = 12582912;  // 1.5 · 2²³: adding it leaves no fraction
    const Vec bounded = clamp(x, -104, 89);
    const Vec whole = (bounded * 1.44269504f + ROUND) - ROUND;
    // ln 2 in two parts, the first with so few bits that its product is exact.
    const Vec r = ((bounded - whole * 0.693145751953125f) - whole * 1.42860682e-6f) + low;
    const IntVec exponent = __builtin_convertvector(whole, IntVec);
    const IntVec half = exponent >> 1, other = exponent - half;
    return {.power = (Vec)((UintVec)(other + 127) << 23),
            .half_power = (Vec)((UintVec)(half + 127) << 23),
            .rest = r + (r * r) * polynomial(r, REDUCED)};
}

UNDER20K_INLINE Vec exp(Vec x) { return exponential(x).value(); }

// For x ≤ 0.
UNDER20K_INLINE Vec expm1(Vec x) {
    const Exponential e = exponential(x);
    const Vec power = e.power * e.half_power;
    return power * e.rest + (power - 1);
}

UNDER20K_INLINE Vec sigmoid(Vec x) { return 1 / (1 + exp(-x)); }

// The sigmoids of x and −x, from one exponential.
struct Sigmoids {
    Vec below, above;

    UNDER20K_INLINE explicit Sigmoids(Vec x) {
        const Vec e = exp(clamp(-x, -88, 88));
        below = 1 / (1 + e);
        above = e * below;
    }
};

UNDER20K_INLINE Vec tanh(Vec x) {
    constexpr float SMALL[] = {-5.66078909e-3f, 2.06020083e-2f, -5.37292287e-2f, 1.33313283e-1f,
                               -3.33332777e-1f};
    const Vec size = absolute(x), square = x * x;
    const Vec small = x + x * square * polynomial(square, SMALL);
    const Vec large = 1 - 2 / (exp(2 * size) + 1);
    const Vec signed_large = (Vec)((UintVec)large | ((UintVec)x & 0x80000000u));
    return size < 0.625f ? small : (x != x ? x : signed_large);
}

// The normal distribution's cumulative probability, and its density.
struct Normal {
    Vec below, density;
};

UNDER20K_INLINE Normal normal(Vec x) {
    // Q(t) · (1 + t) in s = (t − 4) / (t + 4), where the probability beyond t is exp(−t²/2) · Q(t).
    constexpr float TAIL[] = {-7.19820673e-5f, -6.15425815e-5f, 6.92214409e-4f,  -3.03441193e-4f,
                              -5.00394683e-3f, 1.79402269e-2f,  -3.21973488e-2f, 2.85999682e-2f,
                              1.39996000e-2f,  -9.67034698e-2f, 4.72053200e-1f};
    const Vec t = clamp(absolute(x), 0, 15);
    // t² in two parts, since its rounding error would be as large as a part of the result.
    const Vec high = (Vec)((UintVec)t & 0xFFFFF000u), low = (t - high) * (t + high);
    const Vec e = exponential(-0.5f * high * high, -0.5f * low).value();
    const Vec beyond = e * polynomial((t - 4) / (t + 4), TAIL) / (1 + t);
    return {.below = x < 0 ? beyond : 1 - beyond, .density = 0.398942280f * e};
}

// Each function has its value, and its derivative times a gradient; those that allow it also from their
// output.
struct FromInputOnly {
    UNDER20K_INLINE Vec gradient_from_output(Vec, Vec gradient) const {
        UNDER20K_ASSERT(!"this function's gradient needs its input");
        return gradient;
    }
};

struct Relu {
    UNDER20K_INLINE Vec value(Vec x) const { return relu(x); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const { return x <= 0 ? Vec{} : gradient; }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec slope) const { return gradient(y, slope); }
};

struct Relu6 {
    UNDER20K_INLINE Vec value(Vec x) const { return clamp(x, 0, 6); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        return (IntVec)(x <= 0) | (IntVec)(x >= 6) ? Vec{} : gradient;
    }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec slope) const { return gradient(y, slope); }
};

struct LeakyRelu {
    float slope;
    UNDER20K_INLINE Vec value(Vec x) const { return x > 0 ? x : x * slope; }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const { return x > 0 ? gradient : gradient * slope; }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec above) const { return gradient(y, above); }
};

struct Elu {
    float alpha;
    UNDER20K_INLINE Vec value(Vec x) const { return x > 0 ? x : expm1(x > 0 ? Vec{} : x) * alpha; }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        return x > 0 ? gradient : gradient * (exp(x > 0 ? Vec{} : x) * alpha);
    }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec gradient) const {
        return y > 0 ? gradient : gradient * (y + alpha);
    }
};

struct Gelu : FromInputOnly {
    UNDER20K_INLINE Vec value(Vec x) const { return x * normal(x).below; }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Normal n = normal(x);
        return gradient * (n.below + clamp(x, -15, 15) * n.density);
    }
};

// x·(1 + tanh u)/2 is x times the sigmoid of 2u.
struct GeluTanh : FromInputOnly {
    static constexpr float FACTOR = 1.59576912f, CUBE = 0.0713548163f;  // 2·√(2/π), and times 0.044715
    UNDER20K_INLINE static Vec twice_u(Vec x) { return x * (FACTOR + CUBE * (x * x)); }
    UNDER20K_INLINE Vec value(Vec x) const { return x * sigmoid(twice_u(x)); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Vec bounded = clamp(x, -15, 15);
        const Sigmoids s(twice_u(bounded));
        const Vec slope = FACTOR + 3 * CUBE * (bounded * bounded);
        return gradient * (s.below + bounded * slope * (s.below * s.above));
    }
};

struct Silu : FromInputOnly {
    UNDER20K_INLINE Vec value(Vec x) const { return x * sigmoid(x); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Sigmoids s(x);
        return gradient * (s.below * (1 + x * s.above));
    }
};

struct Hardswish : FromInputOnly {
    UNDER20K_INLINE Vec value(Vec x) const { return x * clamp(x + 3, 0, 6) / 6; }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Vec between = gradient * (x / 3 + 0.5f);
        return x <= -3 ? Vec{} : (x < 3 ? between : gradient);
    }
};

struct Hardsigmoid : FromInputOnly {
    UNDER20K_INLINE Vec value(Vec x) const { return clamp(x + 3, 0, 6) / 6; }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        return where((IntVec)(x > -3) & (IntVec)(x < 3), gradient / 6);
    }
};

struct Sigmoid {
    UNDER20K_INLINE Vec value(Vec x) const { return sigmoid(x); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Vec e = exp(-absolute(x));
        return gradient * (e / ((1 + e) * (1 + e)));
    }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec gradient) const { return gradient * (y * (1 - y)); }
};

struct Tanh {
    UNDER20K_INLINE Vec value(Vec x) const { return tanh(x); }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        const Vec e = exp(-2 * absolute(x));
        return gradient * (4 * e / ((1 + e) * (1 + e)));
    }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec gradient) const {
        return gradient * ((1 - y) * (1 + y));
    }
};

struct Rsqrt {
    UNDER20K_INLINE Vec value(Vec x) const {
        Vec root;
        // Vectors have no root. std::sqrt would be code that instruction sets share.
        for (int lane = 0; lane < LANES; ++lane) root[lane] = __builtin_sqrtf(x[lane]);
        return 1 / root;
    }
    UNDER20K_INLINE Vec gradient(Vec x, Vec gradient) const {
        return gradient_from_output(value(x), gradient);
    }
    UNDER20K_INLINE Vec gradient_from_output(Vec y, Vec gradient) const {
        return gradient * (-0.5f * y * (y * y));
    }
};

template <typename Use>
UNDER20K_INLINE void with_function(const Function& function, const Use& use) {
    switch (function.kind) {
        case FunctionKind::relu:
            return use(Relu{});
        case FunctionKind::relu6:
            return use(Relu6{});
        case FunctionKind::leaky_relu:
            return use(LeakyRelu{function.slope});
        case FunctionKind::elu:
            return use(Elu{function.slope});
        case FunctionKind::gelu:
            return use(Gelu{});
        case FunctionKind::gelu_tanh:
            return use(GeluTanh{});
        case FunctionKind::silu:
            return use(Silu{});
        case FunctionKind::hardswish:
            return use(Hardswish{});
        case FunctionKind::hardsigmoid:
            return use(Hardsigmoid{});
        case FunctionKind::sigmoid:
            return use(Sigmoid{});
        case FunctionKind::tanh:
            return use(Tanh{});
        case FunctionKind::rsqrt:
            return use(Rsqrt{});
    }
}

inline void apply(const Function& function, const Source& x, const Target& y) {
    with_function(function, [&](const auto& f) {
        transform(x, y, false, [&](ptrdiff_t, Vec value) { return f.value(value); });
    });
}

inline void apply_gradient(const Function& function, const Source& x, bool from_output,
                           const Source& y_gradient, const Target& x_gradient, bool add) {
    with_function(function, [&](const auto& f) {
        if (from_output)
            combine(x, y_gradient, x_gradient, add, [&](ptrdiff_t, Vec value, Vec gradient) {
                return f.gradient_from_output(value, gradient);
            });
        else
            combine(x, y_gradient, x_gradient, add,
                    [&](ptrdiff_t, Vec value, Vec gradient) { return f.gradient(value, gradient); });
    });
}

inline void prelu(Span<const float> weights, const Source& x, const Target& y) {
    const ptrdiff_t step = weights.size > 1 ? 1 : 0;
    transform(x, y, false,
              [&](ptrdiff_t c, Vec value) { return value > 0 ? value : value * weights[c * step]; });
}

inline void prelu_gradient(Span<const float> weights, const Source& x, const Source& y_gradient,
                           const Target& x_gradient, bool add, ptrdiff_t valid_lanes,
                           Span<float> weight_gradient, bool add_weight_gradient) {
    const Reader in(x), gradients(y_gradient);
    const Writer out(x_gradient);
    const Map& map = x.map;
    const IntVec mask = lane_mask(valid_lanes);
    const bool each_channel = weights.size > 1;
    Vec total{};
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        const Vec weight = broadcast(weights[each_channel ? c : 0]);
        Vec sum{};
        for (ptrdiff_t row = 0; row < map.height; ++row) {
            const Vec *value = in.row(c, row), *gradient = gradients.row(c, row);
            Vec* to = out.row(c, row);
            Vec row_sum{};
            for (ptrdiff_t i = 0; i < map.width; ++i) {
                const IntVec open = value[i] > 0;
                const Vec slope = gradient[i];
                row_sum += where(~open, slope * value[i]);
                put(to[i], open ? slope : slope * weight, add);
            }
            sum += row_sum;
        }
        total += sum;
        if (!weight_gradient || !each_channel) continue;
        const float own = sum_lanes(where(mask, sum));
        weight_gradient[c] = add_weight_gradient ? weight_gradient[c] + own : own;
    }
    if (!weight_gradient || each_channel) return;
    const float all = sum_lanes(where(mask, total));
    weight_gradient[0] = add_weight_gradient ? weight_gradient[0] + all : all;
}

inline void softmax(const Source& x, const Target& y) {
    const Map& map = x.map;
    const Reader in(x);
    const Writer out(y);
    for (ptrdiff_t row = 0; row < map.height; ++row)
        for (ptrdiff_t i = 0; i < map.width; ++i) {
            Vec largest = in.row(0, row)[i], total{};
            for (ptrdiff_t c = 1; c < map.channels; ++c) largest = max(in.row(c, row)[i], largest);
            for (ptrdiff_t c = 0; c < map.channels; ++c) {
                const Vec e = exp(in.row(c, row)[i] - largest);
                out.row(c, row)[i] = e;
                total += e;
            }
            for (ptrdiff_t c = 0; c < map.channels; ++c) out.row(c, row)[i] = out.row(c, row)[i] / total;
        }
}

inline void softmax_gradient(const Source& y, const Source& y_gradient, const Target& x_gradient, bool add) {
    const Map& map = y.map;
    const Reader values(y), gradients(y_gradient);
    const Writer out(x_gradient);
    for (ptrdiff_t row = 0; row < map.height; ++row)
        for (ptrdiff_t i = 0; i < map.width; ++i) {
            Vec mean{};
            for (ptrdiff_t c = 0; c < map.channels; ++c)
                mean += values.row(c, row)[i] * gradients.row(c, row)[i];
            for (ptrdiff_t c = 0; c < map.channels; ++c)
                put(out.row(c, row)[i], values.row(c, row)[i] * (gradients.row(c, row)[i] - mean), add);
        }
}

}  // namespace under20k::UNDER20K_ISA
