// The plan's hash (under20k's dropout masks): "lowbias32" of C. Wellons' hash prospector, without its last
// shift.

#pragma once

#include <cstdint>

#include "kernels/layout.h"

namespace under20k {

constexpr uint32_t MIX_FIRST = 0x7FEB352D, MIX_SECOND = 0x846CA68B;

// Of one number, or of each lane of a vector.
template <typename T>
UNDER20K_INLINE T mix(T value) {
    value = (value ^ (value >> 16)) * MIX_FIRST;
    return (value ^ (value >> 15)) * MIX_SECOND;
}

}  // namespace under20k
