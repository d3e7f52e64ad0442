// What a network is and how it is trained: Python's architecture and recipe, as the C++ needs them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace under20k {

// A convolution with what follows it. `weight` and the fields after it are offsets into the array of all
// parameters, −1 for a part that is absent. Layers that share their weights have one offset.
struct LayerSettings {
    ptrdiff_t channels;
    ptrdiff_t kernel;
    ptrdiff_t padding;
    bool pool;
    double dropout;
    uint32_t dropout_threshold;
    uint32_t dropout_stream;  // which masks are its own
    ptrdiff_t weight, bias;
    ptrdiff_t scale, shift, running_mean, running_variance;
    // BatchNorm's: the weight of a batch in the running statistics, and what is added to the variance.
    double momentum = 0.1;
    double epsilon = 1e-5;

    bool batch_norm() const { return running_mean >= 0; }
    bool has_bias() const { return bias >= 0; }
};

// Parameters that one rule updates. Running statistics are not trained, only averaged.
struct ParameterRange {
    ptrdiff_t begin, end;
    bool trained;
    bool decayed;
};

// How a network is trained, whatever it computes.
struct TrainingSettings {
    std::vector<ParameterRange> ranges;  // all parameters, in order
    ptrdiff_t parameters;
    ptrdiff_t batch_size;
    float momentum;
    float weight_decay;
    bool nesterov;
    float label_smoothing;
    bool averages;
    ptrdiff_t threads;
    bool bf16;  // in training
};

struct NetworkSettings : TrainingSettings {
    std::vector<LayerSettings> layers;  // the head's convolution last
    bool pool_first;                    // global average pooling before the head's convolution
};

}  // namespace under20k
