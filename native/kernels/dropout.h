// Dropout by the plan's hashed masks, which under20k's plan defines.

#pragma once

#include "kernels/hash.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// The keys of a group's images. `layer_key` is the hash of the epoch's seed and the layer.
UNDER20K_INLINE UintVec dropout_keys(uint32_t layer_key, ptrdiff_t position) {
    UintVec keys;
    for (int lane = 0; lane < LANES; ++lane)
        keys[lane] = mix(layer_key ^ (static_cast<uint32_t>(position) + static_cast<uint32_t>(lane)));
    return keys;
}

// `value` scaled up where the element survives, else 0.
UNDER20K_INLINE Vec drop(const Activation& block, UintVec keys, ptrdiff_t element, Vec value) {
    const UintVec hash = mix(keys ^ block.dropout_hashes[element]);
    return where((IntVec)(hash >= block.dropout_threshold), value * block.dropout_scale);
}

}  // namespace under20k::UNDER20K_ISA
