// How numbers lie in memory: groups of images, and maps of vectors.
//
// The batch is the SIMD lane. A group is as many images as a vector has lanes (16, 8 or 4); its activations
// are maps [channel][row][column] of vectors, each holding one pixel of every image in the group. A channel
// count of 12 or 14 wastes nothing, and only sums over the batch ever look across lanes.
//
// A map may have a frame of zeros around every channel, the padding of the convolution that reads it. It is
// written once, when the memory is allocated.

#pragma once

#include <cstddef>

// Inlined even without optimisation. These headers are compiled once per instruction set; an out-of-line
// function outside its instruction set's namespace would be one symbol to the linker, and a processor without
// AVX-512 could end up with the AVX-512 one (tests/native/test_symbols.py).
#define UNDER20K_INLINE inline __attribute__((always_inline))

// Checked in builds with sanitizers only.
#if defined(UNDER20K_SANITIZE)
#define UNDER20K_ASSERT(condition) \
    ((condition) ? static_cast<void>(0) : ::under20k::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define UNDER20K_ASSERT(condition) static_cast<void>(0)
#endif

namespace under20k {

// Reports on stderr and aborts (network/memory_plan.cpp).
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

// As std::span, whose functions would be one symbol for all instruction sets; and checked in sanitizer
// builds.
template <typename T>
struct Span {
    T* data = nullptr;
    ptrdiff_t size = 0;

    UNDER20K_INLINE constexpr Span() {}
    UNDER20K_INLINE constexpr Span(T* first, ptrdiff_t count) : data(first), size(count) {}

    UNDER20K_INLINE T& operator[](ptrdiff_t index) const {
        UNDER20K_ASSERT(index >= 0 && index < size);
        return data[index];
    }
    UNDER20K_INLINE Span part(ptrdiff_t first, ptrdiff_t count) const {
        UNDER20K_ASSERT(first >= 0 && count >= 0 && first + count <= size);
        return {data + first, count};
    }
    UNDER20K_INLINE Span from(ptrdiff_t first) const { return part(first, size - first); }
    UNDER20K_INLINE operator Span<const T>() const { return {data, size}; }
    UNDER20K_INLINE explicit operator bool() const { return data != nullptr; }
};

struct Map {
    ptrdiff_t channels;
    ptrdiff_t height;  // without the frame
    ptrdiff_t width;
    ptrdiff_t frame_y;  // rows of zeros above and below
    ptrdiff_t frame_x;  // columns of zeros left and right

    // All in vectors.
    UNDER20K_INLINE ptrdiff_t row() const { return width + 2 * frame_x; }
    UNDER20K_INLINE ptrdiff_t plane() const { return row() * (height + 2 * frame_y); }
    UNDER20K_INLINE ptrdiff_t size() const { return channels * plane(); }
    UNDER20K_INLINE ptrdiff_t at(ptrdiff_t channel, ptrdiff_t y, ptrdiff_t x) const {
        return channel * plane() + (y + frame_y) * row() + (x + frame_x);
    }
};

// Things cut into tiles as evenly as possible: `large` tiles of `size`, then tiles of size − 1.
struct Tiling {
    ptrdiff_t tiles;
    ptrdiff_t size;
    ptrdiff_t large;

    UNDER20K_INLINE ptrdiff_t start_of(ptrdiff_t tile) const {
        return tile * size - (tile > large ? tile - large : 0);
    }
    UNDER20K_INLINE ptrdiff_t size_of(ptrdiff_t tile) const { return size - (tile >= large); }
};

UNDER20K_INLINE Tiling cut(ptrdiff_t things, ptrdiff_t max_size) {
    const ptrdiff_t tiles = (things + max_size - 1) / max_size;
    const ptrdiff_t size = (things + tiles - 1) / tiles;
    return {.tiles = tiles, .size = size, .large = things - tiles * (size - 1)};
}

}  // namespace under20k
