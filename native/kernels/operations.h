// The operations of a graph (under20k's recipe/graph) on one group of images, each forward and backward. They
// are compiled once per instruction set as the other kernels are, in operations.cpp.
//
// What holds for all of them:
// - The lanes are images. Maps may have frames on either side; a frame is neither read nor written, except as
//   Source::zero_frame allows. Features (F,) are a map (F, 1, 1).
// - Where `add` is true, a function adds to what its target holds; else it writes.
// - A target may be the source itself (same map, same memory) where a comment says "in place".
// - The invalid lanes of a short last group hold numbers that count for nothing. Functions that sum over
//   lanes take `valid_lanes`. Gradients of maps are zero in the invalid lanes: the loss makes them so, and
//   every function here keeps them so.
// - Results do not depend on threads, frames or addresses: the order of every sum follows from the shapes.

#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/layout.h"

namespace under20k {

// A map that is read.
struct Source {
    Map map;
    Span<const float> values;
    // Whether the frame holds zeros. Convolutions whose padding it covers then read it; else they copy the
    // map into a frame of their own first, which gives the same bits.
    bool zero_frame = false;
};

// A map that is written.
struct Target {
    Map map;
    Span<float> values;

    UNDER20K_INLINE operator Source() const { return {.map = map, .values = values, .zero_frame = false}; }
};

// `count` channels of a map, as a map of its own: an input of a concatenation in its output, for instance.
UNDER20K_INLINE Source channels_of(const Source& from, ptrdiff_t first, ptrdiff_t count, ptrdiff_t lanes) {
    Source part = from;
    part.map.channels = count;
    part.values = from.values.part(first * from.map.plane() * lanes, part.map.size() * lanes);
    return part;
}
UNDER20K_INLINE Target channels_of(const Target& from, ptrdiff_t first, ptrdiff_t count, ptrdiff_t lanes) {
    Target part = from;
    part.map.channels = count;
    part.values = from.values.part(first * from.map.plane() * lanes, part.map.size() * lanes);
    return part;
}

// A kernel sliding over a map, in pixels.
struct Sliding2d {
    ptrdiff_t kernel_y = 1, kernel_x = 1;
    ptrdiff_t stride_y = 1, stride_x = 1;
    ptrdiff_t padding_y = 0, padding_x = 0;
    ptrdiff_t dilation_y = 1, dilation_x = 1;

    UNDER20K_INLINE ptrdiff_t taps() const { return kernel_y * kernel_x; }
};

// Where along an axis the output lies that meets the input at `position` under tap `tap`; false for none.
UNDER20K_INLINE bool output_under(ptrdiff_t position, ptrdiff_t tap, ptrdiff_t stride, ptrdiff_t padding,
                                  ptrdiff_t dilation, ptrdiff_t* output) {
    const ptrdiff_t distance = position + padding - tap * dilation;
    *output = distance >= 0 ? distance / stride : -((-distance + stride - 1) / stride);
    return *output * stride == distance;
}

// Columns of zeros that a convolution's backward pass reads beside the output's gradient.
UNDER20K_INLINE ptrdiff_t gradient_frame(const Sliding2d& w, ptrdiff_t input_width, ptrdiff_t output_width) {
    ptrdiff_t frame = 0;
    for (ptrdiff_t phase = 0; phase < w.stride_x && phase < input_width; ++phase) {
        const ptrdiff_t columns = (input_width - phase + w.stride_x - 1) / w.stride_x;
        for (ptrdiff_t kx = 0; kx < w.kernel_x; ++kx) {
            ptrdiff_t first = 0;
            if (!output_under(phase, kx, w.stride_x, w.padding_x, w.dilation_x, &first)) continue;
            const ptrdiff_t beyond = first + columns - output_width;
            if (-first > frame) frame = -first;
            if (beyond > frame) frame = beyond;
        }
    }
    return frame;
}

// A convolution of any kernel, stride, padding, dilation and groups. A linear layer is one too: on features
// it has a 1×1 kernel; on a flattened map its kernel is the map (its weights lie in the same order), so that
// the map need not be reshaped. Made by OperationKernels::convolution; frames of the maps do not matter.
struct GeneralConvolution {
    Map input, output;
    Sliding2d window;
    ptrdiff_t groups = 1;

