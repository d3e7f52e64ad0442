// A network with its training: the order of things. The arithmetic is in the kernels.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"

namespace under20k {

// A convolution with what follows it. The numbers from `weight` on are places in the array of all
// parameters; −1 stands for a part that is absent. Layers may have their weights in one place.
struct Layer {
    int channels;
    int kernel;
    int padding;
    bool pool;
    double dropout;
    uint32_t dropout_threshold;
    int64_t weight, bias;
    int64_t scale, shift, running_mean, running_variance;

    bool batch_norm() const { return scale >= 0; }
};

// A run of parameters that one rule updates. Running statistics are not trained, only averaged.
struct Range {
    int64_t begin, end;
    bool trained;
    bool decayed;
};

struct Settings {
    std::vector<Layer> layers;  // the head's convolution last
    bool pool_first;            // global average pooling before the head's convolution
    std::vector<Range> ranges;  // all parameters, in order
    int64_t parameters;
    int64_t batch_size;
    float momentum;
    float weight_decay;
    bool nesterov;
    float label_smoothing;
    bool averages;
    int threads;
    bool bf16;  // in training
};

struct Epoch {
    Batch batch;
    int64_t images;
    const double* learning_rates;  // one a step
    const double* average_decays;  // one a step
};

struct EpochOutcome {
    double loss;       // summed over the images
    int64_t correct;
    int64_t diverged;  // the first step whose loss was not finite, or −1
};

// Called between steps, from the calling thread, with the images done so far; may throw.
using OnStep = std::function<void(int64_t)>;
// Called now and then inside long steps and evaluations; may throw.
using Poll = std::function<void()>;

// Where a layer's maps lie: its padded input, its convolution's output, and its block's output.
struct Geometry {
    Map input, z, out;
};

// Of all layers, in order.
std::vector<Geometry> geometries(const Settings& settings);

// Bytes that a Network of these settings would ask for.
double network_bytes(const Settings& settings, const Kernels& kernels);

// BatchNorm's running statistics folded into its convolution: each output channel's weights times `factors`, plus
// `bias`.
void fold(const Layer& layer, const float* weights, float* factors, float* bias);

class ImageNetwork;

class Network {
public:
    Network(const Settings& settings, const Kernels& kernels);
    ~Network();

    // From now on the loss has `share` of what the teachers say of each image, at a temperature. They are of this
    // network's kernels and threads, and give no gradient.
    void learn_from(std::vector<std::unique_ptr<Network>> teachers, double temperature, double share);

    EpochOutcome train_epoch(const Epoch& epoch, const OnStep& on_step, const Poll& poll);

    // (images, 10), by the averaged weights where there are any. The last bits depend on how many images come at
    // once: very few go through one by one, which is faster then.
    void logits(const uint8_t* images, int64_t count, float* out, const Poll& poll);

    // Arrays of all parameters in one: what training goes on from. The caller may write to them between calls.
    float* weights() { return weights_.get(); }
    float* momentum() { return momentum_.get(); }  // null without momentum
    float* average() { return average_.get(); }    // null without averages
    int64_t parameters() const { return settings_.parameters; }
    size_t steps(size_t images) const {
        const auto batch = static_cast<size_t>(settings_.batch_size);
        return (images + batch - 1) / batch;
    }
    const Kernels& kernels() const { return kernels_; }
    int threads() const { return settings_.threads; }

private:
    // A layer at work.
    struct Stage {
        Layer layer;
        Convolution forward;     // input → z
        Convolution evaluation;  // the same in fp32
        Convolution backward;    // z's gradient → the input's gradient
        Activation activation;
        Floats packed_forward, packed_backward;
        Floats input;  // [group] maps, framed by the padding; on the way back, its gradient
        Floats z;      // [group] maps, framed for `backward`; on the way back, its gradient
        Floats channel_floats;
        std::vector<uint32_t> dropout_hashes;
        Floats sums;  // [group][2][channels]
        ptrdiff_t shared_weights;  // 0 where the next layer has others
        Floats own_gradients;      // [thread][shared_weights]
        // Views into channel_floats, one float a channel.
        float *start, *pivot, *scale, *shift, *inverse_sd, *offset, *a, *b, *c;
    };

    void pack(const float* weights);
    void pack_for_evaluation(const float* weights);
    void forward(size_t index, const Batch& batch, const Group& group, int64_t slot, int thread);
    void refine_statistics(Stage& stage, int64_t images);
    void normalise(Stage& stage, int64_t images);
    void ask_teachers(const Batch& batch, const Group& group, int thread, double* answers);
    Loss head(const Batch& batch, const Group& group, int64_t slot, int thread, float share);
    void backward(size_t index, const Batch& batch, const Group& group, int64_t slot, int thread);
    void weight_gradient(const Stage& stage, const float* input, const float* z, float* gradient, int thread);
    void gradient_sums(size_t index, const Batch& batch, const Group& group, int64_t slot);
    void gradient_factors(Stage& stage, int64_t images, int groups);
    void update(int groups, float learning_rate, float average_decay);
    void evaluate(const Batch& batch, const Group& group, int slot, float* out);
    ActivationGradient activation_gradient(const Stage& stage) const;
    uint32_t layer_key(size_t index, const Batch& batch) const;
    float* input_of(Stage& stage, int64_t slot) const;
    float* z_of(Stage& stage, int64_t slot) const;
    float* output_of(size_t index, int64_t slot);
    float* scratch_of_thread(int thread) const { return scratch_.get() + scratch_size_ * static_cast<size_t>(thread); }
    float* partial(int64_t slot) const { return partial_.get() + slot * settings_.parameters; }

    Settings settings_;
    const Kernels& kernels_;
    ThreadPool pool_;
    std::vector<Stage> stages_;
    Map maps_{};     // the last block's output, where global average pooling follows it
    Floats maps_of_groups_;
    Floats scratch_;  // [thread] what a convolution needs while it runs
    size_t scratch_size_ = 0;
    Floats weights_, momentum_, average_;
    Floats zeros_;    // the bias of the convolutions on the way back
    Floats partial_;  // [group][parameters] gradients
    std::vector<std::unique_ptr<Network>> teachers_;
    double temperature_ = 1, teachers_share_ = 0;
    std::unique_ptr<ImageNetwork> single_;  // made when first asked for
    int slots_ = 0;   // groups that there is memory for
};

}  // namespace under20k
