// A graph of operations with its training: the order of things. The arithmetic is in the kernels.
//
// The class is implemented in graph_network.cpp (memory, packing), graph_forward.cpp, graph_backward.cpp and
// graph_training.cpp.

#pragma once

#include <algorithm>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/operations.h"
#include "network/batch_norm.h"
#include "network/graph_plan.h"
#include "network/memory_plan.h"
#include "network/trained_network.h"

namespace under20k {

// Of one value.
struct GraphValueMemory {
    Floats value, gradient;  // [thread or group] maps
};

// Of one convolution.
struct GraphStepMemory {
    Floats packed_forward, packed_backward;
    Floats folded;  // the bias in evaluation, where BatchNorm is folded into the weights
};

// Of one norm.
struct GraphNormMemory {
    Floats sums;      // [group][2][channels]
    Floats channels;  // [LAYER_CHANNEL_ARRAYS][channels]
    Memory<double> moments;
};

struct GraphMemory {
    std::vector<GraphValueMemory> values;
    std::vector<GraphStepMemory> steps;
    std::vector<GraphNormMemory> norms;
    Floats scratch, temporary;        // [thread]
    Floats zeros;                     // of a bias that is absent
    Memory<uint32_t> dropout_hashes;  // of the elements of the largest map with dropout
};

// Bytes that a GraphNetwork of these settings will allocate.
ptrdiff_t network_bytes(const GraphSettings& settings, const Kernels& kernels);

class GraphNetwork : public TrainedNetwork {
public:
    GraphNetwork(const GraphSettings& settings, const Kernels& kernels);

private:
    // One group's part of a pass.
    struct Run {
        const ImageSource& source;
        GroupTask task;
        bool add = false;  // whether other groups have written to the row of partial gradients
        // Where it is not named in an initialiser, GCC warns without this one.
        Span<float> gradients{};  // NOLINT(readability-redundant-member-init)

        ptrdiff_t valid_lanes() const { return task.group.valid_lanes; }
    };

    // graph_network.cpp
    Span<float> memory_of(const Floats& memory, const GraphValue& value, Place place,
                          const GroupTask& task) const;
    Span<float> values_of(ptrdiff_t value, const GroupTask& task) const;
    Span<float> gradients_of(ptrdiff_t value, const GroupTask& task) const;
    Target value_of(ptrdiff_t value, const Run& run) const;
    Source input_of(const GraphStep& step, ptrdiff_t input, const Run& run) const;
    Target output_of(const GraphStep& step, const Run& run) const { return value_of(step.output, run); }
    Target gradient_of(ptrdiff_t value, const Run& run) const;
    Span<float> sums_of(ptrdiff_t norm, const GroupTask& task) const;
    Span<float> scratch_of(const Run& run) const {
        return memory_.scratch.row(run.task.thread, plan_.scratch);
    }
    Span<float> temporary_of(const Run& run) const {
        return memory_.temporary.row(run.task.thread, plan_.temporary);
    }
    Span<const float> bias_of(const TensorUse& bias) const;
    Activation activation_of(const GraphStep& step, bool training) const;
    Dropout dropout_of(const GraphStep& step, const Run& run) const;
    bool joined(const GraphStep& step) const {
        return plan_.values[step.output].storage == plan_.values[step.inputs[0]].storage;
    }
    void pack();

    // graph_forward.cpp
    void forward_stage(ptrdiff_t stage, const Run& run);
    void forward(const GraphStep& step, const Run& run, bool training);
    void convolve(const GraphStep& step, const Run& run, bool training);
    void combine(const GraphStep& step, const Run& run);
    void count(ptrdiff_t index, const GroupTask& task);

    // graph_backward.cpp
    void backward_stage(ptrdiff_t stage, const Run& run);
    void backward(const GraphStep& step, const Run& run);
    void backward_convolution(const GraphStep& step, const Run& run);
    void input_gradient(const GraphStep& step, const Source& gradient, const Run& run);
    void backward_prelu(const GraphStep& step, const Run& run);
    void backward_factors(const GraphStep& step, const Run& run);
    void backward_terms(const GraphStep& step, const Run& run);
    void gradient_sums(const GraphStep& step, const Run& run);
    void norm_gradient(const GraphStep& step, const Run& run);
    Span<float> gradient_of(const TensorUse& use, const Run& run) const {
        return run.gradients.part(use.offset, use.count);
    }
    static bool adds(const TensorUse& use, const Run& run) { return use.add || run.add; }
    void add_gradient(const TensorUse& use, Span<const float> values, const Run& run) const;

    // graph_training.cpp
    Loss forward_pass(const Batch& batch, Pacer& pace) override;
    void backward_pass(const Batch& batch, Pacer& pace) override;
    ptrdiff_t gradient_rows(ptrdiff_t groups) const override { return std::min(groups, plan_.rows); }
    void start_step();
    bool ends_at(const GraphNorm& norm, ptrdiff_t stage) const;
    void track_statistics(const Batch& batch);
    void normalise_stage(ptrdiff_t stage, const Batch& batch);
    Loss loss(const Run& run, float image_weight);
    StepSums step_sums(ptrdiff_t norm, const Batch& batch) const;
    template <typename Task>
    void run_rows(const Batch& batch, const Task& task);
    void pack_for_evaluation(Span<const float> weights) override;
    void evaluate(const ImageSource& source, const GroupTask& task, Span<float> out) override;

    GraphSettings settings_;
    const OperationKernels& operations_;
    GraphPlan plan_;
    GraphMemory memory_;
    std::vector<ChannelValues> channels_;  // of each norm
    Span<const float> active_;             // the parameters that the passes read
};

}  // namespace under20k
