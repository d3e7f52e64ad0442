// The forward pass of a graph on one group of images.

#include "kernels/hash.h"
#include "network/graph_network.h"

namespace under20k {

void GraphNetwork::forward_stage(ptrdiff_t stage, const Run& run) {
    if (stage == 0)
        kernels_.load_images(run.source, run.task.group, plan_.values[0].map, values_of(0, run.task));
    for (const GraphStep& step : plan_.steps)
        if (step.stage == stage) forward(step, run, true);
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
        const GraphNorm& norm = plan_.norms[i];
        if (ends_at(norm, stage) && !norm.counted) count(i, run.task);
    }
}

// BatchNorm's sums over a stored value.
void GraphNetwork::count(ptrdiff_t index, const GroupTask& task) {
    const ptrdiff_t value = plan_.norms[index].value;
    kernels_.map_statistics(plan_.values[value].map, values_of(value, task),
                            {.pivot = channels_[index].pivot,
                             .sums = sums_of(index, task),
                             .valid_lanes = task.group.valid_lanes});
}

void GraphNetwork::forward(const GraphStep& step, const Run& run, bool training) {
    const Source x = input_of(step, 0, run);
    const Target y = output_of(step, run);
    const GraphNode& node = step.node;
    switch (step.kind) {
        case StepKind::tuned:
        case StepKind::general:
            return convolve(step, run, training);
        case StepKind::block:
            return kernels_.activate(activation_of(step, training), x.values, y.values,
                                     mix(run.source.dropout_seed ^ step.block.stream),
                                     run.task.group.position);
        case StepKind::norm:
            return operations_.normalise(channels_[step.norm].scale, channels_[step.norm].shift,
                                         step.after ? &*step.after : nullptr, x, y);
        case StepKind::function:
            return operations_.apply(step.function(), x, y);
        case StepKind::prelu:
            return operations_.prelu(active_.part(step.weight.offset, step.weight.count), x, y);
        case StepKind::pool:
            return operations_.pool(step.pooling(), x, y);
        case StepKind::dropout:
            if (training) return operations_.dropout(dropout_of(step, run), x, y, false);
            if (!joined(step)) operations_.copy(x, y, false);
            return;
        case StepKind::scale:
            return operations_.scale(static_cast<float>(node.factor), static_cast<float>(node.offset), x, y,
                                     false);
        case StepKind::reshape:
            if (!joined(step)) operations_.reshape(x, y, false);
            return;
        case StepKind::softmax:
            return operations_.softmax(x, y);
        case StepKind::add:
        case StepKind::multiply:
        case StepKind::concatenate:
            return combine(step, run);
    }
}

void GraphNetwork::convolve(const GraphStep& step, const Run& run, bool training) {
    const StepConvolution& own = step.convolution;
    const ptrdiff_t index = &step - plan_.steps.data();
    const GraphStepMemory& memory = memory_.steps[index];
    Target output = output_of(step, run);
    Span<const float> bias = bias_of(step.bias);
    Epilogue epilogue{.finish = own.relu ? Finish::relu : Finish::plain};
    if (training && own.counts >= 0)
        epilogue = {.finish = own.relu ? Finish::relu_statistics : Finish::statistics,
                    .statistics = {.pivot = channels_[own.counts].pivot,
                                   .sums = sums_of(own.counts, run.task),
                                   .valid_lanes = run.valid_lanes()}};
    if (!training && own.through >= 0) {
        // BatchNorm is in the weights, and the block's output is written straight away.
        const GraphStep& block = plan_.steps[own.through];
        output = output_of(block, run);
        bias = memory.folded.all();
        epilogue.finish = block.block.relu ? Finish::relu : Finish::plain;
    }
    const Span<const float> packed = memory.packed_forward.all();
    if (step.kind == StepKind::tuned) {
        Convolution convolution = training ? own.forward : own.evaluation;
        convolution.output = output.map;
        kernels_.convolve(convolution, input_of(step, 0, run).values, packed, bias, output.values, epilogue,
                          scratch_of(run));
    } else {
        operations_.convolve(own.general, input_of(step, 0, run), packed, bias, output, epilogue,
                             scratch_of(run));
    }
}

// Operations with several inputs.
void GraphNetwork::combine(const GraphStep& step, const Run& run) {
    const Target y = output_of(step, run);
    if (step.kind == StepKind::concatenate) {
        ptrdiff_t first = 0;
        for (ptrdiff_t i = 0; i < std::ssize(step.inputs); ++i) {
            const Source x = input_of(step, i, run);
            operations_.copy(x, channels_of(y, first, x.map.channels, kernels_.lanes), false);
            first += x.map.channels;
        }
        return;
    }
    if (step.inputs.size() == 1) return operations_.copy(input_of(step, 0, run), y, false);
    Source total = input_of(step, 0, run);
    for (ptrdiff_t i = 1; i < std::ssize(step.inputs); ++i) {
        if (step.kind == StepKind::add)
            operations_.add(total, input_of(step, i, run), y);
        else
            operations_.multiply(total, input_of(step, i, run), y, false);
        total = y;
    }
}

}  // namespace under20k
