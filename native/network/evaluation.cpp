// Evaluation: logits in fp32, BatchNorm folded into the weights.

#include <algorithm>

#include "network/network.h"
#include "network/single_image.h"

namespace under20k {

namespace {

// A group takes longer than its images alone if it has at most its lanes divided by this.
constexpr ptrdiff_t SINGLE_IMAGE_DIVISOR = 2;

}  // namespace

void Network::pack_for_evaluation(Span<const float> weights) {
    std::vector<float> factors;
    for (const LayerState& layer : layers_) {
        const LayerSettings& settings = layer.settings;
        factors.resize(static_cast<size_t>(settings.channels));
        const Span<float> scale{factors.data(), settings.channels};
        fold(settings, weights, scale, layer.channels.initial);
        kernels_.pack_weights(layer.evaluation, weights.part(settings.weight, layer.evaluation.weights()),
                              scale, layer.memory.packed_forward.all());
        std::fill_n(layer.channels.scale.data, settings.channels, 1.0f);
        std::fill_n(layer.channels.shift.data, settings.channels, 0.0f);
    }
}

bool Network::logits_of_few(const uint8_t* images, ptrdiff_t count, Span<float> out) {
    if (count > kernels_.lanes / SINGLE_IMAGE_DIVISOR) return false;
    if (!single_image_) single_image_ = std::make_unique<SingleImageNetwork>(settings_, kernels_);
    single_image_->pack(evaluated_weights());
    for (ptrdiff_t i = 0; i < count; ++i)
        single_image_->logits(images + i * SIDE * SIDE, out.part(i * CLASSES, CLASSES));
    return true;
}

// One group through the whole network, its maps in the caches throughout.
void Network::evaluate(const ImageSource& source, const GroupTask& task, Span<float> out) {
    kernels_.load_images(source, task.group, layers_[0].evaluation.input, input_of(layers_[0], task.index));
    for (ptrdiff_t i = 0; i < std::ssize(layers_); ++i) {
        const LayerState& layer = layers_[i];
        const Span<float> input = input_of(layer, task.index), z = z_of(layer, task.index);
        const auto convolve = [&](const Convolution& conv, Span<float> to, Finish finish) {
            kernels_.convolve(conv, input, layer.memory.packed_forward.all(), layer.channels.initial, to,
                              {.finish = finish}, scratch_of(task.thread));
        };
        if (i + 1 == std::ssize(layers_)) {
            convolve(layer.evaluation, z, Finish::plain);
            kernels_.logits(layer.evaluation.output, z, out);
            return;
        }
        const Span<float> output = output_of(i, task.index);
        if (layer.settings.pool) {
            convolve(layer.evaluation, z, Finish::plain);
            Activation pooling = layer.activation;
            pooling.dropout_threshold = 0;
            kernels_.activate(pooling, z, output, 0, 0);
        } else {
            // Without pooling the convolution writes ReLU's values where the next one reads them.
            Convolution straight = layer.evaluation;
            straight.output = layer.out;
            convolve(straight, output, Finish::relu);
        }
        if (pooled_after(i)) kernels_.global_average(layer.out, output, input_of(layers_.back(), task.index));
    }
}

}  // namespace under20k
