// Functions compiled for each size of a tile, which is known only at run time, and the choice of sizes.

#pragma once

#include "kernels/layout.h"
#include "kernels/simd.h"

namespace under20k::UNDER20K_ISA {

// `Kind` has MAX_WIDTH and MAX_DEPTH, fits(width, depth), and function<WIDTH, DEPTH>.
template <typename Kind, typename Function>
struct SizeTable {
    Function functions[Kind::MAX_WIDTH + 1][Kind::MAX_DEPTH + 1] = {};

    constexpr SizeTable() { fill<1, 1>(); }

    UNDER20K_INLINE Function at(ptrdiff_t width, ptrdiff_t depth) const {
        UNDER20K_ASSERT(width >= 1 && width <= Kind::MAX_WIDTH && depth >= 1 && depth <= Kind::MAX_DEPTH);
        return functions[width][depth];
    }

private:
    template <int WIDTH, int DEPTH>
    constexpr void fill() {
        if constexpr (WIDTH <= Kind::MAX_WIDTH) {
            if constexpr (DEPTH <= Kind::MAX_DEPTH && Kind::fits(WIDTH, DEPTH)) {
                functions[WIDTH][DEPTH] = Kind::template function<WIDTH, DEPTH>;
                fill<WIDTH, DEPTH + 1>();
            } else {
                fill<WIDTH + 1, 1>();
            }
        }
    }
};

// The cycles of a step of a tile, by a simple count: two multiply-adds or two loads a cycle, and no tile
// faster than the latency of one multiply-add.
UNDER20K_INLINE double tile_cycles(ptrdiff_t width, ptrdiff_t depth) {
    const ptrdiff_t products = width * depth, loads = width + depth;
    const ptrdiff_t most = products > loads ? products : loads;
    return static_cast<double>(most > 8 ? most : 8) / 2 + 0.5;
}

// Cut `wide` × `deep` things into the tiles that take the fewest cycles.
template <typename Kind>
void choose_sizes(ptrdiff_t wide, ptrdiff_t deep, Tiling* widths, Tiling* depths) {
    double least = 1e300;
    for (int width = 1; width <= Kind::MAX_WIDTH; ++width)
        for (int depth = 1; depth <= Kind::MAX_DEPTH && Kind::fits(width, depth); ++depth) {
            const Tiling w = cut(wide, width), d = cut(deep, depth);
            double cycles = 0;
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 2; ++j) {
                    const ptrdiff_t tiles =
                        (i ? w.tiles - w.large : w.large) * (j ? d.tiles - d.large : d.large);
                    if (tiles > 0)
                        cycles += static_cast<double>(tiles) * Kind::cycles(w.size - i, d.size - j);
                }
            if (cycles < least) {
                least = cycles;
                *widths = w;
                *depths = d;
            }
        }
}

}  // namespace under20k::UNDER20K_ISA
