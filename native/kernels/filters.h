// The plan's filters of one image: stroke width, low resolution, black and white. recipe/filters.py defines
// them; every sum here is of integers, so that the pixels are the same.

#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int ROW = 32;  // pixels from one row to the next: whole vectors, so that no loop has a remainder

// Grey levels in a frame of background, which stands for everything outside. Column x is at 1 + x.
struct Grey {
    alignas(64) uint8_t rows[SIDE + 2][ROW];

    Grey() { std::memset(rows, 0, sizeof rows); }
};
static_assert(ROW >= SIDE + 2);

struct Greater {
    UNDER20K_INLINE static uint8_t of(uint8_t a, uint8_t b) { return a > b ? a : b; }
};
struct Smaller {
    UNDER20K_INLINE static uint8_t of(uint8_t a, uint8_t b) { return a < b ? a : b; }
};

// The largest or smallest of the 3×3 cross and of the 3×3 square about each pixel; null for not wanted.
template <typename Extreme>
void extremes(const Grey& from, Grey* cross, Grey* square) {
    for (int y = 1; y <= SIDE; ++y) {
        const uint8_t *above = from.rows[y - 1], *row = from.rows[y], *below = from.rows[y + 1];
        uint8_t upright[ROW];
        for (int x = 0; x < ROW; ++x) upright[x] = Extreme::of(Extreme::of(above[x], row[x]), below[x]);
        if (cross)
            for (int x = 1; x <= SIDE; ++x)
                cross->rows[y][x] = Extreme::of(upright[x], Extreme::of(row[x - 1], row[x + 1]));
        if (square)
            for (int x = 1; x <= SIDE; ++x)
                square->rows[y][x] = Extreme::of(upright[x], Extreme::of(upright[x - 1], upright[x + 1]));
    }
}

// One round of morphology: `part` of 2^ROUND_BITS of the way to wider or thinner strokes.
inline void morph(Grey& image, bool wider, int part) {
    Grey cross, square;
    uint8_t target[SIDE + 2][ROW];
    if (wider) {
        extremes<Greater>(image, &cross, &square);
        for (int y = 1; y <= SIDE; ++y)
            for (int x = 0; x < ROW; ++x)
                target[y][x] = static_cast<uint8_t>((cross.rows[y][x] + square.rows[y][x] + 1) >> 1);
    } else {
        Grey opened_by_cross, opened_by_square;
        extremes<Smaller>(image, &cross, &square);
        extremes<Greater>(cross, &opened_by_cross, nullptr);
        extremes<Greater>(square, nullptr, &opened_by_square);
        for (int y = 1; y <= SIDE; ++y)
            for (int x = 0; x < ROW; ++x) {
                const int lost_by_cross = opened_by_cross.rows[y][x] - cross.rows[y][x];
                const int lost_by_square = opened_by_square.rows[y][x] - square.rows[y][x];
                target[y][x] =
                    static_cast<uint8_t>(image.rows[y][x] - ((lost_by_cross + lost_by_square) >> 1));
            }
    }
    for (int y = 1; y <= SIDE; ++y)
        for (int x = 0; x < ROW; ++x) {
            const int way = (target[y][x] - image.rows[y][x]) * part + (1 << (ROUND_BITS - 1));
            image.rows[y][x] = static_cast<uint8_t>(image.rows[y][x] + (way >> ROUND_BITS));
        }
}

inline int largest_value(const Grey& image) {
    uint8_t largest = 0;
    for (const auto& row : image.rows)
        for (const uint8_t value : row) largest = Greater::of(largest, value);
    return largest;
}

// Black and white: 255 above 3/8 of the largest value.
inline void bilevel(Grey& image) {
    const int largest = largest_value(image);
    for (auto& row : image.rows)
        for (uint8_t& value : row) value = 8 * value > 3 * largest ? 255 : 0;
}

// Full contrast of an image of `side` pixels: values times 255 / the largest, rounded.
inline void stretch(int side, Grey& image) {
    const int found = largest_value(image), largest = found > 0 ? found : 1;
    uint8_t values[256];
    for (int value = 0; value <= largest; ++value)
        values[value] = static_cast<uint8_t>((2 * 255 * value + largest) / (2 * largest));
    for (int y = 1; y <= side; ++y)
        for (int x = 1; x <= side; ++x) image.rows[y][x] = values[image.rows[y][x]];
}

using Sums = int32_t[SIDE][ROW];

// out = weights · in; columns from SIDE on are 0.
inline void weigh(const int16_t* weights, int outputs, int inputs, const Sums& in, Sums& out) {
    for (int i = 0; i < outputs; ++i) {
        std::memset(out[i], 0, sizeof out[i]);
        for (int j = 0; j < inputs; ++j)
            if (const int32_t weight = weights[i * SIDE + j])  // few are not 0
                for (int x = 0; x < ROW; ++x) out[i][x] += weight * in[j][x];
    }
}

inline void transpose(int rows, const Sums& in, Sums& out) {
    for (int x = 0; x < SIDE; ++x)
        for (int y = 0; y < rows; ++y) out[x][y] = in[y][x];
}

// Apply weights of `outputs` by `inputs` along both axes of `image`.
inline void resample(const int16_t* weights, int outputs, int inputs, Grey& image) {
    Sums values{}, sums{};
    for (int y = 0; y < inputs; ++y)
        for (int x = 0; x < SIDE; ++x) values[y][x] = image.rows[y + 1][x + 1];
    weigh(weights, outputs, inputs, values, sums);
    transpose(outputs, sums, values);
    weigh(weights, outputs, inputs, values, sums);
    transpose(outputs, sums, values);
    image = Grey();
    for (int y = 0; y < outputs; ++y)
        for (int x = 0; x < outputs; ++x)
            image.rows[y + 1][x + 1] =
                static_cast<uint8_t>((values[y][x] + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS));
}

// Apply one image's filters: change of the stroke width, side of the low resolution, bitmap.
inline void filter(const int16_t* filters, const int16_t* resampling, Grey& image) {
    const int stroke = filters[0], side = filters[1], bitmap = filters[2];
    constexpr int ROUND = 1 << ROUND_BITS;
    for (int left = stroke < 0 ? -stroke : stroke; left > 0; left -= ROUND)
        morph(image, stroke > 0, left < ROUND ? left : ROUND);
    if (bitmap == BITMAP_FIRST || (bitmap == BITMAP_LOW && side == 0)) bilevel(image);
    if (side == 0) return;
    const int16_t* shrink = resampling + (side - LOWEST_SIDE) * SIDE * SIDE;
    const int16_t* enlarge = shrink + SIDES * SIDE * SIDE;
    resample(shrink, side, SIDE, image);
    stretch(side, image);
    if (bitmap == BITMAP_LOW) bilevel(image);
    resample(enlarge, SIDE, side, image);
}

}  // namespace under20k::UNDER20K_ISA