    // Tiles of one channel group: of the output in the forward pass, of the input in the backward pass.
    Tiling columns{}, channels{};
    Tiling transposed_columns{}, transposed_channels{};
    // Floats of the packed weights, and of scratch that a thread needs in each of the three functions.
    ptrdiff_t packed = 0, packed_transposed = 0;
    ptrdiff_t scratch = 0, input_gradient_scratch = 0, weight_gradient_scratch = 0;

    UNDER20K_INLINE ptrdiff_t group_inputs() const { return input.channels / groups; }
    UNDER20K_INLINE ptrdiff_t group_outputs() const { return output.channels / groups; }
    UNDER20K_INLINE ptrdiff_t weights() const { return output.channels * group_inputs() * window.taps(); }
};

// max: the gradient goes to the first maximum in row-major order; a NaN is the maximum. average: of the
// window as clipped to map and padding, or without `count_padding` to the map. adaptive: windows from ⌊iH/H'⌋
// to ⌈(i+1)H/H'⌉, the fields of `window` unused. Ceil mode follows from the target's shape.
struct Pooling {
    Sliding2d window;
    bool max = false;
    bool count_padding = true;
    bool adaptive = false;
};

enum class FunctionKind : uint8_t {
    relu,
    relu6,
    leaky_relu,  // slope
    elu,         // slope: alpha
    gelu,
    gelu_tanh,
    silu,
    hardswish,
    hardsigmoid,
    sigmoid,
    tanh,
    rsqrt,  // 1/√x
};

struct Function {
    FunctionKind kind;
    float slope = 0;
};

// Masks as recipe/plan.dropout_keep defines them. An element's number counts through the map in row-major
// order; where whole channels are dropped it is the channel's.
struct Dropout {
    bool channels;
    uint32_t threshold;           // plan.dropout_threshold(probability); 0 drops nothing
    float scale;                  // 1 / (1 − probability); 0 for probability 1
    Span<const uint32_t> hashes;  // of each element's, or channel's, number
    uint32_t layer_key;           // the hash of the epoch's seed and the layer's stream
    ptrdiff_t position;           // of the group's first image in the epoch
};

struct OperationKernels {
    // ---- Convolution. Weights are (output, input / groups, kernel_y, kernel_x).

    // Only the maps' shapes are used, not their frames.
    GeneralConvolution (*convolution)(const Map& input, const Map& output, const Sliding2d&,
                                      ptrdiff_t groups);
    // For `convolve`; each output channel's weights times its `scale` (empty for 1).
    void (*pack)(const GeneralConvolution&, Span<const float> weights, Span<const float> scale,
                 Span<float> packed);
    // For `input_gradient`.
    void (*pack_transposed)(const GeneralConvolution&, Span<const float> weights, Span<float> packed);
    // `bias` is empty for none. The epilogue as for the tuned convolutions.
    void (*convolve)(const GeneralConvolution&, const Source& input, Span<const float> packed,
                     Span<const float> bias, const Target& output, const Epilogue&, Span<float> scratch);
    void (*input_gradient)(const GeneralConvolution&, const Source& output_gradient,
                           Span<const float> packed_transposed, const Target& input_gradient, bool add,
                           Span<float> scratch);
    void (*weight_gradient)(const GeneralConvolution&, const Source& input, const Source& output_gradient,
                            ptrdiff_t valid_lanes, Span<float> gradient, bool add, Span<float> scratch);
    // A channel's sum over map and lanes: of a convolution's or linear layer's bias.
    void (*bias_gradient)(const Source& output_gradient, ptrdiff_t valid_lanes, Span<float> gradient,
                          bool add);

    // ---- Pooling.

    void (*pool)(const Pooling&, const Source& input, const Target& output);
    void (*pool_gradient)(const Pooling&, const Source& input, const Source& output_gradient,
                          const Target& input_gradient, bool add);

