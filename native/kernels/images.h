// Images of one group: from bytes to normalised vectors, through the plan's transforms where it has any.

#pragma once

#include <type_traits>

#include "kernels/filters.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int FRAMED = SIDE + 2;  // an image in a frame of background, which stands for everything outside it

// (pixel / 255 − mean) / standard deviation.
constexpr double SLOPE = 1 / (255 * STANDARD_DEVIATION), INTERCEPT = -MEAN / STANDARD_DEVIATION;

// Of one pixel, or of a vector of them.
template <typename Pixel>
UNDER20K_INLINE Pixel normalised(Pixel value) {
    return value * static_cast<float>(SLOPE) + static_cast<float>(INTERCEPT);
}

UNDER20K_INLINE int clamp_to_frame(int32_t coordinate) {
    return coordinate < -1 ? 0 : coordinate > SIDE ? SIDE + 1 : coordinate + 1;
}

// What an elastic deformation adds to each pixel's source point, along x and along y, in 16.16 fixed point.
struct Displacements {
    int32_t x[SIDE * SIDE], y[SIDE * SIDE];
};

// One axis' displacements: the grid, weighted along x and then along y. Unsigned, because sums of extreme
// grids wrap around, as NumPy's and PyTorch's do.
inline void spline(const int16_t* grid, const int32_t* weights, int32_t* out) {
    constexpr int TAPS = 4;  // weights other than 0, side by side
    uint32_t along_x[GRID][SIDE], transposed[GRID][SIDE];
    for (int x = 0; x < SIDE; ++x)
        for (int j = 0; j < GRID; ++j) transposed[j][x] = static_cast<uint32_t>(weights[x * GRID + j]);
    for (int i = 0; i < GRID; ++i) {
        std::memset(along_x[i], 0, sizeof along_x[i]);
        for (int j = 0; j < GRID; ++j)
            for (int x = 0; x < SIDE; ++x)
                along_x[i][x] += static_cast<uint32_t>(grid[i * GRID + j]) * transposed[j][x];
    }
    for (int y = 0; y < SIDE; ++y, out += SIDE) {
        const int32_t* weight = weights + y * GRID;
        const int first =
            (2 * y + 1) * (GRID - TAPS + 1) / (2 * SIDE);  // the cell that holds the pixel's centre
        for (int x = 0; x < SIDE; ++x) {
            uint32_t sum = 0;
            for (int i = first; i < first + TAPS; ++i)
                sum += static_cast<uint32_t>(weight[i]) * along_x[i][x];
            out[x] = static_cast<int32_t>(sum) >> SURPLUS_BITS;
        }
    }
}

// One image under the affine matrix `m` and, if ELASTIC, `moved`, as pixel values 0–255: as floats, LANES
// apart, or for filters as whole grey levels, in rows of ROW.
template <bool BILINEAR, bool ELASTIC, typename Value>
void warp(const uint8_t* image, const int32_t* m, const Displacements& moved, Value* out) {
    constexpr bool WHOLE = std::is_same_v<Value, uint8_t>;
    constexpr int STEP = WHOLE ? 1 : LANES, BETWEEN_ROWS = WHOLE ? ROW - SIDE : 0;
    uint8_t framed[FRAMED * FRAMED];
    std::memset(framed, 0, sizeof framed);
    for (int y = 0; y < SIDE; ++y) std::memcpy(framed + (y + 1) * FRAMED + 1, image + y * SIDE, SIDE);

    // Unsigned, because coordinates far outside may wrap around, as NumPy's and PyTorch's do.
    const auto u = [](int32_t value) { return static_cast<uint32_t>(value); };
    const uint32_t half = BILINEAR ? 1u << (FRACTION_BITS - 1) : 0;
    for (int y = 0; y < SIDE; ++y, out += BETWEEN_ROWS) {
        uint32_t point_x = u(m[1]) * u(y) + u(m[2]) - half, point_y = u(m[4]) * u(y) + u(m[5]) - half;
        for (int x = 0; x < SIDE; ++x, point_x += u(m[0]), point_y += u(m[3]), out += STEP) {
            const uint32_t from_x = point_x + (ELASTIC ? u(moved.x[y * SIDE + x]) : 0);
            const uint32_t from_y = point_y + (ELASTIC ? u(moved.y[y * SIDE + x]) : 0);
            const int left = static_cast<int32_t>(from_x) >> FRACTION_BITS;
            const int top = static_cast<int32_t>(from_y) >> FRACTION_BITS;
            const int column = clamp_to_frame(left);
            const uint8_t* row = framed + clamp_to_frame(top) * FRAMED;
            if constexpr (BILINEAR && WHOLE) {
                const int next = clamp_to_frame(left + 1);
                const uint8_t* below = framed + clamp_to_frame(top + 1) * FRAMED;
                constexpr int cut = FRACTION_BITS - 8;  // the weights are in 1/256
                const int fx = (from_x >> cut) & 255, fy = (from_y >> cut) & 255;
                const int upper = (256 - fx) * row[column] + fx * row[next];
                const int lower = (256 - fx) * below[column] + fx * below[next];
                *out = static_cast<uint8_t>(((256 - fy) * upper + fy * lower + (1 << 15)) >> 16);
            } else if constexpr (BILINEAR) {
                const int next = clamp_to_frame(left + 1);
                const uint8_t* below = framed + clamp_to_frame(top + 1) * FRAMED;
                constexpr uint32_t mask = (1u << FRACTION_BITS) - 1;
                const float fx = static_cast<float>(from_x & mask) * (1.0f / (1 << FRACTION_BITS));
                const float fy = static_cast<float>(from_y & mask) * (1.0f / (1 << FRACTION_BITS));
                const float upper = (1 - fx) * row[column] + fx * row[next];
                const float lower = (1 - fx) * below[column] + fx * below[next];
                *out = (1 - fy) * upper + fy * lower;
            } else {
                *out = row[column];
            }
        }
    }
}

