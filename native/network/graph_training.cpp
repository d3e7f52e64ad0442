// Training of a graph, stage by stage, and evaluation.

#include <algorithm>

#include "network/graph_network.h"

namespace under20k {

// Call task(run) for every group. Groups that share a row of gradients are one thread's, in order: the same
// bits for any number of threads.
template <typename Task>
void GraphNetwork::run_rows(const Batch& batch, const Task& task) {
    const ptrdiff_t groups = groups_of(batch.images), rows = gradient_rows(groups);
    pool_.run(rows, [&](ptrdiff_t row, ptrdiff_t thread) {
        for (ptrdiff_t group = row; group < groups; group += rows)
            task(Run{.source = batch.source,
                     .task = task_of(batch.first, batch.images, group, thread),
                     .add = group != row,
                     .gradients = parameters_.partial_gradients.row(row, settings_.parameters)});
    });
}

// The stages, and in the last one everything up to the gradients of its values.
Loss GraphNetwork::forward_pass(const Batch& batch, Pacer& pace) {
    start_step();
    const ptrdiff_t last = plan_.stages - 1;
    for (ptrdiff_t stage = 0; stage < last; ++stage) {
        pool_.run(groups_of(batch.images), [&](ptrdiff_t group, ptrdiff_t thread) {
            forward_stage(
                stage, {.source = batch.source, .task = task_of(batch.first, batch.images, group, thread)});
        });
        normalise_stage(stage, batch);
        pace();
    }
    run_rows(batch, [&](const Run& run) {
        forward_stage(last, run);
        losses_[run.task.index] = loss(run, 1.0f / static_cast<float>(batch.images));
        backward_stage(last, run);
    });
    track_statistics(batch);
    return total_loss(groups_of(batch.images));
}

void GraphNetwork::backward_pass(const Batch& batch, Pacer& pace) {
    for (ptrdiff_t stage = plan_.stages - 2; stage >= 0; --stage) {
        for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
            const GraphNorm& norm = plan_.norms[i];
            if (ends_at(norm, stage) && plan_.steps[norm.step].live)
                gradient_factors(norm.settings, step_sums(i, batch), channels_[i]);
        }
        run_rows(batch, [&](const Run& run) { backward_stage(stage, run); });
        pace();
    }
}

void GraphNetwork::start_step() {
    active_ = weights();
    pack();
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i)
        if (plan_.norms[i].settings.batch_norm())
            under20k::start_step(plan_.norms[i].settings, weights(), channels_[i]);
}

bool GraphNetwork::ends_at(const GraphNorm& norm, ptrdiff_t stage) const {
    return norm.settings.batch_norm() && plan_.values[norm.value].stage == stage;
}

StepSums GraphNetwork::step_sums(ptrdiff_t norm, const Batch& batch) const {
    const Map& map = plan_.values[plan_.norms[norm].value].map;
    return {.values = memory_.norms[norm].sums.all(),
            .groups = groups_of(batch.images),
            .count = static_cast<double>(batch.images) * static_cast<double>(map.height) *
                     static_cast<double>(map.width)};
}

// From the groups' sums to the factors of BatchNorm. Where a running mean lags behind, its squares have lost
// the variance and are counted again about the mean.
void GraphNetwork::normalise_stage(ptrdiff_t stage, const Batch& batch) {
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
        const GraphNorm& norm = plan_.norms[i];
        if (!ends_at(norm, stage)) continue;
        const StepSums sums = step_sums(i, batch);
        if (move_far_pivots(sums, channels_[i]))
            pool_.run(sums.groups, [&](ptrdiff_t group, ptrdiff_t thread) {
                count(i, task_of(batch.first, batch.images, group, thread));
            });
        normalise(norm.settings, sums, channels_[i], weights(), memory_.norms[i].moments.all());
    }
}

// In the order of the nodes, since several of them may have the same running statistics.
void GraphNetwork::track_statistics(const Batch& batch) {
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
        const GraphNorm& norm = plan_.norms[i];
        LayerSettings settings = norm.settings;
        if (!settings.batch_norm()) continue;
        if (norm.cumulative) settings.momentum = 1 / static_cast<double>(batch.step * norm.uses + norm.use);
        track(settings, memory_.norms[i].moments.all(), step_sums(i, batch).count, weights());
    }
}

// The group's loss; leaves the gradient of the output.
Loss GraphNetwork::loss(const Run& run, float image_weight) {
    const GraphValue& output = plan_.values[plan_.values[plan_.output].storage];
    const Target value = value_of(plan_.output, run);
    if (!output.differentiable)  // nothing to train
        return loss_of(run.source, run.task, image_weight, value.map, value.values, {});
    const Target gradient = gradient_of(plan_.output, run);
    if (!output.gradient_in_place) operations_.copy(value, gradient, false);
    return loss_of(run.source, run.task, image_weight, gradient.map, gradient.values, {});
}

void GraphNetwork::pack_for_evaluation(Span<const float> weights) {
    active_ = weights;
    std::vector<float> factors;
    for (ptrdiff_t i = 0; i < std::ssize(plan_.steps); ++i) {
        const GraphStep& step = plan_.steps[i];
        if (plan_.barrier(step) && !step.block.folded)
            fold(plan_.norms[step.norm].settings, weights, channels_[step.norm].scale,
                 channels_[step.norm].shift);
        if (step.kind != StepKind::tuned && step.kind != StepKind::general) continue;
        const StepConvolution& own = step.convolution;
        Span<float> scale;
        if (own.through >= 0) {
            LayerSettings settings = plan_.norms[plan_.steps[own.through].norm].settings;
            settings.bias = step.bias.offset;
            factors.resize(static_cast<size_t>(settings.channels));
            scale = {factors.data(), settings.channels};
            fold(settings, weights, scale, memory_.steps[i].folded.all());
        }
        const Span<const float> values = weights.part(step.weight.offset, step.weight.count);
        const Span<float> packed = memory_.steps[i].packed_forward.all();
        if (step.kind == StepKind::tuned)
            kernels_.pack_weights(own.evaluation, values, scale, packed);
        else
            operations_.pack(own.general, values, scale, packed);
    }
}

void GraphNetwork::evaluate(const ImageSource& source, const GroupTask& task, Span<float> out) {
    // Groups of one thread share its memory, wherever that is in training.
    GroupTask own = task;
    own.index = task.thread;
    const Run run{.source = source, .task = own};
    kernels_.load_images(source, task.group, plan_.values[0].map, values_of(0, own));
    for (const GraphStep& step : plan_.steps)
        if (step.live && !step.block.folded) forward(step, run, false);
    kernels_.logits(plan_.values[plan_.output].map, values_of(plan_.output, own), out);
}

}  // namespace under20k
