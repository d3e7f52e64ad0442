// Training: forward pass, loss and backward pass of every step.

#include <algorithm>

#include "kernels/hash.h"
#include "network/network.h"

namespace under20k {

namespace {

uint32_t layer_key(const LayerSettings& layer, const ImageSource& source) {
    return mix(source.dropout_seed ^ layer.dropout_stream);
}

}  // namespace

// A step up to the head's gradients. Each layer waits for the whole batch before the next one starts:
// BatchNorm needs its mean and variance.
Loss Network::forward_pass(const Batch& batch, Pacer& pace) {
    const ptrdiff_t groups = groups_of(batch.images), last = std::ssize(layers_) - 1;
    pack();
    for (ptrdiff_t i = 0; i < last; ++i) {
        pool_.run(groups, [&](ptrdiff_t group, ptrdiff_t thread) {
            forward(i, batch.source, task_of(batch.first, batch.images, group, thread));
        });
        update_statistics(layers_[i], batch.images);
        pace();
    }
    pool_.run(groups, [&](ptrdiff_t group, ptrdiff_t thread) {
        const GroupTask task = task_of(batch.first, batch.images, group, thread);
        forward(last, batch.source, task);
        losses_[group] = loss(batch.source, task, 1.0f / static_cast<float>(batch.images));
        backward(last, batch.source, task);
    });
    return total_loss(groups);
}

// The backward pass from the last block to the first.
void Network::backward_pass(const Batch& batch, Pacer& pace) {
    for (ptrdiff_t i = std::ssize(layers_) - 2; i >= 0; --i) {
        const LayerState& layer = layers_[i];
        gradient_factors(layer.settings, step_sums(layer, batch.images), layer.channels);
        pool_.run(groups_of(batch.images), [&](ptrdiff_t group, ptrdiff_t thread) {
            backward(i, batch.source, task_of(batch.first, batch.images, group, thread));
        });
        pace();
    }
}

StepSums Network::step_sums(const LayerState& layer, ptrdiff_t images) const {
    const Map& z = layer.forward.output;
    return {
        .values = layer.memory.sums.all(),
        .groups = groups_of(images),
        .count = static_cast<double>(images) * static_cast<double>(z.height) * static_cast<double>(z.width)};
}

// Put weights in the order in which the convolutions read them, and set what those start from.
void Network::pack() {
    const Span<float> weights = this->weights();
    pool_.run(2 * std::ssize(layers_), [&](ptrdiff_t task, ptrdiff_t) {
        const ptrdiff_t index = task / 2;
        const LayerState& layer = layers_[index];
        if (task % 2 == 0) {
            kernels_.pack_weights(layer.forward, weights_of(layer, weights), {},
                                  layer.memory.packed_forward.all());
            start_step(layer.settings, weights, layer.channels);
        } else if (index > 0) {
            kernels_.pack_transposed(layer.backward, weights_of(layer, weights),
                                     layer.memory.packed_backward.all());
        }
    });
}

// From the last layer's z to this layer's.
void Network::forward(ptrdiff_t index, const ImageSource& source, const GroupTask& task) {
    const LayerState& layer = layers_[index];
    const Span<float> input = input_of(layer, task.index);
    if (index == 0) {
        kernels_.load_images(source, task.group, layer.forward.input, input);
    } else {
        const LayerState& previous = layers_[index - 1];
        const Span<float> output = output_of(index - 1, task.index);
        kernels_.activate(previous.activation, z_of(previous, task.index), output,
                          layer_key(previous.settings, source), task.group.position);
        if (pooled_after(index - 1)) kernels_.global_average(previous.out, output, input);
    }
    Epilogue epilogue;
    if (layer.settings.batch_norm())
        epilogue = {.finish = Finish::statistics,
                    .statistics = {.pivot = layer.channels.pivot,
                                   .sums = sums_of(layer, task.index),
                                   .valid_lanes = task.group.valid_lanes}};
    kernels_.convolve(layer.forward, input, layer.memory.packed_forward.all(), layer.channels.initial,
                      z_of(layer, task.index), epilogue, scratch_of(task.thread));
}

// From the groups' sums to BatchNorm's factors. Where a running mean lags behind, its squares have lost the
// variance and are counted again about the mean.
void Network::update_statistics(const LayerState& layer, ptrdiff_t images) {
    const StepSums sums = step_sums(layer, images);
    if (layer.settings.batch_norm() && move_far_pivots(sums, layer.channels))
        pool_.run(sums.groups, [&](ptrdiff_t group, ptrdiff_t thread) {
            const Statistics statistics{.pivot = layer.channels.pivot,
                                        .sums = sums_of(layer, group),
                                        .valid_lanes = task_of(0, images, group, thread).group.valid_lanes};
            kernels_.map_statistics(layer.forward.output, z_of(layer, group), statistics);
        });
    normalise(layer.settings, sums, layer.channels, weights());
}

// The group's loss; leaves its gradient in the head's z.
Loss Network::loss(const ImageSource& source, const GroupTask& task, float image_weight) {
    const LayerState& head = layers_.back();
    Span<float> bias_gradient;
    if (head.settings.has_bias()) bias_gradient = gradients_of(task.index).part(head.settings.bias, CLASSES);
    return loss_of(source, task, image_weight, head.forward.output, z_of(head, task.index), bias_gradient);
}

// From the gradient of a layer's output to those of its weights and of the previous layer's output.
void Network::backward(ptrdiff_t index, const ImageSource& source, const GroupTask& task) {
    const LayerState& layer = layers_[index];
    const Span<float> input = input_of(layer, task.index), z = z_of(layer, task.index);
    if (index + 1 < std::ssize(layers_))
        kernels_.activation_gradient(layer.activation, layer.channels.activation_gradient(), z,
                                     output_of(index, task.index), task.group.valid_lanes, z);
    weight_gradient(layer, task);
    if (index == 0) return;
    // The input is no longer needed; its gradient is written over it.
    kernels_.convolve(layer.backward, z, layer.memory.packed_backward.all(), memory_.zeros.all(), input, {},
                      scratch_of(task.thread));
    if (pooled_after(index - 1))
        kernels_.global_average_gradient(layers_[index - 1].out, input, output_of(index - 1, task.index));
    gradient_sums(index - 1, source, task);
}

void Network::weight_gradient(const LayerState& layer, const GroupTask& task) {
    const Span<float> gradient = weights_of(layer, gradients_of(task.index));
    const ptrdiff_t shared = layer.shared_weights;
    // The later layer's gradient of shared weights is there already.
    const Span<float> own = shared ? layer.memory.shared_gradients.row(task.thread, shared) : gradient;
    kernels_.weight_gradient(layer.forward, input_of(layer, task.index), z_of(layer, task.index),
                             scratch_of(task.thread), own);
    for (ptrdiff_t i = 0; i < shared; ++i) gradient[i] += own[i];
}

// The sums of block `index`'s gradient that BatchNorm's backward pass needs, which are also gradients of its
// own parameters.
void Network::gradient_sums(ptrdiff_t index, const ImageSource& source, const GroupTask& task) {
    const LayerState& layer = layers_[index];
    const LayerSettings& settings = layer.settings;
    const Span<float> sums = sums_of(layer, task.index), gradients = gradients_of(task.index);
    kernels_.activation_sums(layer.activation, layer.channels.activation_gradient(), z_of(layer, task.index),
                             output_of(index, task.index), layer_key(settings, source), task.group.position,
                             sums);
    const auto write = [&](ptrdiff_t offset, const float* values) {
        std::copy_n(values, settings.channels, gradients.part(offset, settings.channels).data);
    };
    if (settings.batch_norm()) {
        write(settings.shift, sums.data);
        write(settings.scale, sums.data + settings.channels);
        // BatchNorm cancels a bias before it: its gradient is zero.
        if (settings.has_bias()) std::fill_n(gradients.data + settings.bias, settings.channels, 0.0f);
    } else if (settings.has_bias()) {
        write(settings.bias, sums.data);
    }
}

}  // namespace under20k
