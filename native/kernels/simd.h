// Vectors of the compiler's own kind: arithmetic on them is arithmetic on every lane.
//
// This header and those of the kernels are compiled once for each instruction set, each time within a
// namespace of its own (UNDER20K_ISA, given by CMake).

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "layout.h"

namespace under20k::UNDER20K_ISA {

// The instruction set `wide` has the shape of AVX-512's vectors and none of its instructions: its code takes the same
// ways, and the compiler cuts each vector into what the target has.
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

UNDER20K_INLINE Vec broadcast(float value) {
    return value - Vec{};  // minus, for compilers know that it changes nothing; plus would turn −0 into 0
}

// `value`, in a register from here on: the compiler would otherwise load it again for each use.
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

// Calls `function` with a size that is known only now as a constant of the compiler's, from 1 to MOST.
template <int MOST, typename Function>
UNDER20K_INLINE void with_constant(int size, const Function& function) {
    if constexpr (MOST > 1)
        if (size < MOST) return with_constant<MOST - 1>(size, function);
    function(std::integral_constant<int, MOST>());
}

// Lanes of `value` where `mask` is set (all ones, as comparisons give it), else 0.
UNDER20K_INLINE Vec where(IntVec mask, Vec value) { return (Vec)(mask & (IntVec)value); }

UNDER20K_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

// Not max(value, 0): a NaN has to come through, or a diverged training would look like a dead one.
UNDER20K_INLINE Vec relu(Vec value) { return value < 0 ? Vec{} : value; }

// All ones in the first `live` lanes.
UNDER20K_INLINE IntVec live_lanes(int live) {
    IntVec mask;
    for (int lane = 0; lane < LANES; ++lane) mask[lane] = lane < live ? -1 : 0;
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

// Of two rows of sections of SECTION lanes each, the two halves of every section added: [a | b] → one row.
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

// Of COUNT vectors the sums of LANES / COUNT sections each, side by side; of LANES vectors one sum each. What
// sum_lanes gives for each of them, to the bit.
template <int COUNT>
UNDER20K_INLINE Vec sum_each(const Vec* values) {
    if constexpr (COUNT == 1) {
        return *values;
    } else {
        const Vec first = sum_each<COUNT / 2>(values), second = sum_each<COUNT / 2>(values + COUNT / 2);
        return fold<2 * LANES / COUNT>(first, second, std::make_index_sequence<LANES>());
    }
}

// Of `count` vectors the sum of each.
UNDER20K_INLINE void sum_all(const Vec* values, int count, float* sums) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        const Vec each = sum_each<LANES>(values + i);
        std::memcpy(sums + i, &each, sizeof each);
    }
    for (; i < count; ++i) sums[i] = sum_lanes(values[i]);
}

}  // namespace under20k::UNDER20K_ISA
