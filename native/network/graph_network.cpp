#include "network/graph_network.h"

#include <algorithm>
#include <string>

#include "kernels/hash.h"

namespace under20k {

namespace {

ptrdiff_t copies(Place place, ptrdiff_t threads, ptrdiff_t groups) {
    return place == Place::group ? groups : place == Place::thread ? threads : 0;
}

// What dropout multiplies with where it drops nothing.
float kept_scale(double probability) {
    return probability < 1 ? static_cast<float>(1 / (1 - probability)) : 0.0f;
}

void plan_values(const GraphPlan& graph, ptrdiff_t lanes, ptrdiff_t threads, ptrdiff_t groups,
                 GraphMemory& memory, MemoryPlan& plan) {
    memory.values.resize(graph.values.size());
    // A value whose producer is part of another step has no memory.
    std::vector<bool> stored(graph.values.size());
    stored[0] = true;
    for (const GraphStep& step : graph.steps) stored[step.output] = true;
    for (ptrdiff_t i = 0; i < std::ssize(graph.values); ++i) {
        const GraphValue& value = graph.values[i];
        if (!stored[i] || value.storage != i) continue;
        const std::string name = "value " + std::to_string(i);
        const ptrdiff_t floats = value.map.size() * lanes;
        plan.add(name, floats * copies(value.place, threads, groups), memory.values[i].value);
        if (!value.gradient_in_place && value.gradient_storage == i)
            plan.add(name + ": gradient", floats * copies(value.gradient_place, threads, groups),
                     memory.values[i].gradient);
    }
}

void plan_steps(const GraphPlan& graph, GraphMemory& memory, MemoryPlan& plan) {
    memory.steps.resize(graph.steps.size());
    for (ptrdiff_t i = 0; i < std::ssize(graph.steps); ++i) {
        const GraphStep& step = graph.steps[i];
        if (step.kind != StepKind::tuned && step.kind != StepKind::general) continue;
        const StepConvolution& own = step.convolution;
        const bool tuned = step.kind == StepKind::tuned;
        const bool differentiable = graph.values[step.inputs[0]].differentiable;
        const std::string name = "step " + std::to_string(i) + ": ";
        plan.add(name + "packed weights",
                 tuned ? std::max(own.forward.packed, own.evaluation.packed) : own.general.packed,
                 memory.steps[i].packed_forward);
        if (differentiable)
            plan.add(name + "packed weights, backward",
                     tuned ? own.backward.packed : own.general.packed_transposed,
                     memory.steps[i].packed_backward);
        if (own.through >= 0)
            plan.add(name + "bias in evaluation", step.node.channels, memory.steps[i].folded);
    }
}

MemoryPlan plan_memory(const GraphSettings& settings, const Kernels& kernels, const GraphPlan& graph,
                       TrainingMemory& training, GraphMemory& memory) {
    const ptrdiff_t groups = max_groups(settings, kernels);
    MemoryPlan plan;
    plan_training(settings, graph.rows, training, plan);
    plan_values(graph, kernels.lanes, settings.threads, groups, memory, plan);
    plan_steps(graph, memory, plan);
    memory.norms.resize(graph.norms.size());
    for (ptrdiff_t i = 0; i < std::ssize(graph.norms); ++i) {
        const ptrdiff_t channels = graph.norms[i].settings.channels;
        const std::string name = "norm " + std::to_string(i) + ": ";
        plan.add(name + "sums", 2 * channels * groups, memory.norms[i].sums);
        plan.add(name + "channels", LAYER_CHANNEL_ARRAYS * channels, memory.norms[i].channels);
        plan.add(name + "moments", 2 * channels, memory.norms[i].moments);
    }
    plan.add("zeros", graph.channels, memory.zeros);
    plan.add("dropout hashes", graph.dropout_elements, memory.dropout_hashes);
    plan.add("scratch", graph.scratch * settings.threads, memory.scratch);
    plan.add("temporary", graph.temporary * settings.threads, memory.temporary);
    return plan;
}

}  // namespace

ptrdiff_t network_bytes(const GraphSettings& settings, const Kernels& kernels) {
    TrainingMemory training;
    GraphMemory memory;
    return plan_memory(settings, kernels, plan_graph(settings, kernels), training, memory).bytes();
}

GraphNetwork::GraphNetwork(const GraphSettings& settings, const Kernels& kernels)
    : TrainedNetwork(settings, kernels),
      settings_(settings),
      operations_(kernels.operations()),
      plan_(plan_graph(settings, kernels)) {
    plan_memory(settings, kernels, plan_, parameters_, memory_).allocate();
    const Span<uint32_t> hashes = memory_.dropout_hashes.all();
    for (ptrdiff_t element = 0; element < hashes.size; ++element)
        hashes[element] = mix(static_cast<uint32_t>(element));
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
        const GraphNorm& norm = plan_.norms[i];
        channels_.emplace_back(memory_.norms[i].channels.all(), norm.settings.channels);
        if (norm.settings.batch_norm()) continue;
        normalise(norm.settings, {}, channels_[i], weights());
        gradient_factors(norm.settings, {}, channels_[i]);
    }
}

