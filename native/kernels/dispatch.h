// Which method a convolution is computed by, and the functions that follow that choice.

#pragma once

#include "kernels/bf16.h"
#include "kernels/convolution.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"
#include "kernels/transposed_gradient.h"
#include "kernels/weight_gradient.h"
#include "kernels/winograd.h"
#include "kernels/winograd_gradient.h"

namespace under20k::UNDER20K_ISA {

// Winograd pays where tiles of four columns fill the map and several channels share the transforms: timed
// both ways on the layers of the named recipes with AVX2.
constexpr ptrdiff_t MIN_WINOGRAD_COLUMNS = 7;
constexpr ptrdiff_t MIN_WINOGRAD_CHANNELS = 4;

// For 5 × 5 there is no other method here: what does not pay is a general convolution (operations.h).
inline bool winograd_pays(const Convolution& conv) {
    if (conv.input.channels < MIN_WINOGRAD_CHANNELS || conv.output.channels < MIN_WINOGRAD_CHANNELS)
        return false;
    return conv.kernel == 5 || (conv.kernel == 3 && conv.output.width >= MIN_WINOGRAD_COLUMNS);
}

// Whether the map is small and has enough weights side by side to fill the vectors.
inline bool transposing_pays(const Convolution& conv) {
    const ptrdiff_t weights = conv.kernel * conv.input.channels, vectors = transposed_size(conv).vectors;
    return conv.output.width < MIN_WINOGRAD_COLUMNS && 10 * weights >= 7 * vectors * LANES;
}

inline Convolution convolution(ptrdiff_t kernel, ptrdiff_t padding, const Map& input, const Map& output,
                               bool bf16) {
    Convolution conv{.kernel = kernel, .padding = padding, .input = input, .output = output};
    if (bf16) {
        // Never at Winograd's points: numbers are added there before they are multiplied, and rounded again.
        conv.forward = conv.gradient = Method::bf16;
        choose_tiles(output.width, output.channels, &conv.columns, &conv.channels);
        conv.packed = packed_in_bf16(conv);
        conv.scratch = LANES * bf16_scratch(conv);
        conv.gradient_scratch = LANES * bf16_gradient_scratch(conv);
    } else if (winograd_pays(conv)) {
        conv.forward = conv.gradient = Method::winograd;
        const ptrdiff_t rows = cut(output.height, strip_rows(conv)).size;
        const ptrdiff_t tiles = kernel == 5 ? tiles_of<5>(output) : tiles_of<3>(output);
        choose_tiles(rows_at_once(conv, rows) * tiles, output.channels, &conv.columns, &conv.channels);
        conv.packed = POINTS * output.channels * input.channels * kernel;
        conv.scratch = LANES * winograd_scratch(conv);
        conv.gradient_scratch = LANES * winograd_gradient_scratch(conv);
    } else {
        choose_tiles(output.width, output.channels, &conv.columns, &conv.channels);
        conv.packed = conv.weights();
        conv.scratch = LANES * 2 * output.channels;
        if (transposing_pays(conv)) {
            conv.gradient = Method::transposed;
            conv.gradient_scratch = transposed_scratch(conv);
        } else {
            conv.gradient_scratch = LANES * conv.weights();
        }
    }
    return conv;
}

template <typename Weight>
inline void pack(const Convolution& conv, const Weight& weight, Span<float> packed) {
    if (conv.forward == Method::winograd && conv.kernel == 5)
        pack_at_points<5>(conv, weight, packed);
    else if (conv.forward == Method::winograd)
        pack_at_points<3>(conv, weight, packed);
    else if (conv.forward == Method::bf16)
        pack_in_bf16(conv, weight, packed);
    else
        pack_directly(conv, weight, packed);
}

// Weights (output, input, kernel, kernel), each output channel times its `scale` (empty for 1), as `convolve`
// wants them.
inline void pack_weights(const Convolution& conv, Span<const float> weights, Span<const float> scale,
                         Span<float> packed) {
    const ptrdiff_t inputs = conv.input.channels, taps = conv.taps();
    const auto weight = [=](ptrdiff_t c, ptrdiff_t i, ptrdiff_t tap) {
        return static_cast<double>(weights[(c * inputs + i) * taps + tap]) *
               static_cast<double>(scale ? scale[c] : 1.0f);
    };
    pack(conv, weight, packed);
}

// The same for the input's gradient, a convolution of the output's gradient with the kernels turned by 180°
// and inputs and outputs exchanged. `conv` is that convolution, `weights` are the forward one's.
inline void pack_transposed(const Convolution& conv, Span<const float> weights, Span<float> packed) {
    const ptrdiff_t outputs = conv.output.channels, taps = conv.taps();
    const auto weight = [=](ptrdiff_t c, ptrdiff_t i, ptrdiff_t tap) {
        return static_cast<double>(weights[(i * outputs + c) * taps + (taps - 1 - tap)]);
    };
    pack(conv, weight, packed);
}

inline void convolve(const Convolution& conv, Span<const float> input, Span<const float> packed,
                     Span<const float> bias, Span<float> output, const Epilogue& epilogue,
                     Span<float> scratch) {
    const auto at_points = conv.kernel == 5 ? convolve_at_points<5> : convolve_at_points<3>;
    const auto function = conv.forward == Method::winograd ? at_points
                          : conv.forward == Method::bf16   ? convolve_in_bf16
                                                           : convolve_directly<Float32>;
    function(conv, input, packed, bias, output, epilogue, scratch);
}

// `gradient` is (output, input, kernel, kernel).
inline void weight_gradient(const Convolution& conv, Span<const float> input, Span<const float> z_gradient,
                            Span<float> scratch, Span<float> gradient) {
    const auto at_points = conv.kernel == 5 ? weight_gradient_at_points<5> : weight_gradient_at_points<3>;
    const auto function = conv.gradient == Method::winograd     ? at_points
                          : conv.gradient == Method::transposed ? weight_gradient_transposed
                          : conv.gradient == Method::bf16       ? weight_gradient_in_bf16
                                                                : weight_gradient_directly;
    function(conv, input, z_gradient, scratch, gradient);
}

}  // namespace under20k::UNDER20K_ISA
