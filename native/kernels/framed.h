// Maps with a frame of zeros for a convolution's padding.

#pragma once

#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// A map with zeros left and right, or all around: the one given, or a copy of it in scratch.
struct Framed {
    const Vec* data;
    Map map;
};

UNDER20K_INLINE Framed framed(const Source& source, ptrdiff_t frame_y, ptrdiff_t frame_x, Vec* scratch) {
    const bool covered = source.zero_frame && source.map.frame_y >= frame_y && source.map.frame_x >= frame_x;
    const Reader in(source);
    if (covered || (frame_y == 0 && frame_x == 0)) return {.data = in.data, .map = source.map};
    Map map = source.map;
    map.frame_y = frame_y;
    map.frame_x = frame_x;
    Vec* to = scratch;
    const auto zeros = [&](ptrdiff_t count) {
        for (ptrdiff_t i = 0; i < count; ++i) *to++ = Vec{};
    };
    for (ptrdiff_t c = 0; c < map.channels; ++c) {
        zeros(frame_y * map.row());
        for (ptrdiff_t y = 0; y < map.height; ++y) {
            const Vec* from = in.row(c, y);
            zeros(frame_x);
            for (ptrdiff_t x = 0; x < map.width; ++x) *to++ = from[x];
            zeros(frame_x);
        }
        zeros(frame_y * map.row());
    }
    return {.data = scratch, .map = map};
}

UNDER20K_INLINE ptrdiff_t framed_size(const Map& map, ptrdiff_t frame_y, ptrdiff_t frame_x) {
    return map.channels * (map.height + 2 * frame_y) * (map.width + 2 * frame_x);
}

}  // namespace under20k::UNDER20K_ISA
