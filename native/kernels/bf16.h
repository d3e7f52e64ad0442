// Products in bfloat16 (bf16), sums in float32: the arithmetic of --precision bf16.
//
// A bf16 is the upper half of a float. Each lane holds two of them, and one instruction of AVX512_BF16,
// vdpbf16ps, adds the products of two such pairs to a float. The two halves must therefore be terms of one
// sum: forward they are two input channels, in the weights' gradient two neighbouring columns.
//
// Without the instruction the same is done in two steps of float32: a product of two bf16 fits a float
// exactly, so each addition rounds once, as the instruction is documented to do.

#pragma once

#include <cstring>

#include "kernels/convolution.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"
#include "kernels/weight_gradient.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace under20k::UNDER20K_ISA {

// Each lane rounded to bf16, to nearest, ties to even, in the lane's upper half.
UNDER20K_INLINE UintVec rounded(Vec value) {
    const UintVec bits = (UintVec)value;
    const UintVec number = bits + 0x7FFF + ((bits >> 16) & 1);
    const UintVec nan = (UintVec)(value != value);  // which the carry of rounding might turn into a number
    return ((number & ~nan) | ((bits | 0x400000) & nan)) & 0xFFFF0000;
}

UNDER20K_INLINE Vec pair(Vec low, Vec high) { return (Vec)(rounded(high) | rounded(low) >> 16); }

// As Float32 in convolution.h; all vectors but the sums hold pairs.
struct Bf16Pairs {
    UNDER20K_INLINE static Vec broadcast(const float* weights) {
        int32_t bits;
        std::memcpy(&bits, weights, sizeof bits);
        return (Vec)(bits - IntVec{});
    }

    // As Intel documents vdpbf16ps: the upper halves' product first.
    UNDER20K_INLINE static void add_as_documented(Vec& sum, Vec a, Vec b) {
        const auto upper = [](Vec value) { return (Vec)((UintVec)value & 0xFFFF0000); };
        const auto lower = [](Vec value) { return (Vec)((UintVec)value << 16); };
        sum += upper(a) * upper(b);
        sum += lower(a) * lower(b);
    }

