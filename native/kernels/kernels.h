// What each instruction set implements: the arithmetic on one group of images. The network (network/) knows
// no vectors; it calls these functions through a table, chosen at run time.
//
// Spans of activations are of whole vectors, aligned to 64 bytes.

#pragma once

#include <cstdint>

#include "kernels/layout.h"

namespace under20k {

// native_engine.py compares these with Python's (bindings/module.cpp exports them).
constexpr int CLASSES = 10;
constexpr int SIDE = 28;           // pixels
constexpr int GRID = 8;            // control points of an elastic deformation along a side
constexpr int FRACTION_BITS = 16;  // of coordinates in fixed point
constexpr int SURPLUS_BITS = 10;   // fraction bits of a displacement beyond those
constexpr int ROUND_BITS = 9;      // of a change of the stroke width by one round of morphology
constexpr int LOWEST_SIDE = 8, HIGHEST_SIDE = 22, SIDES = HIGHEST_SIDE + 1 - LOWEST_SIDE;  // low resolutions
constexpr int WEIGHT_BITS = 8;                                                             // of resampling
constexpr int BITMAP_FIRST = 1, BITMAP_LOW = 2;  // black and white before, or at, a low resolution
constexpr double MEAN = 0.1307, STANDARD_DEVIATION = 0.3081;  // of pixels / 255

constexpr ptrdiff_t MAX_LANES = 64;  // of any instruction set

// Where a group's images come from. Positions count through the epoch.
struct ImageSource {
    const uint8_t* images = nullptr;          // (N, 28, 28)
    const uint8_t* labels = nullptr;          // (N,), null in evaluation
    const int32_t* order = nullptr;           // the image at each position; null for the images as they come
    const int32_t* matrices = nullptr;        // (N, 2, 3) in 16.16 fixed point, by position; null for none
    const int16_t* grids = nullptr;           // (N, 2, GRID, GRID) by position, in 1/256 pixel; null for none
    const int32_t* spline_weights = nullptr;  // (SIDE, GRID) in 1/512
    const int16_t* filters = nullptr;         // (N, 3) as in Python's plan, by position; null for none
    const int16_t* resampling = nullptr;      // (2, SIDES, SIDE, SIDE) weights in 1/256: shrink, enlarge
    bool bilinear = false;
    uint32_t dropout_seed = 0;

    UNDER20K_INLINE ptrdiff_t image_at(ptrdiff_t position) const {
        return order ? order[position] : position;
    }
};

struct Group {
    ptrdiff_t position;     // of its first image in the epoch
    ptrdiff_t valid_lanes;  // the others hold copies of the first image and count for nothing
};

// direct: convolution.h, weight_gradient.h. winograd: half the multiplications (winograd.h,
// winograd_gradient.h). transposed: weights in the lanes instead of images (transposed_gradient.h). bf16:
// products in bfloat16 (bf16.h).
enum class Method : uint8_t { direct, winograd, transposed, bf16 };

// A convolution of one group: its geometry, its methods, and how it is cut into tiles that fit the registers.
struct Convolution {
    ptrdiff_t kernel;
    ptrdiff_t padding;
    Map input;
    Map output;
    Method forward = Method::direct, gradient = Method::direct;
    Tiling channels{};  // of the output
    Tiling columns{};
    // Floats of the packed weights, and of scratch that a thread needs to convolve or to compute the weights'
    // gradient.
    ptrdiff_t packed = 0, scratch = 0, gradient_scratch = 0;

    UNDER20K_INLINE ptrdiff_t taps() const { return kernel * kernel; }
    UNDER20K_INLINE ptrdiff_t weights() const { return output.channels * input.channels * taps(); }
};

// For each channel of a convolution's output, sum and sum of squares of (value − pivot).
struct Statistics {
    Span<const float> pivot;
    Span<float> sums;  // [2][channels]
    ptrdiff_t valid_lanes;
};

// What a convolution does with its sums before they are stored. relu_statistics: ReLU, and the statistics of
// its output.
enum class Finish : uint8_t { plain, relu, statistics, relu_statistics };

UNDER20K_INLINE bool rectifies(Finish finish) {
    return finish == Finish::relu || finish == Finish::relu_statistics;
}
UNDER20K_INLINE bool counts(Finish finish) {
    return finish == Finish::statistics || finish == Finish::relu_statistics;
}

struct Epilogue {
    Finish finish = Finish::plain;
    Statistics statistics{};  // for a finish that counts
    bool add = false;         // onto what the output holds, after the finish
};

// A block from its convolution's output z to its own output: BatchNorm as scale·z + shift, ReLU (or none),
// pooling and dropout.
struct Activation {
    Map z;
    Map out;
    bool pool;
    Span<const float> scale;
    Span<const float> shift;
    uint32_t dropout_threshold;           // 0 for none
    float dropout_scale;                  // 1 / (1 − probability)
    Span<const uint32_t> dropout_hashes;  // one for each element of the output
    bool relu = true;
    bool after_relu = false;  // z is ReLU's output, and its gradient is that of ReLU's input
};

// Backward through a block's activation, in each channel: z̄ = grad_scale·ȳ + z_scale·z + offset, where ȳ is
// the gradient of BatchNorm's output.
struct ActivationGradient {
    Span<const float> inverse_sd;  // the normalised value is inverse_sd·z + normalised_offset
    Span<const float> normalised_offset;
    Span<const float> grad_scale;
    Span<const float> z_scale;
    Span<const float> offset;
};

struct Loss {
    double loss;
    ptrdiff_t correct;
};

// What teachers say of a group's images, and how much it counts beside the labels.
struct SoftTargets {
    Span<const double>
        probabilities;  // [image][CLASSES] their mean softmax at the temperature; empty for none
    double temperature;
    double fraction;  // of the loss
};

struct Optimiser {
    float momentum;
    float weight_decay;
    bool nesterov;
};

// A step's gradients: one row for each group.
struct PartialGradients {
    Span<const float> values;
    ptrdiff_t groups;
    ptrdiff_t row;  // floats from one group's gradients to the next one's
};

// A map of one image alone: [row][column][channel] of floats in a frame of zeros, the channels filled up to
// whole vectors.
struct ImageMap {
    ptrdiff_t channels, height, width, frame;
    ptrdiff_t pixel;  // floats

