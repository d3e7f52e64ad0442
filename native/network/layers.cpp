#include "network/layers.h"

namespace under20k {

std::vector<Geometry> geometries(const NetworkSettings& settings) {
    std::vector<Geometry> all;
    Map out{.channels = 1, .height = SIDE, .width = SIDE, .frame_y = 0, .frame_x = 0};
    for (size_t i = 0; i < settings.layers.size(); ++i) {
        const LayerSettings& layer = settings.layers[i];
        const bool head = i + 1 == settings.layers.size();
        if (head && settings.pool_first) out.height = out.width = 1;
        const ptrdiff_t shrink = layer.kernel - 1 - 2 * layer.padding;
        // The backward pass is a convolution over z's gradient, which it reads this far beyond the sides.
        // Above and below, it skips rows instead.
        const ptrdiff_t frame_x = i == 0 ? 0 : layer.kernel - 1 - layer.padding;
        Geometry own{.input = {.channels = out.channels,
                               .height = out.height,
                               .width = out.width,
                               .frame_y = layer.padding,
                               .frame_x = layer.padding},
                     .z = {.channels = layer.channels,
                           .height = out.height - shrink,
                           .width = out.width - shrink,
                           .frame_y = 0,
                           .frame_x = frame_x},
                     .out = {}};
        const ptrdiff_t window = layer.pool ? 2 : 1;
        own.out = {.channels = layer.channels,
                   .height = own.z.height / window,
                   .width = own.z.width / window,
                   .frame_y = 0,
                   .frame_x = 0};
        out = own.out;
        all.push_back(own);
    }
    // A block writes where the next one reads, unless global average pooling lies between them.
    const size_t direct = all.size() - (settings.pool_first ? 2 : 1);
    for (size_t i = 0; i < direct; ++i) all[i].out = all[i + 1].input;
    return all;
}

std::vector<LayerPlan> plan_layers(const NetworkSettings& settings, const Kernels& kernels) {
    std::vector<LayerPlan> plans;
    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        const LayerSettings& layer = settings.layers[i];
        const auto& [input, z, out] = all[i];
        LayerPlan plan{.settings = layer,
                       .forward = kernels.convolution(layer.kernel, layer.padding, input, z, settings.bf16),
                       .evaluation = kernels.convolution(layer.kernel, layer.padding, input, z, false),
                       .backward = kernels.convolution(layer.kernel, layer.kernel - 1 - layer.padding, z,
                                                       input, settings.bf16),
                       .out = out,
                       .shared_weights = 0};
        const bool last = i + 1 == all.size();
        if (!last && settings.layers[i + 1].weight == layer.weight)
            plan.shared_weights = plan.forward.weights();
        plans.push_back(plan);
    }
    return plans;
}

}  // namespace under20k
