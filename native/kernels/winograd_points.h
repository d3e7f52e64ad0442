// Winograd's transforms for rows with three taps, F(4, 3), or five, F(2, 5) (Lavin and Gray, 2016,
// arXiv:1509.09308, here in one dimension): to the points and back.
//
// Four neighbouring outputs of a row need six inputs. Read as polynomials, the product is determined by its
// values at six points (0, 1, −1, 2, −2 and infinity): six multiplications where a direct convolution takes
// twelve. The cost is additions before and after, and those are shared: an input's serve all output channels,
// an output's all input channels. The weights' gradient has four taps (the output's gradient) and three
// outputs, F(3, 4), and the same points. Two outputs of five taps need six inputs as well.
//
// A strip of a map at the points is [point][channel][row][tile] of vectors, a tile being four or two columns.

#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

constexpr int POINTS = 6;
template <int TAPS>
constexpr int TILE = POINTS + 1 - TAPS;  // columns

template <int TAPS>
UNDER20K_INLINE ptrdiff_t tiles_of(const Map& map) {
    return (map.width + TILE<TAPS> - 1) / TILE<TAPS>;
}

// Six inputs to the points; `at` steps by `point` from one to the next.
UNDER20K_INLINE void to_points(const Vec (&d)[POINTS], Vec* at, ptrdiff_t point) {
    const Vec even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    const Vec even2 = d[4] - d[2], odd2 = d[3] - d[1];
    at[0] = (d[4] - 5 * d[2]) + 4 * d[0];
    at[point] = even + odd;
    at[2 * point] = even - odd;
    at[3 * point] = even2 + 2 * odd2;
    at[4 * point] = even2 - 2 * odd2;
    at[5 * point] = (d[5] - 5 * d[3]) + 4 * d[1];
}

// Four gradients of outputs to the points.
UNDER20K_INLINE void gradient_to_points(const Vec (&d)[4], Vec* at, ptrdiff_t point) {
    const Vec even = d[0] + d[2], odd = d[1] + d[3];
    const Vec even2 = d[0] + 4 * d[2], odd2 = d[1] + 4 * d[3];
    at[0] = d[0];
    at[point] = even + odd;
    at[2 * point] = even - odd;
    at[3 * point] = even2 + 2 * odd2;
    at[4 * point] = even2 - 2 * odd2;
    at[5 * point] = d[3];
}

// Two gradients.
UNDER20K_INLINE void gradient_to_points(const Vec (&d)[2], Vec* at, ptrdiff_t point) {
    at[0] = d[0];
    at[point] = d[0] + d[1];
    at[2 * point] = d[0] - d[1];
    at[3 * point] = d[0] + 2 * d[1];
    at[4 * point] = d[0] - 2 * d[1];
    at[5 * point] = d[1];
}

// The sums at the points to four outputs.
UNDER20K_INLINE void from_points(const Vec* m, ptrdiff_t point, Vec bias, Vec (&y)[4]) {
    const Vec sum = m[point] + m[2 * point], difference = m[point] - m[2 * point];
    const Vec sum2 = m[3 * point] + m[4 * point], difference2 = m[3 * point] - m[4 * point];
    y[0] = (m[0] + sum) + sum2 + bias;
    y[1] = difference + 2 * difference2 + bias;
    y[2] = sum + 4 * sum2 + bias;
    y[3] = (difference + m[5 * point]) + 8 * difference2 + bias;
}

// Two outputs.
UNDER20K_INLINE void from_points(const Vec* m, ptrdiff_t point, Vec bias, Vec (&y)[2]) {
    const Vec sum = m[point] + m[2 * point], difference = m[point] - m[2 * point];
    const Vec sum2 = m[3 * point] + m[4 * point], difference2 = m[3 * point] - m[4 * point];
    y[0] = (m[0] + sum) + sum2 + bias;
    y[1] = (difference + m[5 * point]) + 2 * difference2 + bias;
}

