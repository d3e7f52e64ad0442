// Products in bfloat16 (bf16), sums in float32: what --precision bf16 trains with.
//
// A bf16 is the upper half of a float. Two of them lie in each lane, and one instruction of AVX512_BF16, vdpbf16ps,
// adds the products of two such pairs to a float. The two halves therefore have to be summed over: forward they
// are two input channels, in the weights' gradient two neighbouring columns.
//
// Where the instruction is missing, the same is done in two steps of float32: a product of two bf16 fits a float
// exactly, so each addition rounds once, as the instruction's documentation says it does.

#pragma once

#include "convolution.h"
#include "kernels.h"
#include "simd.h"
#include "weight_gradient.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace under20k::UNDER20K_ISA {

// The nearest bf16 of each lane, of two equally near the even one, in the lane's upper half.
UNDER20K_INLINE UintVec rounded(Vec value) {
    const UintVec bits = (UintVec)value;
    const UintVec number = bits + 0x7FFF + ((bits >> 16) & 1);
    const UintVec nan = (UintVec)(value != value);  // rounding might carry one over to a number
    return ((number & ~nan) | ((bits | 0x400000) & nan)) & 0xFFFF0000;
}

UNDER20K_INLINE Vec pair(Vec low, Vec high) { return (Vec)(rounded(high) | rounded(low) >> 16); }

// As `Singles` in convolution.h; all vectors but the sums hold pairs.
struct Pairs {
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

// For its lifetime, on x86-64, numbers below 2⁻¹²⁶ count as 0, as they always do for vdpbf16ps.
class WithoutDenormals {
#if defined(__x86_64__)
public:
    WithoutDenormals() { _mm_setcsr(before_ | 0x8040); }
    ~WithoutDenormals() { _mm_setcsr(before_); }

private:
    const unsigned before_ = _mm_getcsr();
#endif
};

UNDER20K_INLINE int pairs_of(int numbers) { return (numbers + 1) / 2; }

// The same convolution with pairs for channels.
UNDER20K_INLINE Convolution over_pairs(Convolution conv) {
    conv.input.channels = pairs_of(conv.input.channels);
    return conv;
}

UNDER20K_INLINE ptrdiff_t packed_in_bf16(const Convolution& conv) {
    return static_cast<ptrdiff_t>(conv.output.channels) * pairs_of(conv.input.channels) * conv.kernel * conv.kernel;
}

// Vectors of scratch that a thread needs to convolve.
UNDER20K_INLINE ptrdiff_t bf16_scratch(const Convolution& conv) {
    return 2 * conv.output.channels + over_pairs(conv).input.size();
}

// How the maps lie whose columns come in pairs. A row of the input has those that begin at even columns, then those
// that begin at odd ones: under the first and third tap the former meet the gradient's pairs, under the second the
// latter do.
struct ColumnPairs {
    int rows, columns;        // of the input that the kernel passes over
    int half;                 // pairs of such a row that begin at even columns
    int gradient;             // pairs of a row of the gradient
    ptrdiff_t input_plane, gradient_plane;
};

UNDER20K_INLINE ColumnPairs column_pairs(const Convolution& conv) {
    const int rows = conv.output.height + conv.kernel - 1, columns = conv.output.width + conv.kernel - 1;
    const int half = pairs_of(columns), gradient = pairs_of(conv.output.width);
    return {rows, columns, half, gradient, static_cast<ptrdiff_t>(rows) * 2 * half,
            static_cast<ptrdiff_t>(conv.output.height) * gradient};
}

// Likewise to find the weights' gradient.
UNDER20K_INLINE ptrdiff_t bf16_gradient_scratch(const Convolution& conv) {
    const ColumnPairs size = column_pairs(conv);
    const ptrdiff_t inputs = conv.input.channels, outputs = conv.output.channels;
    return outputs * inputs * conv.kernel * conv.kernel + inputs * size.input_plane + outputs * size.gradient_plane;
}

template <typename Weight>
inline void pack_in_bf16(const Convolution& conv, const Weight& weight, float* packed) {
    const auto one = [&](int c, int i, int tap) {
        return broadcast(i < conv.input.channels ? static_cast<float>(weight(c, i, tap)) : 0.0f);
    };
    pack_directly(over_pairs(conv), [&](int c, int i, int tap) {
        return pair(one(c, 2 * i, tap), one(c, 2 * i + 1, tap))[0];
    }, packed);
}

inline void convolve_in_bf16(const Convolution& conv, const float* input, const float* packed, const float* bias,
                             float* output, Finish finish, const Statistics* statistics, int live, float* scratch) {
    Vec* const pairs = reinterpret_cast<Vec*>(scratch) + 2 * conv.output.channels;
    const ptrdiff_t plane = conv.input.plane();
    const Vec* low = reinterpret_cast<const Vec*>(input);
    Vec* to = pairs;
    for (int c = 0; c < conv.input.channels; c += 2, low += 2 * plane)
        for (ptrdiff_t i = 0; i < plane; ++i) *to++ = pair(low[i], c + 1 < conv.input.channels ? low[plane + i] : Vec{});
    [[maybe_unused]] const WithoutDenormals meanwhile;
    convolve_directly<Pairs>(over_pairs(conv), reinterpret_cast<const float*>(pairs), packed, bias, output, finish,
                             statistics, live, scratch);
}

// Pairs of a row's columns from `first` on; those beyond it are 0.
inline void pair_columns(const Vec* row, int columns, int first, int pairs, Vec* to) {
    for (int x = first; pairs > 0; --pairs, x += 2)
        *to++ = pair(x < columns ? row[x] : Vec{}, x + 1 < columns ? row[x + 1] : Vec{});
}

inline void weight_gradient_in_bf16(const Convolution& conv, const float* input, const float* z_gradient, float* scratch,
                                    float* gradient) {
    const Map &in = conv.input, &out = conv.output;
    const ColumnPairs size = column_pairs(conv);
    Vec* const inputs = reinterpret_cast<Vec*>(scratch) +
                        static_cast<ptrdiff_t>(out.channels) * in.channels * conv.kernel * conv.kernel;
    Vec* const gradients = inputs + in.channels * size.input_plane;
    Vec* to = inputs;
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < size.rows; ++y, to += 2 * size.half) {
            const Vec* row = reinterpret_cast<const Vec*>(input) + in.at(c, y - conv.padding, -conv.padding);
            pair_columns(row, size.columns, 0, size.half, to);
            pair_columns(row, size.columns, 1, size.half, to + size.half);
        }
    to = gradients;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.height; ++y, to += size.gradient)
            pair_columns(reinterpret_cast<const Vec*>(z_gradient) + out.at(c, y, 0), out.width, 0, size.gradient, to);
    const Sliding maps{inputs, 2 * size.half, size.input_plane, {0, size.half, 1}, gradients, size.gradient,
                       size.gradient_plane, size.gradient};
    [[maybe_unused]] const WithoutDenormals meanwhile;
    sum_gradients<Pairs>(conv, maps, scratch, gradient);
}

// Whether this processor's products of pairs are the documented ones, to the bit, for some numbers.
inline bool bf16_as_documented() {
    [[maybe_unused]] const WithoutDenormals meanwhile;
    uint32_t state = 1;
    const auto draw = [&] {  // of either sign, 2⁻⁸ to 2⁸
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
        Pairs::add_product(sum, a, b);
        Pairs::add_as_documented(documented, a, b);
        if (std::memcmp(&sum, &documented, sizeof sum) != 0) return false;
    }
    return true;
}

}  // namespace under20k::UNDER20K_ISA
