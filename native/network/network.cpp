#include "network/network.h"

#include "kernels/hash.h"
#include "network/single_image.h"

namespace under20k {

Network::LayerState::LayerState(const LayerPlan& plan, const LayerMemory& own,
                                Span<const uint32_t> dropout_hashes)
    : LayerPlan(plan),
      memory(own),
      channels(own.channels.all(), settings.channels),
      activation{.z = forward.output,
                 .out = out,
                 .pool = settings.pool,
                 .scale = channels.scale,
                 .shift = channels.shift,
                 .dropout_threshold = settings.dropout_threshold,
                 .dropout_scale = static_cast<float>(1 / (1 - settings.dropout)),
                 .dropout_hashes = dropout_hashes} {}

Network::Network(const NetworkSettings& settings, const Kernels& kernels)
    : TrainedNetwork(settings, kernels), settings_(settings) {
    const std::vector<LayerPlan> plans = plan_layers(settings, kernels);
    plan_memory(settings, kernels, plans, parameters_, memory_).allocate();
    scratch_floats_ = scratch_floats(plans);
    const Span<uint32_t> hashes = memory_.dropout_hashes.all();
    for (ptrdiff_t element = 0; element < hashes.size; ++element)
        hashes[element] = mix(static_cast<uint32_t>(element));

    layers_.reserve(plans.size());
    for (size_t i = 0; i < plans.size(); ++i) layers_.emplace_back(plans[i], memory_.layers[i], hashes);
}

Network::~Network() = default;

Span<float> Network::input_of(const LayerState& layer, ptrdiff_t group) const {
    return layer.memory.input.row(group, layer.forward.input.size() * kernels_.lanes);
}

Span<float> Network::z_of(const LayerState& layer, ptrdiff_t group) const {
    return layer.memory.z.row(group, layer.forward.output.size() * kernels_.lanes);
}

Span<float> Network::sums_of(const LayerState& layer, ptrdiff_t group) const {
    return layer.memory.sums.row(group, 2 * layer.settings.channels);
}

// Where block `index` writes its output and, in the backward pass, finds its gradient.
Span<float> Network::output_of(ptrdiff_t index, ptrdiff_t group) const {
    if (pooled_after(index)) return memory_.pooled.row(group, layers_[index].out.size() * kernels_.lanes);
    return input_of(layers_[index + 1], group);
}

// The layer's own weights among all parameters.
Span<float> Network::weights_of(const LayerState& layer, Span<float> parameters) const {
    return parameters.part(layer.settings.weight, layer.forward.weights());
}

}  // namespace under20k