Span<float> GraphNetwork::memory_of(const Floats& memory, const GraphValue& value, Place place,
                                    const GroupTask& task) const {
    return memory.row(place == Place::group ? task.index : task.thread, value.map.size() * kernels_.lanes);
}

Span<float> GraphNetwork::values_of(ptrdiff_t value, const GroupTask& task) const {
    const GraphValue& own = plan_.values[plan_.values[value].storage];
    return memory_of(memory_.values[plan_.values[value].storage].value, own, own.place, task);
}

Span<float> GraphNetwork::gradients_of(ptrdiff_t value, const GroupTask& task) const {
    const ptrdiff_t storage = plan_.values[value].gradient_storage;
    const GraphValue& own = plan_.values[storage];
    if (own.gradient_in_place) return values_of(storage, task);
    return memory_of(memory_.values[storage].gradient, own, own.gradient_place, task);
}

Target GraphNetwork::value_of(ptrdiff_t value, const Run& run) const {
    return {.map = plan_.values[value].map, .values = values_of(value, run.task)};
}

// All frames are zero: they are allocated so, and nothing writes to them.
Source GraphNetwork::input_of(const GraphStep& step, ptrdiff_t input, const Run& run) const {
    const ptrdiff_t value = step.inputs[input];
    return {.map = plan_.values[value].map, .values = values_of(value, run.task), .zero_frame = true};
}

Target GraphNetwork::gradient_of(ptrdiff_t value, const Run& run) const {
    return {.map = plan_.values[value].map, .values = gradients_of(value, run.task)};
}

Span<float> GraphNetwork::sums_of(ptrdiff_t norm, const GroupTask& task) const {
    return memory_.norms[norm].sums.row(task.index, 2 * plan_.norms[norm].settings.channels);
}

Span<const float> GraphNetwork::bias_of(const TensorUse& bias) const {
    if (bias) return active_.part(bias.offset, bias.count);
    return memory_.zeros.all();
}

Activation GraphNetwork::activation_of(const GraphStep& step, bool training) const {
    const StepBlock& block = step.block;
    return {.z = plan_.values[step.inputs[0]].map,
            .out = plan_.values[step.output].map,
            .pool = block.pool,
            .scale = channels_[step.norm].scale,
            .shift = channels_[step.norm].shift,
            .dropout_threshold = training ? block.dropout_threshold : 0,
            .dropout_scale = kept_scale(block.probability),
            .dropout_hashes = memory_.dropout_hashes.all(),
            .relu = block.relu,
            .after_relu = block.after_relu};
}

Dropout GraphNetwork::dropout_of(const GraphStep& step, const Run& run) const {
    return {.channels = step.node.whole_channels,
            .threshold = step.node.dropout_threshold,
            .scale = kept_scale(step.node.probability),
            .hashes = memory_.dropout_hashes.all(),
            .layer_key = mix(run.source.dropout_seed ^ step.node.stream),
            .position = run.task.group.position};
}

// Put the weights in the order in which the convolutions read them.
void GraphNetwork::pack() {
    pool_.run(2 * std::ssize(plan_.steps), [&](ptrdiff_t task, ptrdiff_t) {
        const GraphStep& step = plan_.steps[task / 2];
        if (step.kind != StepKind::tuned && step.kind != StepKind::general) return;
        const GraphStepMemory& memory = memory_.steps[task / 2];
        const StepConvolution& own = step.convolution;
        const Span<const float> values = weights().part(step.weight.offset, step.weight.count);
        const bool tuned = step.kind == StepKind::tuned;
        if (task % 2 == 0) {
            const Span<float> packed = memory.packed_forward.all();
            if (tuned)
                kernels_.pack_weights(own.forward, values, {}, packed);
            else
                operations_.pack(own.general, values, {}, packed);
        } else if (step.live && plan_.values[step.inputs[0]].differentiable) {
            const Span<float> packed = memory.packed_backward.all();
            if (tuned)
                kernels_.pack_transposed(own.backward, values, packed);
            else
                operations_.pack_transposed(own.general, values, packed);
        }
    });
}

}  // namespace under20k
