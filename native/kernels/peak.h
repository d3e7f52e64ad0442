// The processor's peak: multiply-adds of vectors, none of which waits for another.

#pragma once

#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// Enough to hide each other's latency; of the registers left, two are for the factor and the addend, and two
// keep the compiler from spilling.
constexpr int CHAINS = REGISTERS - 4;

// Run `rounds` rounds and return how many multiply-adds of single floats they made. Their sum goes to `*sum`,
// since a compiler leaves out what nothing reads.
inline double multiply_adds(int64_t rounds, float* sum) {
    const Vec factor = keep(broadcast(0.5f)), addend = keep(broadcast(1.0f));
    Vec chain[CHAINS];
    for (int i = 0; i < CHAINS; ++i) chain[i] = broadcast(static_cast<float>(i));
    for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; ++i) chain[i] = keep(chain[i] * factor + addend);
    Vec total{};
    for (int i = 0; i < CHAINS; ++i) total += chain[i];
    *sum = sum_lanes(total);
    return static_cast<double>(rounds) * CHAINS * LANES;
}

}  // namespace under20k::UNDER20K_ISA
