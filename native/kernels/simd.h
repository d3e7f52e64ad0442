// Vectors by the compiler's extension: arithmetic on them is arithmetic on every lane.
//
// This header and those of the kernels are compiled once per instruction set, each time in a namespace of its
// own (UNDER20K_ISA, set by CMake).

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/layout.h"

namespace under20k::UNDER20K_ISA {

// The instruction set `wide` has the shape of AVX-512's vectors and none of its instructions: the same code
// paths, with each vector cut by the compiler into what the target has.
#if defined(__AVX512F__) || defined(UNDER20K_WIDE)
constexpr int LANES = 16;
constexpr int REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int LANES = 8;
constexpr int REGISTERS = 16;
#else
constexpr int LANES = 4;
#if defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif
#endif

// may_alias: the network's buffers are arrays of float.
typedef float Vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t IntVec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t UintVec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint8_t ByteVec __attribute__((vector_size(LANES), may_alias));

// The first `count` vectors of a span, which has to hold that many.
UNDER20K_INLINE Vec* vectors(Span<float> values, [[maybe_unused]] ptrdiff_t count) {
    UNDER20K_ASSERT(values.size >= count * LANES);
    UNDER20K_ASSERT(reinterpret_cast<uintptr_t>(values.data) % sizeof(Vec) == 0);
    return reinterpret_cast<Vec*>(values.data);
}
UNDER20K_INLINE const Vec* vectors(Span<const float> values, [[maybe_unused]] ptrdiff_t count) {
    UNDER20K_ASSERT(values.size >= count * LANES);
    UNDER20K_ASSERT(reinterpret_cast<uintptr_t>(values.data) % sizeof(Vec) == 0);
    return reinterpret_cast<const Vec*>(values.data);
}

// Vectors as the floats that they are.
UNDER20K_INLINE Span<float> floats(Vec* values, ptrdiff_t count) {
    return {reinterpret_cast<float*>(values), count * LANES};
}
template <size_t COUNT>
UNDER20K_INLINE Span<float> floats(Vec (&values)[COUNT]) {
    return floats(values, static_cast<ptrdiff_t>(COUNT));
}

UNDER20K_INLINE Vec broadcast(float value) {
    return value - Vec{};  // minus, for compilers know that it changes nothing; plus would turn −0 into 0
}

// `value`, kept in a register from here on; the compiler would load it again for each use.
UNDER20K_INLINE Vec keep(Vec value) {
#if defined(UNDER20K_WIDE)
    // No register holds it.
#elif defined(__x86_64__)
#if defined(__AVX512F__)
    asm("" : "+v"(value));
#else
    asm("" : "+x"(value));
#endif
#elif defined(__aarch64__)
    asm("" : "+w"(value));
#endif
    return value;
}

// Call `function` with a run-time size in 1 … MAX as a compile-time constant.
template <int MAX, typename Function>
UNDER20K_INLINE void with_constant(ptrdiff_t size, const Function& function) {
    if constexpr (MAX > 1)
        if (size < MAX) return with_constant<MAX - 1>(size, function);
    function(std::integral_constant<int, MAX>());
}

// `value` in the lanes where `mask` is all ones, as comparisons give it; else 0.
UNDER20K_INLINE Vec where(IntVec mask, Vec value) { return (Vec)(mask & (IntVec)value); }

UNDER20K_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

// Not max(value, 0): a NaN has to pass through, or a diverged training would look like dead units.
UNDER20K_INLINE Vec relu(Vec value) { return value < 0 ? Vec{} : value; }

// All ones in the valid lanes, which come first.
UNDER20K_INLINE IntVec lane_mask(ptrdiff_t valid_lanes) {
    IntVec mask;
    for (int lane = 0; lane < LANES; ++lane) mask[lane] = lane < valid_lanes ? -1 : 0;
    return mask;
}

// The sum of the lanes, always in the same order.
UNDER20K_INLINE float sum_lanes(Vec value) {
    float lane[LANES];
    std::memcpy(lane, &value, sizeof lane);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0];
}

// Exchange sections of HALF lanes between two vectors: a step of a transposition.
template <int HALF, size_t... LANE>
UNDER20K_INLINE void exchange(Vec& a, Vec& b, std::index_sequence<LANE...>) {
#if __has_builtin(__builtin_shufflevector)
    const Vec first = __builtin_shufflevector(a, b, (LANE & HALF ? LANES + LANE - HALF : LANE)...);
    b = __builtin_shufflevector(a, b, (LANE & HALF ? LANES + LANE : LANE + HALF)...);
    a = first;
#else
    const Vec one = a, other = b;
    for (int lane = 0; lane < LANES; ++lane) {
        a[lane] = lane & HALF ? other[lane - HALF] : one[lane];
        b[lane] = lane & HALF ? other[lane] : one[lane + HALF];
    }
#endif
}

// Lane i of vector j becomes lane j of vector i.
template <int HALF = LANES / 2>
UNDER20K_INLINE void transpose(Vec (&values)[LANES]) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i)
        if (!(i & HALF)) exchange<HALF>(values[i], values[i + HALF], std::make_index_sequence<LANES>());
    if constexpr (HALF > 1) transpose<HALF / 2>(values);
}

// Add the two halves of every section of SECTION lanes in two vectors: [a | b] → one vector.
template <int SECTION, size_t... LANE>
UNDER20K_INLINE Vec fold(Vec a, Vec b, std::index_sequence<LANE...>) {
    constexpr int HALF = SECTION / 2;
#if __has_builtin(__builtin_shufflevector)
    return __builtin_shufflevector(a, b, (LANE / HALF * SECTION + LANE % HALF)...) +
           __builtin_shufflevector(a, b, (LANE / HALF * SECTION + LANE % HALF + HALF)...);
#else
    const Vec both[2] = {a, b};
    Vec sum;
    for (int lane = 0; lane < LANES; ++lane) {
        const int first = lane / HALF * SECTION + lane % HALF, second = first + HALF;
        sum[lane] = both[first / LANES][first % LANES] + both[second / LANES][second % LANES];
    }
    return sum;
#endif
}

// The sums of COUNT vectors, LANES / COUNT partial sums each, side by side; for COUNT = LANES one sum each,
// bit-exact with sum_lanes.
template <int COUNT>
UNDER20K_INLINE Vec sum_each(const Vec* values) {
    if constexpr (COUNT == 1) {
        return *values;
    } else {
        const Vec first = sum_each<COUNT / 2>(values), second = sum_each<COUNT / 2>(values + COUNT / 2);
        return fold<2 * LANES / COUNT>(first, second, std::make_index_sequence<LANES>());
    }
}

// The sum of each of `count` vectors.
UNDER20K_INLINE void sum_all(const Vec* values, ptrdiff_t count, Span<float> sums) {
    UNDER20K_ASSERT(sums.size >= count);
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Vec each = sum_each<LANES>(values + i);
        std::memcpy(sums.data + i, &each, sizeof each);
    }
    for (; i < count; ++i) sums[i] = sum_lanes(values[i]);
}

}  // namespace under20k::UNDER20K_ISA
