// The backward pass of a graph on one group of images.

#include <algorithm>

#include "kernels/hash.h"
#include "network/graph_network.h"

namespace under20k {

// First BatchNorm's gradients, for which all groups have waited, then the steps of the stage, last to first.
void GraphNetwork::backward_stage(ptrdiff_t stage, const Run& run) {
    for (auto norm = plan_.norms.rbegin(); norm != plan_.norms.rend(); ++norm) {
        const GraphStep& step = plan_.steps[norm->step];
        if (step.live && plan_.barrier(step) && plan_.values[norm->value].stage == stage &&
            plan_.values[norm->value].differentiable)
            norm_gradient(step, run);
    }
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
        if (!step->live || step->stage != stage || !plan_.values[step->output].differentiable) continue;
        if (plan_.barrier(*step))
            gradient_sums(*step, run);
        else
            backward(*step, run);
    }
}

void GraphNetwork::backward(const GraphStep& step, const Run& run) {
    const Source x = input_of(step, 0, run), gradient = gradient_of(step.output, run);
    const ptrdiff_t input = step.inputs[0];
    // Of a step in place there are no other terms.
    const bool add = step.add[0] && !joined(step);
    if (step.kind == StepKind::tuned || step.kind == StepKind::general)
        return backward_convolution(step, run);
    if (step.kind == StepKind::block) {
        // Its mask of dropout and, for the sums, its ReLU.
        gradient_sums(step, run);
        return norm_gradient(step, run);
    }
    if (!std::ranges::any_of(step.inputs, [&](ptrdiff_t i) { return plan_.values[i].differentiable; }) &&
        step.kind != StepKind::prelu)
        return;
    switch (step.kind) {
        case StepKind::function: {
            const bool output = gradient_from_output(step.node);
            const Source from = output ? Source(output_of(step, run)) : x;
            return operations_.apply_gradient(step.function(), from, output, gradient,
                                              gradient_of(input, run), add);
        }
        case StepKind::prelu:
            return backward_prelu(step, run);
        case StepKind::pool:
            return operations_.pool_gradient(step.pooling(), x, gradient, gradient_of(input, run), add);
        case StepKind::dropout:
            return operations_.dropout(dropout_of(step, run), gradient, gradient_of(input, run), add);
        case StepKind::scale:
            return operations_.scale(static_cast<float>(step.node.factor), 0, gradient,
                                     gradient_of(input, run), add);
        case StepKind::reshape:
            if (!joined(step)) operations_.reshape(gradient, gradient_of(input, run), add);
            return;
        case StepKind::softmax:
            return operations_.softmax_gradient(output_of(step, run), gradient, gradient_of(input, run), add);
        case StepKind::add:
        case StepKind::concatenate:
            return backward_terms(step, run);
        case StepKind::multiply:
            return backward_factors(step, run);
        default:
            return;
    }
}

void GraphNetwork::backward_convolution(const GraphStep& step, const Run& run) {
    const StepConvolution& own = step.convolution;
    const Target gradient = gradient_of(step.output, run);
    const Source input = input_of(step, 0, run);
    const bool tuned = step.kind == StepKind::tuned;
    if (own.relu && !own.masked)
        operations_.apply_gradient({.kind = FunctionKind::relu}, output_of(step, run), true, gradient,
                                   gradient, false);
    if (step.bias) {
        const Span<float> bias = gradient_of(step.bias, run);
        if (own.bias_cancelled) {  // exactly: BatchNorm subtracts every constant
            if (!adds(step.bias, run)) std::fill_n(bias.data, bias.size, 0.0f);
        } else {
            operations_.bias_gradient(gradient, run.valid_lanes(), bias, adds(step.bias, run));
        }
    }
    const Span<float> weights = gradient_of(step.weight, run);
    const bool add = adds(step.weight, run);
    if (tuned) {
        const Span<float> to = add ? temporary_of(run).part(0, weights.size) : weights;
        kernels_.weight_gradient(own.forward, input.values, gradient.values, scratch_of(run), to);
        for (ptrdiff_t i = 0; add && i < weights.size; ++i) weights[i] += to[i];
    } else {
        operations_.weight_gradient(own.general, input, gradient, run.valid_lanes(), weights, add,
                                    scratch_of(run));
    }
    if (plan_.values[step.inputs[0]].differentiable) input_gradient(step, gradient, run);
}

void GraphNetwork::input_gradient(const GraphStep& step, const Source& gradient, const Run& run) {
    const StepConvolution& own = step.convolution;
    const Target target = gradient_of(step.inputs[0], run);
    const bool add = step.add[0];
    const Span<const float> packed = memory_.steps[&step - plan_.steps.data()].packed_backward.all();
    if (step.kind == StepKind::general)
        return operations_.input_gradient(own.general, gradient, packed, target, add, scratch_of(run));
    kernels_.convolve(own.backward, gradient.values, packed, memory_.zeros.all(), target.values,
                      {.finish = Finish::plain, .statistics = {}, .add = add}, scratch_of(run));
}

