#include "image_network.h"

#include <algorithm>
#include <utility>

namespace under20k {

ImageNetwork::ImageNetwork(const Settings& settings, const Kernels& kernels)
    : kernels_(kernels), pool_first_(settings.pool_first) {
    ImageMap in = kernels.image_map(1, SIDE, SIDE, 0);
    in.pixel = 1;
    for (size_t i = 0; i < settings.layers.size(); ++i) {
        const Layer& layer = settings.layers[i];
        const bool head = i + 1 == settings.layers.size();
        if (head && pool_first_) in.height = in.width = 1;
        in.frame = layer.padding;
        const int shrink = layer.kernel - 1 - 2 * layer.padding;
        const ImageMap z = kernels.image_map(layer.channels, in.height - shrink, in.width - shrink, 0);
        Stage stage{};
        stage.layer = layer;
        stage.conv = {layer.kernel, layer.padding, in, z, !head};
        stage.packed = zeroed(static_cast<size_t>(kernels.image_packed(stage.conv)));
        stage.input = zeroed(static_cast<size_t>(in.size()));
        stage.z = zeroed(static_cast<size_t>(z.size()));
        stage.factors.resize(static_cast<size_t>(layer.channels));
        stage.bias.resize(static_cast<size_t>(layer.channels));
        stages_.push_back(std::move(stage));
        in = z;
        if (layer.pool) {
            in.height /= 2;
            in.width /= 2;
        }
    }
}

void ImageNetwork::pack(const float* weights) {
    for (Stage& stage : stages_) {
        fold(stage.layer, weights, stage.factors.data(), stage.bias.data());
        kernels_.pack_image(stage.conv, weights + stage.layer.weight, stage.factors.data(), stage.bias.data(),
                            stage.packed.get());
    }
}

void ImageNetwork::logits(const uint8_t* image, float* out) {
    kernels_.load_image(image, stages_[0].conv.input, stages_[0].input.get());
    for (size_t i = 0; i < stages_.size(); ++i) {
        const Stage& stage = stages_[i];
        const bool head = i + 1 == stages_.size(), average = pool_first_ ? i + 2 == stages_.size() : head;
        const float *input = stage.input.get(), *packed = stage.packed.get();
        float *z = stage.z.get(), *next = head ? z : stages_[i + 1].input.get();
        ImageMap map = stage.conv.output;
        if (head || average || stage.layer.pool) {
            kernels_.convolve_image(stage.conv, input, packed, z);
        } else {  // straight to where the next one reads
            ImageConvolution conv = stage.conv;
            conv.output = stages_[i + 1].conv.input;
            kernels_.convolve_image(conv, input, packed, next);
        }
        if (stage.layer.pool) {
            ImageMap pooled = average ? map : stages_[i + 1].conv.input;
            pooled.height = map.height / 2;
            pooled.width = map.width / 2;
            kernels_.pool_image(map, z, pooled, average ? z : next);
            map = pooled;
        }
        if (average) kernels_.average_image(map, z, next);
    }
    std::copy_n(stages_.back().z.get(), CLASSES, out);
}

}  // namespace under20k
