// How the numbers lie in memory: groups of images, and maps of vectors.
//
// The batch is the SIMD lane. A group is as many images as a vector has lanes (16, 8 or 4); its activations
// are maps [channel][row][column] of vectors, each holding one pixel of every image of the group. So a
// channel count of 12 or 14 wastes nothing, and no loop ever has to look across lanes, but for the sums over
// the batch at its end.
//
// A map may have a frame of zeros around every channel, which is the padding of the convolution that reads
// it: written once, when the memory is allocated, and never again.

#pragma once

#include <cstddef>

// Inlined even without optimisation. These headers are compiled once for each instruction set; a function
// that both kept out of line would be one symbol to the linker, and a processor without AVX-512 could end up
// with the AVX-512 one.
#define UNDER20K_INLINE inline __attribute__((always_inline))

namespace under20k {

struct Map {
    int channels;
    int height;   // of the inside
    int width;
    int frame_y;  // rows of zeros above and below
    int frame_x;  // columns of zeros left and right

    // All in vectors.
    UNDER20K_INLINE ptrdiff_t row() const { return width + 2 * frame_x; }
    UNDER20K_INLINE ptrdiff_t plane() const { return row() * (height + 2 * frame_y); }
    UNDER20K_INLINE ptrdiff_t size() const { return channels * plane(); }
    UNDER20K_INLINE ptrdiff_t at(int channel, int y, int x) const {
        return channel * plane() + (y + frame_y) * row() + (x + frame_x);
    }
};

// A number of things split into tiles as evenly as can be: `large` tiles of `size`, then tiles of size − 1.
struct Split {
    int tiles;
    int size;
    int large;
};

UNDER20K_INLINE Split split(int things, int most) {
    const int tiles = (things + most - 1) / most;
    const int size = (things + tiles - 1) / tiles;
    return {tiles, size, things - tiles * (size - 1)};
}

// First thing of tile `index`.
UNDER20K_INLINE int tile_start(const Split& split, int index) {
    return index * split.size - (index > split.large ? index - split.large : 0);
}

UNDER20K_INLINE int tile_size(const Split& split, int index) { return split.size - (index >= split.large); }

}  // namespace under20k
