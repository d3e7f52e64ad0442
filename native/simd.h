// Vectors of the compiler's own kind: arithmetic on them is arithmetic on every lane.
//
// This header and those of the kernels are compiled once for each instruction set, each time within a
// namespace of its own (UNDER20K_ISA, given by CMake).

#pragma once

#include <cstdint>
#include <cstring>

#include "layout.h"

namespace under20k::UNDER20K_ISA {

#if defined(__AVX512F__)
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

UNDER20K_INLINE Vec broadcast(float value) { return Vec{} + value; }

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

}  // namespace under20k::UNDER20K_ISA