    UNDER20K_INLINE ptrdiff_t row() const { return (width + 2 * frame) * pixel; }
    UNDER20K_INLINE ptrdiff_t size() const { return (height + 2 * frame) * row(); }
    UNDER20K_INLINE ptrdiff_t at(ptrdiff_t y, ptrdiff_t x) const {
        return (y + frame) * row() + (x + frame) * pixel;
    }
};

struct ImageConvolution {
    ptrdiff_t kernel;
    ptrdiff_t padding;
    ImageMap input, output;
    bool relu;

    UNDER20K_INLINE ptrdiff_t taps() const { return kernel * kernel; }
    // Floats of the packed weights: a bias and all taps of each output channel, filled up as its pixels are.
    UNDER20K_INLINE ptrdiff_t packed() const { return (taps() * input.channels + 1) * output.pixel; }
};

struct OperationKernels;

struct Kernels {
    const char* isa;
    ptrdiff_t lanes;

    // A graph's operations (operations.h).
    const OperationKernels& (*operations)();

    // Whether products in bf16 (bf16.h) come out as documented on this processor.
    bool (*bf16_as_documented)();

    Convolution (*convolution)(ptrdiff_t kernel, ptrdiff_t padding, const Map& input, const Map& output,
                               bool bf16);
    void (*pack_weights)(const Convolution&, Span<const float> weights, Span<const float> scale,
                         Span<float> packed);
    void (*pack_transposed)(const Convolution&, Span<const float> weights, Span<float> packed);
    void (*convolve)(const Convolution&, Span<const float> input, Span<const float> packed,
                     Span<const float> bias, Span<float> output, const Epilogue&, Span<float> scratch);
    void (*weight_gradient)(const Convolution&, Span<const float> input, Span<const float> z_gradient,
                            Span<float> scratch, Span<float> gradient);

    void (*load_images)(const ImageSource&, const Group&, const Map&, Span<float> output);
    void (*map_statistics)(const Map&, Span<const float> values, const Statistics&);
    void (*activate)(const Activation&, Span<const float> z, Span<float> out, uint32_t layer_key,
                     ptrdiff_t position);
    void (*activation_sums)(const Activation&, const ActivationGradient&, Span<const float> z,
                            Span<float> out_gradient, uint32_t layer_key, ptrdiff_t position,
                            Span<float> sums);
    void (*activation_gradient)(const Activation&, const ActivationGradient&, Span<const float> z,
                                Span<const float> out_gradient, ptrdiff_t valid_lanes,
                                Span<float> z_gradient);

    void (*global_average)(const Map&, Span<const float> values, Span<float> averages);
    void (*global_average_gradient)(const Map&, Span<const float> averages_gradient, Span<float> gradient);
    void (*logits)(const Map&, Span<const float> z, Span<float> logits);
    void (*add_soft_targets)(Span<const float> logits, double temperature, double weight,
                             Span<double> targets);
    Loss (*loss)(const Map&, Span<float> z, Span<const uint8_t> labels, const SoftTargets&, float smoothing,
                 float image_weight, Span<float> bias_gradient);

    void (*pack_image)(const ImageConvolution&, Span<const float> weights, Span<const float> scale,
                       Span<const float> bias, Span<float> packed);
    void (*load_image)(const uint8_t* image, const ImageMap&, Span<float> output);
    void (*convolve_image)(const ImageConvolution&, Span<const float> input, Span<const float> packed,
                           Span<float> output);
    void (*pool_image)(const ImageMap& from, Span<const float> input, const ImageMap& to, Span<float> output);
    void (*average_image)(const ImageMap&, Span<const float> input, Span<float> output);

    void (*update)(const Optimiser&, const PartialGradients&, float learning_rate, Span<float> weights,
                   Span<float> momentum);
    void (*average)(float decay, Span<const float> weights, Span<float> average);

    double (*multiply_adds)(int64_t rounds, float* sum);
};

namespace baseline {
const Kernels& kernels();
}
#if defined(UNDER20K_WIDE)
namespace wide {
const Kernels& kernels();
}
#endif
#if defined(UNDER20K_X86)
namespace avx2 {
const Kernels& kernels();
}
namespace avx512 {
const Kernels& kernels();
}
namespace avx512bf16 {
const Kernels& kernels();
}
#endif

}  // namespace under20k