// The sums at the points to the gradients of three taps, or of five.
template <int TAPS>
UNDER20K_INLINE void taps_from_points(const Vec* m, ptrdiff_t point, Vec* taps) {
    const Vec sum = (m[point] + m[2 * point]) * (-1.0f / 6),
              difference = (m[point] - m[2 * point]) * (-1.0f / 6);
    const Vec sum2 = (m[3 * point] + m[4 * point]) * (1.0f / 24);
    taps[0] = m[0] * 0.25f + sum + sum2;
    const Vec difference2 = (m[3 * point] - m[4 * point]) * (1.0f / 12);
    taps[1] = difference + difference2;
    if constexpr (TAPS == 3) {
        taps[2] = sum + 4 * sum2 + m[5 * point];
    } else {
        taps[2] = sum + 4 * sum2;
        taps[3] = difference + 4 * difference2;
        taps[4] = sum + 16 * sum2 + m[5 * point];
    }
}

// A kernel row's weights to the points.
UNDER20K_INLINE void weights_to_points(const double (&w)[3], float* at, ptrdiff_t point) {
    at[0] = static_cast<float>(w[0] / 4);
    at[point] = static_cast<float>(-(w[0] + w[1] + w[2]) / 6);
    at[2 * point] = static_cast<float>(-(w[0] - w[1] + w[2]) / 6);
    at[3 * point] = static_cast<float>((w[0] + 2 * w[1] + 4 * w[2]) / 24);
    at[4 * point] = static_cast<float>((w[0] - 2 * w[1] + 4 * w[2]) / 24);
    at[5 * point] = static_cast<float>(w[2]);
}
UNDER20K_INLINE void weights_to_points(const double (&w)[5], float* at, ptrdiff_t point) {
    const double even = w[0] + w[2] + w[4], odd = w[1] + w[3];
    const double even2 = w[0] + 4 * w[2] + 16 * w[4], odd2 = 2 * w[1] + 8 * w[3];
    at[0] = static_cast<float>(w[0] / 4);
    at[point] = static_cast<float>(-(even + odd) / 6);
    at[2 * point] = static_cast<float>(-(even - odd) / 6);
    at[3 * point] = static_cast<float>((even2 + odd2) / 24);
    at[4 * point] = static_cast<float>((even2 - odd2) / 24);
    at[5 * point] = static_cast<float>(w[4]);
}

// One row to the points, a tile of `TAKEN` values at a time, each a tile's columns after the last; values
// from `end` on count as 0.
template <int TAPS, int TAKEN>
UNDER20K_INLINE void row_to_points(const Vec* row, ptrdiff_t tiles, ptrdiff_t end, Vec* __restrict at,
                                   ptrdiff_t point) {
    const auto tile_to_points = [&](const Vec(&values)[TAKEN], ptrdiff_t t) __attribute__((always_inline)) {
        if constexpr (TAKEN == POINTS)
            to_points(values, at + t, point);
        else
            gradient_to_points(values, at + t, point);
    };
    ptrdiff_t t = 0;
    for (; t < tiles && t * TILE<TAPS> + TAKEN <= end; ++t) {
        Vec values[TAKEN];
        for (int i = 0; i < TAKEN; ++i) values[i] = row[t * TILE<TAPS> + i];
        tile_to_points(values, t);
    }
    for (; t < tiles; ++t) {
        Vec values[TAKEN] = {};
        for (ptrdiff_t i = 0; t * TILE<TAPS> + i < end; ++i) values[i] = row[t * TILE<TAPS> + i];
        tile_to_points(values, t);
    }
}

// Rows `first` … `first + rows` − 1 of a convolution's input to the points. Rows beyond the map are 0.
template <int TAPS>
inline void input_to_points(const Convolution& conv, const Vec* input, ptrdiff_t first, ptrdiff_t rows,
                            Vec* points) {
    const Map& map = conv.input;
    const ptrdiff_t tiles = tiles_of<TAPS>(conv.output), plane = rows * tiles, point = plane * map.channels;
    for (ptrdiff_t c = 0; c < map.channels; ++c)
        for (ptrdiff_t r = 0; r < rows; ++r) {
            const ptrdiff_t y = first + r;
            Vec* at = points + c * plane + r * tiles;
            if (y < 0 || y >= map.height) {
                for (int p = 0; p < POINTS; ++p)
                    for (ptrdiff_t t = 0; t < tiles; ++t) at[p * point + t] = Vec{};
            } else {
                const Vec* row = input + map.at(c, y, -conv.padding);
                row_to_points<TAPS, POINTS>(row, tiles, conv.padding + map.width + map.frame_x, at, point);
            }
        }
}

}  // namespace under20k::UNDER20K_ISA