void GraphNetwork::backward_prelu(const GraphStep& step, const Run& run) {
    const ptrdiff_t input = step.inputs[0];
    const Source gradient = gradient_of(step.output, run);
    // Without an input that takes one, the input's gradient is written over the output's.
    const bool wanted = plan_.values[input].differentiable;
    const Target to = wanted ? gradient_of(input, run) : gradient_of(step.output, run);
    operations_.prelu_gradient(active_.part(step.weight.offset, step.weight.count), input_of(step, 0, run),
                               gradient, to, wanted && step.add[0], run.valid_lanes(),
                               gradient_of(step.weight, run), adds(step.weight, run));
}

// Of an addition or a concatenation.
void GraphNetwork::backward_terms(const GraphStep& step, const Run& run) {
    const Target gradient = gradient_of(step.output, run);
    ptrdiff_t first = 0;
    for (ptrdiff_t i = 0; i < std::ssize(step.inputs); ++i) {
        const Map& map = plan_.values[step.inputs[i]].map;
        Source own = gradient;
        if (step.kind == StepKind::concatenate) {
            own = channels_of(gradient, first, map.channels, kernels_.lanes);
            first += map.channels;
        }
        if (!plan_.values[step.inputs[i]].differentiable) continue;
        const Target to = gradient_of(step.inputs[i], run);
        if (to.values.data == own.values.data) continue;  // they share it
        if (broadcast_to(map, own.map))
            operations_.sum_map(own, to, step.add[i]);
        else
            operations_.copy(own, to, step.add[i]);
    }
}

// Of a product: the gradient times the other factors.
void GraphNetwork::backward_factors(const GraphStep& step, const Run& run) {
    const Target gradient = gradient_of(step.output, run);
    const ptrdiff_t count = std::ssize(step.inputs);
    for (ptrdiff_t i = 0; i < count; ++i) {
        if (!plan_.values[step.inputs[i]].differentiable) continue;
        const Target to = gradient_of(step.inputs[i], run);
        // All others but the last are multiplied in a temporary map.
        Source factor = gradient;
        std::vector<ptrdiff_t> others;
        for (ptrdiff_t j = 0; j < count; ++j)
            if (j != i) others.push_back(j);
        const Target product{.map = gradient.map, .values = temporary_of(run).part(0, gradient.values.size)};
        for (ptrdiff_t j = 0; j + 1 < std::ssize(others); ++j) {
            operations_.multiply(factor, input_of(step, others[j], run), product, false);
            factor = product;
        }
        const Source last = input_of(step, others.back(), run);
        if (!broadcast_to(to.map, gradient.map)) {
            operations_.multiply(factor, last, to, step.add[i]);
        } else if (broadcast_to(last.map, gradient.map)) {
            operations_.multiply(factor, last, product, false);
            operations_.sum_map(product, to, step.add[i]);
        } else {
            operations_.sum_products(factor, last, to, step.add[i]);
        }
    }
}

// The sums of a BatchNorm's gradient over the group, which are also the gradients of its own parameters. Of a
// block, this applies dropout's mask to its output's gradient.
void GraphNetwork::gradient_sums(const GraphStep& step, const Run& run) {
    const Source x = input_of(step, 0, run);
    const Target gradient = gradient_of(step.output, run);
    const Span<float> sums = sums_of(step.norm, run.task);
    const ActivationGradient factors = channels_[step.norm].activation_gradient();
    if (step.after)
        operations_.normalised_function_sums(*step.after, channels_[step.norm].scale,
                                             channels_[step.norm].shift, factors, x, gradient,
                                             run.valid_lanes(), sums);
    else if (step.kind == StepKind::norm)
        operations_.normalise_sums(factors, x, gradient, run.valid_lanes(), sums);
    else if (plan_.barrier(step) || step.block.dropout_threshold > 0)
        kernels_.activation_sums(activation_of(step, true), factors, x.values, gradient.values,
                                 mix(run.source.dropout_seed ^ step.block.stream), run.task.group.position,
                                 sums);
    if (!plan_.barrier(step)) return;
    const ptrdiff_t channels = plan_.norms[step.norm].settings.channels;
    add_gradient(step.bias, sums.part(0, channels), run);
    add_gradient(step.weight, sums.part(channels, channels), run);
}

// The gradient of what is normalised, or of a block's input.
void GraphNetwork::norm_gradient(const GraphStep& step, const Run& run) {
    if (!plan_.values[step.inputs[0]].differentiable) return;
    const Source x = input_of(step, 0, run), gradient = gradient_of(step.output, run);
    const Target to = gradient_of(step.inputs[0], run);
    const ActivationGradient factors = channels_[step.norm].activation_gradient();
    if (step.kind == StepKind::norm)
        operations_.normalise_gradient(factors, x, gradient, run.valid_lanes(), to, step.add[0]);
    else
        kernels_.activation_gradient(activation_of(step, true), factors, x.values, gradient.values,
                                     run.valid_lanes(), to.values);
}

void GraphNetwork::add_gradient(const TensorUse& use, Span<const float> values, const Run& run) const {
    if (!use) return;
    const Span<float> gradient = gradient_of(use, run);
    const bool add = adds(use, run);
    for (ptrdiff_t i = 0; i < values.size; ++i) gradient[i] = add ? gradient[i] + values[i] : values[i];
}

}  // namespace under20k
