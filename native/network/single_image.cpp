#include "network/single_image.h"

#include <algorithm>
#include <utility>

#include "network/batch_norm.h"

namespace under20k {

namespace {

using LayerState = SingleImageNetwork::LayerState;

ImageMap image_map(const Map& map, ptrdiff_t frame, ptrdiff_t lanes) {
    return {.channels = map.channels,
            .height = map.height,
            .width = map.width,
            .frame = frame,
            .pixel = (map.channels + lanes - 1) / lanes * lanes};
}

// All layers, each convolution to a map of its own, without memory.
std::vector<LayerState> layer_states(const NetworkSettings& settings, ptrdiff_t lanes) {
    std::vector<LayerState> layers;
    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        const LayerSettings& layer = settings.layers[i];
        ImageConvolution conv{.kernel = layer.kernel,
                              .padding = layer.padding,
                              .input = image_map(all[i].input, layer.padding, lanes),
                              .output = image_map(all[i].z, 0, lanes),
                              .relu = i + 1 < all.size()};
        if (i == 0) conv.input.pixel = 1;
        layers.push_back({.settings = layer,
                          .conv = conv,
                          .out = image_map(all[i].out, 0, lanes),
                          .packed = {},
                          .input = {},
                          .z = {}});
    }
    return layers;
}

MemoryPlan plan_single_image(std::vector<LayerState>& layers) {
    MemoryPlan plan;
    for (size_t i = 0; i < layers.size(); ++i) {
        LayerState& layer = layers[i];
        const std::string name = "single image, layer " + std::to_string(i) + ": ";
        plan.add(name + "packed weights", layer.conv.packed(), layer.packed);
        plan.add(name + "input", layer.conv.input.size(), layer.input);
        plan.add(name + "z", layer.conv.output.size(), layer.z);
    }
    return plan;
}

}  // namespace

ptrdiff_t single_image_bytes(const NetworkSettings& settings, const Kernels& kernels) {
    std::vector<LayerState> layers = layer_states(settings, kernels.lanes);
    return plan_single_image(layers).bytes();
}

SingleImageNetwork::SingleImageNetwork(const NetworkSettings& settings, const Kernels& kernels)
    : kernels_(kernels),
      averaged_(std::ssize(settings.layers) - (settings.pool_first ? 2 : 1)),
      layers_(layer_states(settings, kernels.lanes)) {
    plan_single_image(layers_).allocate();
    for (ptrdiff_t i = 0; i + 1 < std::ssize(layers_); ++i) {
        LayerState& layer = layers_[i];
        if (i != averaged_) (layer.settings.pool ? layer.out : layer.conv.output) = layers_[i + 1].conv.input;
    }
}

void SingleImageNetwork::pack(Span<const float> weights) {
    std::vector<float> factors, bias;
    for (const LayerState& layer : layers_) {
        const ptrdiff_t channels = layer.settings.channels;
        factors.resize(static_cast<size_t>(channels));
        bias.resize(factors.size());
        const Span<float> scale{factors.data(), channels}, constant{bias.data(), channels};
        fold(layer.settings, weights, scale, constant);
        const ptrdiff_t own = layer.conv.taps() * layer.conv.input.channels * channels;
        kernels_.pack_image(layer.conv, weights.part(layer.settings.weight, own), scale, constant,
                            layer.packed.all());
    }
}

void SingleImageNetwork::logits(const uint8_t* image, Span<float> out) {
    kernels_.load_image(image, layers_[0].conv.input, layers_[0].input.all());
    for (ptrdiff_t i = 0; i < std::ssize(layers_); ++i) {
        const LayerState& layer = layers_[i];
        const bool average = i == averaged_, pool = layer.settings.pool;
        const Span<float> z = layer.z.all();
        const Span<float> next = i + 1 == std::ssize(layers_) ? z : layers_[i + 1].input.all();
        kernels_.convolve_image(layer.conv, layer.input.all(), layer.packed.all(),
                                pool || average ? z : next);
        if (pool) kernels_.pool_image(layer.conv.output, z, layer.out, average ? z : next);
        if (average) kernels_.average_image(layer.out, z, next);
    }
    std::copy_n(layers_.back().z.all().data, CLASSES, out.data);
}

}  // namespace under20k
