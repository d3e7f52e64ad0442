#include "network/memory_plan.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "network/single_image.h"

namespace under20k {

void assertion_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    std::abort();
}

ptrdiff_t MemoryPlan::bytes() const {
    return std::accumulate(buffers_.begin(), buffers_.end(), ptrdiff_t{0},
                           [](ptrdiff_t sum, const Buffer& buffer) { return sum + buffer.bytes; });
}

void MemoryPlan::allocate() const {
    for (const Buffer& buffer : buffers_) buffer.allocate();
}

ptrdiff_t max_groups(const TrainingSettings& settings, const Kernels& kernels) {
    const ptrdiff_t groups = (settings.batch_size + kernels.lanes - 1) / kernels.lanes;
    return std::max(groups, settings.threads);
}

void plan_training(const TrainingSettings& settings, ptrdiff_t rows, TrainingMemory& memory,
                   MemoryPlan& plan) {
    plan.add("weights", settings.parameters, memory.weights);
    if (settings.momentum > 0) plan.add("momentum", settings.parameters, memory.momentum);
    if (settings.averages) plan.add("average", settings.parameters, memory.average);
    plan.add("partial gradients", settings.parameters * rows, memory.partial_gradients);
}

ptrdiff_t scratch_floats(const std::vector<LayerPlan>& layers) {
    ptrdiff_t floats = 0;
    for (const LayerPlan& layer : layers) floats = std::max(floats, layer.scratch());
    return floats;
}

MemoryPlan plan_memory(const NetworkSettings& settings, const Kernels& kernels,
                       const std::vector<LayerPlan>& layers, TrainingMemory& training,
                       NetworkMemory& memory) {
    const ptrdiff_t groups = max_groups(settings, kernels), group_lanes = groups * kernels.lanes;
    MemoryPlan plan;
    plan_training(settings, groups, training, plan);

    ptrdiff_t max_channels = 0, dropout_elements = 0;
    memory.layers.resize(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
        const LayerPlan& layer = layers[i];
        LayerMemory& own = memory.layers[i];
        const std::string name = "layer " + std::to_string(i) + ": ";
        const ptrdiff_t channels = layer.settings.channels;
        plan.add(name + "packed weights", layer.packed_forward(), own.packed_forward);
        plan.add(name + "packed weights, backward", layer.backward.packed, own.packed_backward);
        plan.add(name + "input", layer.forward.input.size() * group_lanes, own.input);
        plan.add(name + "z", layer.forward.output.size() * group_lanes, own.z);
        plan.add(name + "sums", 2 * channels * groups, own.sums);
        plan.add(name + "shared gradients", layer.shared_weights * settings.threads, own.shared_gradients);
        plan.add(name + "channels", LAYER_CHANNEL_ARRAYS * channels, own.channels);
        max_channels = std::max(max_channels, layer.forward.input.channels);
        if (layer.settings.dropout_threshold > 0)
            dropout_elements =
                std::max(dropout_elements, layer.out.channels * layer.out.height * layer.out.width);
    }
    plan.add("backward bias", max_channels, memory.zeros);
    plan.add("dropout hashes", dropout_elements, memory.dropout_hashes);
    plan.add("scratch", scratch_floats(layers) * settings.threads, memory.scratch);
    if (settings.pool_first)
        plan.add("pooled maps", layers[layers.size() - 2].out.size() * group_lanes, memory.pooled);
    return plan;
}

ptrdiff_t network_bytes(const NetworkSettings& settings, const Kernels& kernels) {
    TrainingMemory training;
    NetworkMemory none;
    return plan_memory(settings, kernels, plan_layers(settings, kernels), training, none).bytes() +
           single_image_bytes(settings, kernels);
}

}  // namespace under20k
