// A network with its training: the order of things. The arithmetic is in the kernels.
//
// The class is implemented in network.cpp (memory, packing), training.cpp, distillation.cpp and
// evaluation.cpp.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "network/batch_norm.h"
#include "network/layers.h"
#include "network/memory_plan.h"
#include "network/settings.h"
#include "network/thread_pool.h"

namespace under20k {

struct Epoch {
    ImageSource source;
    ptrdiff_t images;
    const double* learning_rates;  // one a step
    const double* average_decays;  // one a step
};

struct EpochOutcome {
    double loss;  // summed over the images
    ptrdiff_t correct;
    ptrdiff_t diverged;  // the first step whose loss was not finite, or −1
};

// Called between steps, from the calling thread, with the images done so far; may throw.
using OnStep = std::function<void(ptrdiff_t)>;
// Called now and then inside long steps and evaluations; may throw.
using Poll = std::function<void()>;

// Calls a function, but not more often than ten times a second.
class Pacer {
public:
    explicit Pacer(const Poll& poll) : poll_(poll) {}

    void operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(100)) return;
        last_ = now;
        poll_();
    }

private:
    const Poll& poll_;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

class SingleImageNetwork;

class Network {
public:
    Network(const NetworkSettings& settings, const Kernels& kernels);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // From now on `fraction` of the loss is the distillation loss at `temperature`. The teachers must have
    // this network's kernels and threads; they are not trained.
    void learn_from(std::vector<std::unique_ptr<Network>> teachers, double temperature, double fraction);

    EpochOutcome train_epoch(const Epoch& epoch, const OnStep& on_step, const Poll& poll);

    // Logits (images, 10), by the averaged weights where there are any. The last bits depend on how many
    // images come at once: very few go through one by one, which is then faster.
    void logits(const uint8_t* images, ptrdiff_t count, Span<float> out, const Poll& poll);

    // Arrays of all parameters: the state of the training. The caller may write to them between calls.
    Span<float> weights() const { return memory_.weights.all(); }
    Span<float> momentum() const { return memory_.momentum.all(); }  // empty without momentum
    Span<float> average() const { return memory_.average.all(); }    // empty without averages
    ptrdiff_t parameters() const { return settings_.parameters; }
    ptrdiff_t steps(ptrdiff_t images) const {
        return (images + settings_.batch_size - 1) / settings_.batch_size;
    }
    const Kernels& kernels() const { return kernels_; }
    ptrdiff_t threads() const { return settings_.threads; }

private:
    struct LayerState : LayerPlan {
        LayerState(const LayerPlan& plan, const LayerMemory& memory, Span<const uint32_t> dropout_hashes);

        const LayerMemory& memory;
        ChannelValues channels;
        Activation activation;
    };

    // One group's part of a step, on one thread.
    struct GroupTask {
        Group group;
        ptrdiff_t index;  // of the group's memory
        ptrdiff_t thread;
    };

    // network.cpp
    Span<float> input_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> z_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> sums_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> output_of(ptrdiff_t index, ptrdiff_t group) const;
    Span<float> scratch_of(ptrdiff_t thread) const { return memory_.scratch.row(thread, scratch_floats_); }
    Span<float> gradients_of(ptrdiff_t group) const {
        return memory_.partial_gradients.row(group, settings_.parameters);
    }
    Span<float> weights_of(const LayerState& layer, Span<float> parameters) const;
    bool pooled_after(ptrdiff_t index) const {
        return settings_.pool_first && index + 2 == std::ssize(layers_);
    }

    // training.cpp
    void pack();
    void forward(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    void update_statistics(const LayerState& layer, ptrdiff_t images);
    Loss loss(const ImageSource& source, const GroupTask& task, float image_weight);
    void backward(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    void weight_gradient(const LayerState& layer, const GroupTask& task);
    void gradient_sums(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    StepSums step_sums(const LayerState& layer, ptrdiff_t images) const;
    void update(ptrdiff_t groups, float learning_rate, float average_decay);
    // Train one step on positions first … first + images − 1. Returns the loss and the images right.
    Loss train_step(const ImageSource& source, ptrdiff_t first, ptrdiff_t images, Pacer& pace);
    void backward_blocks(const ImageSource& source, ptrdiff_t first, ptrdiff_t images, Pacer& pace);
    GroupTask task_of(ptrdiff_t first, ptrdiff_t images, ptrdiff_t group, ptrdiff_t thread) const;
    ptrdiff_t groups_of(ptrdiff_t images) const { return (images + kernels_.lanes - 1) / kernels_.lanes; }

    // distillation.cpp
    SoftTargets soft_targets(const ImageSource& source, const GroupTask& task, Span<double> memory);

    // evaluation.cpp
    void pack_for_evaluation(Span<const float> weights);
    void single_image_logits(const uint8_t* images, ptrdiff_t count, Span<float> out);
    void evaluate(const ImageSource& source, const GroupTask& task, Span<float> out);

    NetworkSettings settings_;
    const Kernels& kernels_;
    ThreadPool pool_;
    NetworkMemory memory_;
    std::vector<LayerState> layers_;
    ptrdiff_t scratch_floats_ = 0;  // of one thread
    std::vector<Loss> losses_;      // [group]
    std::vector<std::unique_ptr<Network>> teachers_;
    double temperature_ = 1, teacher_fraction_ = 0;
    std::unique_ptr<SingleImageNetwork> single_image_;  // made when first needed
};

}  // namespace under20k
