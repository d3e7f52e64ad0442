// What each instruction set implements: the arithmetic on one group of images. The network (network.cpp)
// knows no vectors; it calls these through a table, chosen at run time.
//
// Pointers to activations are to arrays of vectors, aligned to 64 bytes.

#pragma once

#include <cstdint>

#include "layout.h"

namespace under20k {

constexpr int CLASSES = 10;
constexpr int SIDE = 28;  // pixels
constexpr int GRID = 8;   // control points of an elastic deformation, as under20k.recipe.transforms has them

// The images that one group takes from the epoch. `positions` count through the epoch.
struct Batch {
    const uint8_t* images = nullptr;         // (N, 28, 28)
    const uint8_t* labels = nullptr;         // (N,), null in evaluation
    const int32_t* order = nullptr;          // the image at each position; null for the images as they come
    const int32_t* matrices = nullptr;       // (N, 2, 3) in 16.16 fixed point, by position; null for none
    const int16_t* grids = nullptr;          // (N, 2, GRID, GRID) by position, in 1/256 pixel; null for none
    const int32_t* spline_weights = nullptr; // (SIDE, GRID) in 1/512
    bool bilinear = false;
    uint32_t dropout_seed = 0;
};

struct Group {
    int64_t position;  // of its first image in the epoch
    int live;          // lanes in use; the others hold copies of the first image and count for nothing
};

// Plainly (convolution.h, weight_gradient.h), with half the multiplications (winograd.h), with weights in the lanes
// instead of images (transposed_gradient.h), or with products in bfloat16 (bf16.h).
enum class Method { direct, winograd, transposed, bf16 };

// A convolution of one group: its geometry, how it is computed, and how it is cut into tiles that fit the
// registers.
struct Convolution {
    int kernel;
    int padding;
    Map input;
    Map output;
    Method forward, gradient;
    Split channels;  // of the output
    Split columns;
    // Floats that the packed weights take, and those that a thread needs while it convolves or finds the
    // weights' gradient.
    ptrdiff_t packed, scratch, gradient_scratch;
};

// What a convolution does with its sums before they are stored.
enum class Finish { plain, relu, statistics };

// For each channel of a convolution's output, sum and sum of squares of (value − pivot).
struct Statistics {
    const float* pivot;
    float* sums;     // [2][channels]
};

// A block's way from its convolution's output z to its own output: BatchNorm is scale·z + shift here, then
// ReLU, pooling and dropout.
struct Activation {
    Map z;
    Map out;
    bool pool;
    const float* scale;
    const float* shift;
    uint32_t dropout_threshold;      // 0 for none
    float dropout_scale;             // 1 / (1 − probability)
    const uint32_t* dropout_hashes;  // one for each element of the output
};

// Back through a block's activation: z̄ = a·ȳ + b·z + c in each channel, ȳ the gradient of BatchNorm's output.
struct ActivationGradient {
    const float* inverse_sd;  // the normalised value is inverse_sd·z + offset
    const float* offset;
    const float* a;
    const float* b;
    const float* c;
};

struct Loss {
    double loss;
    int correct;
};

// What teachers say of a group's images, and how much that counts beside the labels.
struct Teaching {
    const double* answers;  // [live][CLASSES] the mean of their softmax at the temperature; null without teachers
    double temperature;
    double share;
};

struct Optimiser {
    float momentum;
    float weight_decay;
    bool nesterov;
};

// Where the gradients of a step lie: one row of all parameters for each group.
struct PartialGradients {
    const float* first;
    int groups;
    ptrdiff_t row;
};

// One image alone: a map is [row][column][channel] of floats, the channels filled up to whole vectors, in a frame of
// zeros.
struct ImageMap {
    int channels, height, width, frame;
    ptrdiff_t pixel;  // floats

    UNDER20K_INLINE ptrdiff_t row() const { return (width + 2 * frame) * pixel; }
    UNDER20K_INLINE ptrdiff_t size() const { return (height + 2 * frame) * row(); }
    UNDER20K_INLINE ptrdiff_t at(int y, int x) const { return (y + frame) * row() + (x + frame) * pixel; }
};

struct ImageConvolution {
    int kernel;
    int padding;
    ImageMap input, output;
    bool relu;

    // Floats of the packed weights: a bias and all taps of each output channel, and of those that fill its pixel up.
    UNDER20K_INLINE ptrdiff_t packed() const { return (kernel * kernel * input.channels + 1) * output.pixel; }
};

struct Kernels {
    const char* isa;
    int lanes;

    // Whether products in bf16 (bf16.h) come out as they should on this processor.
    bool (*bf16_as_documented)();

    Convolution (*convolution)(int kernel, int padding, const Map& input, const Map& output, bool bf16);
    void (*pack_weights)(const Convolution&, const float* weights, const float* scale, float* packed);
    void (*pack_transposed)(const Convolution&, const float* weights, float* packed);
    void (*convolve)(const Convolution&, const float* input, const float* packed, const float* bias, float* output,
                     Finish, const Statistics*, int live, float* scratch);
    void (*weight_gradient)(const Convolution&, const float* input, const float* z_gradient, float* scratch,
                            float* gradient);

    void (*load_images)(const Batch&, const Group&, const Map&, float* output);
    void (*map_statistics)(const Map&, const float* values, const Statistics&, int live);
    void (*activate)(const Activation&, const float* z, float* out, uint32_t layer_key, int64_t position);
    void (*activation_sums)(const Activation&, const ActivationGradient&, const float* z, float* out_gradient,
                            uint32_t layer_key, int64_t position, float* sums);
    void (*activation_gradient)(const Activation&, const ActivationGradient&, float* z, const float* out_gradient,
                                int live);

    void (*global_average)(const Map&, const float* maps, float* averages);
    void (*global_average_gradient)(const Map&, const float* averages_gradient, float* maps_gradient);
    void (*logits)(const Map&, const float* z, int live, float* logits);
    void (*answer)(const float* logits, int live, double temperature, double share, double* answers);
    Loss (*loss)(const Map&, float* z, const uint8_t* labels, const Teaching&, int live, float smoothing, float share,
                 float* bias_gradient);

    void (*pack_image)(const ImageConvolution&, const float* weights, const float* scale, const float* bias, float* packed);
    void (*load_image)(const uint8_t* image, const ImageMap&, float* output);
    void (*convolve_image)(const ImageConvolution&, const float* input, const float* packed, float* output);
    void (*pool_image)(const ImageMap& from, const float* input, const ImageMap& to, float* output);
    void (*average_image)(const ImageMap&, const float* input, float* output);

    void (*update)(const Optimiser&, const PartialGradients&, float learning_rate, ptrdiff_t begin, ptrdiff_t end,
                   float* weights, float* momentum);
    void (*average)(float decay, ptrdiff_t begin, ptrdiff_t end, const float* weights, float* average);

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