    UNDER20K_INLINE static void add_product(Vec& sum, Vec a, Vec b) {
#if defined(__AVX512BF16__)
        sum = (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
        add_as_documented(sum, a, b);
#endif
    }
};

// While it lives, on x86-64, numbers below 2⁻¹²⁶ count as 0, as they always do for vdpbf16ps.
class WithoutDenormals {
#if defined(__x86_64__)
public:
    UNDER20K_INLINE WithoutDenormals() { _mm_setcsr(before_ | 0x8040); }
    UNDER20K_INLINE ~WithoutDenormals() { _mm_setcsr(before_); }
    WithoutDenormals(const WithoutDenormals&) = delete;
    WithoutDenormals& operator=(const WithoutDenormals&) = delete;

private:
    const unsigned before_ = _mm_getcsr();
#endif
};

UNDER20K_INLINE ptrdiff_t pairs_of(ptrdiff_t numbers) { return (numbers + 1) / 2; }

// The same convolution with pairs for channels.
UNDER20K_INLINE Convolution over_pairs(Convolution conv) {
    conv.input.channels = pairs_of(conv.input.channels);
    return conv;
}

UNDER20K_INLINE ptrdiff_t packed_in_bf16(const Convolution& conv) { return over_pairs(conv).weights(); }

// Vectors of scratch that a thread needs to convolve.
UNDER20K_INLINE ptrdiff_t bf16_scratch(const Convolution& conv) {
    return 2 * conv.output.channels + over_pairs(conv).input.size();
}

// The layout of maps whose columns are paired. A row of the input has the pairs that begin at even columns,
// then those that begin at odd ones: the first and third tap multiply the former with the gradient's pairs,
// the second tap the latter.
struct ColumnPairs {
    ptrdiff_t rows, columns;  // of the input that the kernel passes over
    ptrdiff_t half;           // pairs of such a row that begin at even columns
    ptrdiff_t gradient;       // pairs of a row of the gradient
    ptrdiff_t input_plane, gradient_plane;
};

UNDER20K_INLINE ColumnPairs column_pairs(const Convolution& conv) {
    const ptrdiff_t rows = conv.output.height + conv.kernel - 1,
                    columns = conv.output.width + conv.kernel - 1;
    const ptrdiff_t half = pairs_of(columns), gradient = pairs_of(conv.output.width);
    return {.rows = rows,
            .columns = columns,
            .half = half,
            .gradient = gradient,
            .input_plane = rows * 2 * half,
            .gradient_plane = conv.output.height * gradient};
}

// The same to compute the weights' gradient.
UNDER20K_INLINE ptrdiff_t bf16_gradient_scratch(const Convolution& conv) {
    const ColumnPairs size = column_pairs(conv);
    return conv.weights() + conv.input.channels * size.input_plane +
           conv.output.channels * size.gradient_plane;
}

template <typename Weight>
inline void pack_in_bf16(const Convolution& conv, const Weight& weight, Span<float> packed) {
    const auto one = [&](ptrdiff_t c, ptrdiff_t i, ptrdiff_t tap) {
        return broadcast(i < conv.input.channels ? static_cast<float>(weight(c, i, tap)) : 0.0f);
    };
    pack_directly(
        over_pairs(conv),
        [&](ptrdiff_t c, ptrdiff_t i, ptrdiff_t tap) {
            return pair(one(c, 2 * i, tap), one(c, 2 * i + 1, tap))[0];
        },
        packed);
}

inline void convolve_in_bf16(const Convolution& conv, Span<const float> input, Span<const float> packed,
                             Span<const float> bias, Span<float> output, const Epilogue& epilogue,
                             Span<float> scratch) {
    const ptrdiff_t own = 2 * conv.output.channels;  // vectors of scratch that the convolution itself needs
    const Span<float> pairs = scratch.from(own * LANES);
    const ptrdiff_t plane = conv.input.plane();
    const Vec* low = vectors(input, conv.input.size());
    Vec* to = vectors(pairs, over_pairs(conv).input.size());
    for (ptrdiff_t c = 0; c < conv.input.channels; c += 2, low += 2 * plane)
        for (ptrdiff_t i = 0; i < plane; ++i)
            *to++ = pair(low[i], c + 1 < conv.input.channels ? low[plane + i] : Vec{});
    [[maybe_unused]] const WithoutDenormals meanwhile;
    convolve_directly<Bf16Pairs>(over_pairs(conv), pairs, packed, bias, output, epilogue, scratch);
}

// Pairs of a row's columns from `first` on; columns beyond the row are 0.
inline void pair_columns(const Vec* row, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t pairs, Vec* to) {
    for (ptrdiff_t x = first; pairs > 0; --pairs, x += 2)
        *to++ = pair(x < columns ? row[x] : Vec{}, x + 1 < columns ? row[x + 1] : Vec{});
}

inline void weight_gradient_in_bf16(const Convolution& conv, Span<const float> input,
                                    Span<const float> z_gradient, Span<float> scratch, Span<float> gradient) {
    const Map &in = conv.input, &out = conv.output;
    const ColumnPairs size = column_pairs(conv);
    const Vec *from = vectors(input, in.size()), *z = vectors(z_gradient, out.size());
    Vec* const inputs = vectors(scratch, bf16_gradient_scratch(conv)) + conv.weights();
    Vec* const gradients = inputs + in.channels * size.input_plane;
    Vec* to = inputs;
    for (ptrdiff_t c = 0; c < in.channels; ++c)
        for (ptrdiff_t y = 0; y < size.rows; ++y, to += 2 * size.half) {
            const Vec* row = from + in.at(c, y - conv.padding, -conv.padding);
            pair_columns(row, size.columns, 0, size.half, to);
            pair_columns(row, size.columns, 1, size.half, to + size.half);
        }
    to = gradients;
    for (ptrdiff_t c = 0; c < out.channels; ++c)
        for (ptrdiff_t y = 0; y < out.height; ++y, to += size.gradient)
            pair_columns(z + out.at(c, y, 0), out.width, 0, size.gradient, to);
    const Sliding maps{.input = inputs,
                       .input_row = 2 * size.half,
                       .input_plane = size.input_plane,
                       .taps = {0, size.half, 1},
                       .gradient = gradients,
                       .gradient_row = size.gradient,
                       .gradient_plane = size.gradient_plane,
                       .columns = size.gradient};
    [[maybe_unused]] const WithoutDenormals meanwhile;
    sum_gradients<Bf16Pairs>(conv, maps, scratch, gradient);
}

// Whether this processor's products of pairs are bit-exact with the documentation, for some thousand numbers.
inline bool bf16_as_documented() {
    [[maybe_unused]] const WithoutDenormals meanwhile;
    uint32_t state = 1;
    const auto draw = [&] {  // of either sign, magnitudes from 2⁻⁸ to 2⁸
        Vec values;
        for (int lane = 0; lane < LANES; ++lane) {
            state = state * 1664525 + 1013904223;
            values[lane] = static_cast<float>(static_cast<int32_t>(state)) / static_cast<float>(1u << 31) *
                           static_cast<float>(1 << state % 17) / 256;
        }
        return values;
    };
    for (int round = 0; round < 256; ++round) {
        const Vec a = pair(draw(), draw()), b = pair(draw(), draw());
        Vec sum = draw(), documented = sum;
        Bf16Pairs::add_product(sum, a, b);
        Bf16Pairs::add_as_documented(documented, a, b);
        if (std::memcmp(&sum, &documented, sizeof sum) != 0) return false;
    }
    return true;
}

}  // namespace under20k::UNDER20K_ISA