    // ---- Functions of each element, by PyTorch's definitions; within about 2 ulp of float64. In place.

    void (*apply)(const Function&, const Source& x, const Target& y);
    // `x` is the function's input; or with `from_output` its output, for relu, relu6, sigmoid and tanh, and
    // for leaky_relu and elu with slope > 0. `x` or `y_gradient` may be `x_gradient` in place where `add` is
    // false.
    void (*apply_gradient)(const Function&, const Source& x, bool from_output, const Source& y_gradient,
                           const Target& x_gradient, bool add);
    // One weight, or one for each channel. In place.
    void (*prelu)(Span<const float> weights, const Source& x, const Target& y);
    // `weight_gradient` (as many as weights; empty where it is not wanted) is added to or written as
    // `add_weight_gradient` says. `y_gradient` may be `x_gradient` in place.
    void (*prelu_gradient)(Span<const float> weights, const Source& x, const Source& y_gradient,
                           const Target& x_gradient, bool add, ptrdiff_t valid_lanes,
                           Span<float> weight_gradient, bool add_weight_gradient);

    // ---- Arithmetic. A source (C, 1, 1) beside a target (C, H, W) is broadcast over the map.

    // y = x. With `add`, the gradient of an addition; from and to channels_of, a concatenation and its
    // gradient.
    void (*copy)(const Source& x, const Target& y, bool add);
    // y = a + b, in place.
    void (*add)(const Source& a, const Source& b, const Target& y);
    // y = a·b, in place; the gradient of a factor of the target's shape too.
    void (*multiply)(const Source& a, const Source& b, const Target& y, bool add);
    // The gradient of a term (C, 1, 1) that was broadcast: the sums of each channel over the map.
    void (*sum_map)(const Source& y_gradient, const Target& x_gradient, bool add);
    // The gradient of a factor (C, 1, 1) that was broadcast: each channel's sum over the map of products.
    void (*sum_products)(const Source& y_gradient, const Source& other, const Target& x_gradient, bool add);
    // y = factor·x + offset, in place; the gradient too, with offset 0.
    void (*scale)(float factor, float offset, const Source& x, const Target& y, bool add);
    // The same elements row by row in another shape; the gradient too, the other way.
    void (*reshape)(const Source& x, const Target& y, bool add);
    // y = x·mask, in place; the gradient too.
    void (*dropout)(const Dropout&, const Source& x, const Target& y, bool add);

    // ---- BatchNorm of each channel. network/batch_norm.h makes the factors from the sums.

    // As Kernels::map_statistics.
    void (*statistics)(const Source& x, const Statistics&);
    // y = function(scale·x + shift), in place; null for no function.
    void (*normalise)(Span<const float> scale, Span<const float> shift, const Function*, const Source& x,
                      const Target& y);
    // [2][channels]: the sums over map and valid lanes of dy and of dy·(inverse_sd·x + normalised_offset),
    // the gradients of BatchNorm's shift and scale.
    void (*normalise_sums)(const ActivationGradient&, const Source& x, const Source& y_gradient,
                           ptrdiff_t valid_lanes, Span<float> sums);
    // The same of y = function(scale·x + shift). `y_gradient` becomes the gradient of the function's input.
    void (*normalised_function_sums)(const Function&, Span<const float> scale, Span<const float> shift,
                                     const ActivationGradient&, const Source& x, const Target& y_gradient,
                                     ptrdiff_t valid_lanes, Span<float> sums);
    // dx = grad_scale·dy + z_scale·x + offset in the valid lanes, 0 in the others. `y_gradient` or `x` may be
    // `x_gradient` in place where `add` is false.
    void (*normalise_gradient)(const ActivationGradient&, const Source& x, const Source& y_gradient,
                               ptrdiff_t valid_lanes, const Target& x_gradient, bool add);

    // ---- Softmax over the channels of each pixel. In place.

    void (*softmax)(const Source& x, const Target& y);
    // `y` is the softmax itself.
    void (*softmax_gradient)(const Source& y, const Source& y_gradient, const Target& x_gradient, bool add);
};

}  // namespace under20k
