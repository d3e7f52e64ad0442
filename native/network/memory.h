// Zeroed memory on a 64-byte boundary, as vectors want it, and in huge pages where there is much of it: maps of a
// batch take thousands of small ones, more than a processor keeps the addresses of.

#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace under20k {

struct Free {
    void operator()(float* memory) const { std::free(memory); }
};

using Floats = std::unique_ptr<float[], Free>;

constexpr size_t HUGE_PAGE = size_t{1} << 21;

inline Floats zeroed(size_t count) {
    const size_t least = count * sizeof(float), page = least >= HUGE_PAGE ? HUGE_PAGE : 64;
    const size_t bytes = least ? (least + page - 1) / page * page : page;
    void* memory = std::aligned_alloc(page, bytes);
    if (!memory) throw std::bad_alloc();
#if defined(__linux__)
    if (page == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: refused, it does no harm
#endif
    std::memset(memory, 0, bytes);
    return Floats(static_cast<float*>(memory));
}

}  // namespace under20k
