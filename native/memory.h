// Zeroed memory on a 64-byte boundary, as vectors want it.

#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace under20k {

struct Free {
    void operator()(float* memory) const { std::free(memory); }
};

using Floats = std::unique_ptr<float[], Free>;

inline Floats zeroed(size_t count) {
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    void* memory = std::aligned_alloc(64, bytes ? bytes : 64);
    if (!memory) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    return Floats(static_cast<float*>(memory));
}

}  // namespace under20k
