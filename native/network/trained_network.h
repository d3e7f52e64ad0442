// What all networks share: the epochs of a training, its optimiser, its teachers, and evaluation in groups.
// How a network computes is up to Network (a chain of layers) and GraphNetwork (any graph of operations).
//
// The class is implemented in trained_network.cpp and distillation.cpp.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "network/memory_plan.h"
#include "network/settings.h"
#include "network/thread_pool.h"

namespace under20k {

struct Epoch {
    ImageSource source;
    ptrdiff_t images;
    const double* learning_rates;  // one a step
    const double* average_decays;  // one a step
    ptrdiff_t first_step = 0;      // of the training, counted from 0
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

class TrainedNetwork {
public:
    virtual ~TrainedNetwork();
    TrainedNetwork(const TrainedNetwork&) = delete;
    TrainedNetwork& operator=(const TrainedNetwork&) = delete;

    // From now on `fraction` of the loss is the distillation loss at `temperature`. The teachers must have
    // this network's kernels and threads; they are not trained.
    void learn_from(std::vector<std::unique_ptr<TrainedNetwork>> teachers, double temperature,
                    double fraction);

    EpochOutcome train_epoch(const Epoch& epoch, const OnStep& on_step, const Poll& poll);

    // Logits (images, 10), by the averaged weights where there are any. The last bits depend on how many
    // images come at once: very few go through one by one, where that is faster.
    void logits(const uint8_t* images, ptrdiff_t count, Span<float> out, const Poll& poll);

    // Arrays of all parameters: the state of the training. The caller may write to them between calls.
    Span<float> weights() const { return parameters_.weights.all(); }
    Span<float> momentum() const { return parameters_.momentum.all(); }  // empty without momentum
    Span<float> average() const { return parameters_.average.all(); }    // empty without averages
    ptrdiff_t parameters() const { return training_.parameters; }
    ptrdiff_t steps(ptrdiff_t images) const {
        return (images + training_.batch_size - 1) / training_.batch_size;
    }
    const Kernels& kernels() const { return kernels_; }
    ptrdiff_t threads() const { return training_.threads; }

protected:
    // One group's part of a step, on one thread.
    struct GroupTask {
        Group group;
        ptrdiff_t index;  // of the group's memory
        ptrdiff_t thread;
    };

    // The images of one step.
    struct Batch {
        const ImageSource& source;
        ptrdiff_t first, images;  // positions
        ptrdiff_t step;           // of the training, counted from 0
    };

    // The derived class plans and allocates the parameters' memory together with its own.
    TrainedNetwork(const TrainingSettings& settings, const Kernels& kernels);

    // Train one step up to the last BatchNorm's backward sums. Returns the loss and the images right.
    virtual Loss forward_pass(const Batch& batch, Pacer& pace) = 0;
    // From there to the gradients of all parameters.
    virtual void backward_pass(const Batch& batch, Pacer& pace) = 0;
    // Rows of partial gradients in a step of so many groups.
    virtual ptrdiff_t gradient_rows(ptrdiff_t groups) const { return groups; }
    virtual void pack_for_evaluation(Span<const float> weights) = 0;
    // The logits of one group.
    virtual void evaluate(const ImageSource& source, const GroupTask& task, Span<float> out) = 0;
    // Compute the logits of few images another way. Returns whether it has done so.
    virtual bool logits_of_few(const uint8_t*, ptrdiff_t, Span<float>) { return false; }

    GroupTask task_of(ptrdiff_t first, ptrdiff_t images, ptrdiff_t group, ptrdiff_t thread) const;
    ptrdiff_t groups_of(ptrdiff_t images) const { return (images + kernels_.lanes - 1) / kernels_.lanes; }
    // A group's loss, whose gradient is written over its output's map z. `bias_gradient` may be empty.
    Loss loss_of(const ImageSource& source, const GroupTask& task, float image_weight, const Map& map,
                 Span<float> z, Span<float> bias_gradient);
    Loss total_loss(ptrdiff_t groups) const;
    Span<const float> evaluated_weights() const { return training_.averages ? average() : weights(); }

    const Kernels& kernels_;
    ThreadPool pool_;
    TrainingMemory parameters_;
    std::vector<Loss> losses_;  // [group]

private:
    SoftTargets soft_targets(const ImageSource& source, const GroupTask& task, Span<double> memory);
    void update(ptrdiff_t rows, float learning_rate, float average_decay);

    const TrainingSettings training_;
    std::vector<std::unique_ptr<TrainedNetwork>> teachers_;
    double temperature_ = 1, teacher_fraction_ = 0;
};

}  // namespace under20k
