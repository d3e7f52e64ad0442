// The choice of how a convolution is computed, and the functions that follow it.

#pragma once

#include "bf16.h"
#include "convolution.h"
#include "kernels.h"
#include "simd.h"
#include "transposed_gradient.h"
#include "weight_gradient.h"
#include "winograd.h"
#include "winograd_gradient.h"

namespace under20k::UNDER20K_ISA {

// Winograd's way pays where tiles of four columns fill the map and additions are shared by some channels: the
// layers of the named recipes, timed either way with AVX2.
constexpr int FEWEST_COLUMNS = 7;
constexpr int FEWEST_CHANNELS = 4;

inline Convolution convolution(int kernel, int padding, const Map& input, const Map& output, bool bf16) {
    Convolution conv{kernel, padding, input, output, Method::direct, Method::direct, {}, {}, 0, 0, 0};
    const ptrdiff_t taps = static_cast<ptrdiff_t>(output.channels) * input.channels * kernel;
    if (bf16) {
        // Not at Winograd's points: there numbers are added before they are multiplied, and rounded again.
        conv.forward = conv.gradient = Method::bf16;
        choose_tiles(output.width, output.channels, &conv.columns, &conv.channels);
        conv.packed = packed_in_bf16(conv);
        conv.scratch = LANES * bf16_scratch(conv);
        conv.gradient_scratch = LANES * bf16_gradient_scratch(conv);
    } else if (kernel == 3 && output.width >= FEWEST_COLUMNS && input.channels >= FEWEST_CHANNELS &&
        output.channels >= FEWEST_CHANNELS) {
        conv.forward = conv.gradient = Method::winograd;
        const int rows = split(output.height, STRIP_ROWS).size;
        choose_tiles(rows * tiles_of(output), output.channels, &conv.columns, &conv.channels);
        conv.packed = POINTS * taps;
        conv.scratch = LANES * winograd_scratch(conv);
        conv.gradient_scratch = LANES * winograd_gradient_scratch(conv);
    } else {
        choose_tiles(output.width, output.channels, &conv.columns, &conv.channels);
        conv.packed = kernel * taps;
        conv.scratch = LANES * 2 * output.channels;
        // Small maps with enough weights side by side to fill the vectors.
        const int weights = kernel * input.channels, vectors = transposed_size(conv).vectors;
        if (output.width < FEWEST_COLUMNS && 10 * weights >= 7 * vectors * LANES) {
            conv.gradient = Method::transposed;
            conv.gradient_scratch = transposed_scratch(conv);
        } else {
            conv.gradient_scratch = LANES * kernel * taps;
        }
    }
    return conv;
}

template <typename Weight>
inline void pack(const Convolution& conv, const Weight& weight, float* packed) {
    if (conv.forward == Method::winograd)
        pack_at_points(conv, weight, packed);
    else if (conv.forward == Method::bf16)
        pack_in_bf16(conv, weight, packed);
    else
        pack_directly(conv, weight, packed);
}

// Weights (output, input, kernel, kernel), each output channel times its `scale` (null for 1), as `convolve`
// wants them.
inline void pack_weights(const Convolution& conv, const float* weights, const float* scale, float* packed) {
    const int inputs = conv.input.channels, taps = conv.kernel * conv.kernel;
    pack(conv, [=](int c, int i, int tap) {
        return static_cast<double>(weights[(c * inputs + i) * taps + tap]) * static_cast<double>(scale ? scale[c] : 1.0f);
    }, packed);
}

// The same for the input's gradient, a convolution of the output's gradient with the kernels turned by 180°
// and inputs and outputs exchanged. `conv` is that convolution, `weights` are the forward one's.
inline void pack_transposed(const Convolution& conv, const float* weights, float* packed) {
    const int outputs = conv.output.channels, taps = conv.kernel * conv.kernel;
    pack(conv, [=](int c, int i, int tap) {
        return static_cast<double>(weights[(i * outputs + c) * taps + (taps - 1 - tap)]);
    }, packed);
}

inline void convolve(const Convolution& conv, const float* input, const float* packed, const float* bias,
                     float* output, Finish finish, const Statistics* statistics, int live, float* scratch) {
    const auto function = conv.forward == Method::winograd ? convolve_at_points
                          : conv.forward == Method::bf16   ? convolve_in_bf16
                                                           : convolve_directly<Singles>;
    function(conv, input, packed, bias, output, finish, statistics, live, scratch);
}

// `gradient` is (output, input, kernel, kernel).
inline void weight_gradient(const Convolution& conv, const float* input, const float* z_gradient, float* scratch,
                            float* gradient) {
    const auto function = conv.gradient == Method::winograd     ? weight_gradient_at_points
                          : conv.gradient == Method::transposed ? weight_gradient_transposed
                          : conv.gradient == Method::bf16       ? weight_gradient_in_bf16
                                                                : weight_gradient_directly;
    function(conv, input, z_gradient, scratch, gradient);
}

}  // namespace under20k::UNDER20K_ISA