// The image at `position` through the plan's matrices and grids, of which there are matrices.
template <typename Value>
void warp_image(const ImageSource& source, ptrdiff_t position, const uint8_t* image, Value* out) {
    const int32_t* matrix = source.matrices + 6 * position;
    Displacements moved;
    if (source.grids) {
        const int16_t* grid = source.grids + 2 * GRID * GRID * position;
        spline(grid, source.spline_weights, moved.x);
        spline(grid + GRID * GRID, source.spline_weights, moved.y);
        (source.bilinear ? warp<true, true, Value> : warp<false, true, Value>)(image, matrix, moved, out);
    } else {
        (source.bilinear ? warp<true, false, Value> : warp<false, false, Value>)(image, matrix, moved, out);
    }
}

// The group's images as they are, to [pixel][lane].
inline void load_unchanged(const ImageSource& source, const Group& group, Vec* pixels) {
    static_assert(SIDE * SIDE % LANES == 0);
    const uint8_t* images[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        const ptrdiff_t position = group.position + (lane < group.valid_lanes ? lane : 0);
        images[lane] = source.images + source.image_at(position) * SIDE * SIDE;
    }
    for (ptrdiff_t first = 0; first < SIDE * SIDE; first += LANES) {
        Vec values[LANES];
        for (int lane = 0; lane < LANES; ++lane) {
            ByteVec bytes;
            std::memcpy(&bytes, images[lane] + first, sizeof bytes);
            values[lane] = __builtin_convertvector(bytes, Vec);
        }
        transpose(values);
        for (int i = 0; i < LANES; ++i) pixels[first + i] = values[i];
    }
}

inline void load_images(const ImageSource& source, const Group& group, const Map& map, Span<float> output) {
    Vec* to = vectors(output, map.size());
    alignas(64) float pixels[SIDE * SIDE * LANES];
    const bool unchanged = !source.filters && !source.matrices;
    if (unchanged)
        load_unchanged(source, group, vectors(Span<float>{pixels, SIDE * SIDE * LANES}, SIDE * SIDE));
    for (int lane = 0; lane < LANES && !unchanged; ++lane) {
        const ptrdiff_t position = group.position + (lane < group.valid_lanes ? lane : 0);
        const uint8_t* image = source.images + source.image_at(position) * SIDE * SIDE;
        float* out = pixels + lane;
        if (source.filters) {
            Grey grey;
            if (source.matrices)
                warp_image(source, position, image, &grey.rows[1][1]);
            else
                for (int y = 0; y < SIDE; ++y) std::memcpy(&grey.rows[y + 1][1], image + y * SIDE, SIDE);
            filter(source.filters + 3 * position, source.resampling, grey);
            for (int y = 0; y < SIDE; ++y)
                for (int x = 0; x < SIDE; ++x, out += LANES) *out = grey.rows[y + 1][x + 1];
        } else {
            warp_image(source, position, image, out);
        }
    }
    const Vec* pixel = vectors(Span<const float>{pixels, SIDE * SIDE * LANES}, SIDE * SIDE);
    for (int y = 0; y < SIDE; ++y) {
        Vec* row = to + map.at(0, y, 0);
        for (int x = 0; x < SIDE; ++x) row[x] = normalised(*pixel++);
    }
}

}  // namespace under20k::UNDER20K_ISA
