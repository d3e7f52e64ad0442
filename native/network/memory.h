// Zeroed memory on a 64-byte boundary, as vectors need it, and in huge pages where there is much of it: the
// maps of a batch take thousands of small pages, more than a processor keeps the addresses of.

#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/layout.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace under20k {

constexpr size_t HUGE_PAGE_BYTES = size_t{1} << 21;

template <typename T>
class Memory {
public:
    Memory() = default;

    explicit Memory(ptrdiff_t count) : size_(count) {
        const size_t needed = static_cast<size_t>(count) * sizeof(T);
        const size_t page = needed >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 64;
        const size_t bytes = needed > 0 ? (needed + page - 1) / page * page : page;
        data_.reset(static_cast<T*>(std::aligned_alloc(page, bytes)));
        if (!data_) throw std::bad_alloc();
#if defined(__linux__)
        if (page == HUGE_PAGE_BYTES) madvise(data_.get(), bytes, MADV_HUGEPAGE);  // harmless if refused
#endif
        std::memset(data_.get(), 0, bytes);
    }

    Span<T> all() const { return {data_.get(), size_}; }

    // Row `index` of an array of rows of `size`.
    Span<T> row(ptrdiff_t index, ptrdiff_t size) const { return all().part(index * size, size); }

private:
    struct Free {
        void operator()(T* memory) const { std::free(memory); }
    };

    std::unique_ptr<T[], Free> data_;
    ptrdiff_t size_ = 0;
};

using Floats = Memory<float>;

}  // namespace under20k
