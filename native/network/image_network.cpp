#include "image_network.h"

#include <algorithm>
#include <utility>

namespace under20k {

namespace {

ImageMap map_of(const Map& map, int frame, int lanes) {
    return {map.channels, map.height, map.width, frame, (map.channels + lanes - 1) / lanes * lanes};
}

// Of the layer called `index`, to maps of its own.
ImageConvolution convolution(const Settings& settings, const Geometry& geometry, size_t index, int lanes) {
    const Layer& layer = settings.layers[index];
    ImageConvolution conv{layer.kernel, layer.padding, map_of(geometry.input, layer.padding, lanes),
                          map_of(geometry.z, 0, lanes), index + 1 < settings.layers.size()};
    if (index == 0) conv.input.pixel = 1;
    return conv;
}

}  // namespace

double image_network_bytes(const Settings& settings, const Kernels& kernels) {
    double floats = 0;
    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        const ImageConvolution conv = convolution(settings, all[i], i, kernels.lanes);
        floats += static_cast<double>(conv.packed() + conv.input.size() + conv.output.size());
    }
    return 4 * floats;
}

ImageNetwork::ImageNetwork(const Settings& settings, const Kernels& kernels)
    : kernels_(kernels), averaged_(settings.layers.size() - (settings.pool_first ? 2 : 1)) {
    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        Stage stage{};
        stage.layer = settings.layers[i];
        stage.conv = convolution(settings, all[i], i, kernels.lanes);
        stage.out = map_of(all[i].out, 0, kernels.lanes);
        stage.packed = zeroed(static_cast<size_t>(stage.conv.packed()));
        stage.input = zeroed(static_cast<size_t>(stage.conv.input.size()));
        stage.z = zeroed(static_cast<size_t>(stage.conv.output.size()));
        stages_.push_back(std::move(stage));
    }
    for (size_t i = 0; i + 1 < stages_.size(); ++i)
        if (i != averaged_) (stages_[i].layer.pool ? stages_[i].out : stages_[i].conv.output) = stages_[i + 1].conv.input;
}

void ImageNetwork::pack(const float* weights) {
    std::vector<float> factors, bias;
    for (Stage& stage : stages_) {
        factors.resize(static_cast<size_t>(stage.layer.channels));
        bias.resize(factors.size());
        fold(stage.layer, weights, factors.data(), bias.data());
        kernels_.pack_image(stage.conv, weights + stage.layer.weight, factors.data(), bias.data(), stage.packed.get());
    }
}

void ImageNetwork::logits(const uint8_t* image, float* out) {
    kernels_.load_image(image, stages_[0].conv.input, stages_[0].input.get());
    for (size_t i = 0; i < stages_.size(); ++i) {
        const Stage& stage = stages_[i];
        const bool average = i == averaged_;
        float *z = stage.z.get(), *next = i + 1 == stages_.size() ? z : stages_[i + 1].input.get();
        kernels_.convolve_image(stage.conv, stage.input.get(), stage.packed.get(),
                                stage.layer.pool || average ? z : next);
        if (stage.layer.pool) kernels_.pool_image(stage.conv.output, z, stage.out, average ? z : next);
        if (average) kernels_.average_image(stage.out, z, next);
    }
    std::copy_n(stages_.back().z.get(), CLASSES, out);
}

}  // namespace under20k
