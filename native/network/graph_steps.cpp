#include "network/graph_planner.h"

#include <stdexcept>
#include <utility>

namespace under20k {

namespace {

bool is_relu(const GraphNode& node) {
    return node.operation == Operation::function && node.function == FunctionKind::relu;
}

bool drops_elements(const GraphNode& node) {
    return node.operation == Operation::dropout && !node.whole_channels;
}

}  // namespace

// Shapes and readers of all values.
void Planner::read_values() {
    const ptrdiff_t count = std::ssize(settings_.nodes);
    if (count == 0) throw std::invalid_argument("a graph without nodes");
    plan_.values.resize(static_cast<size_t>(count + 1));
    readers_.resize(static_cast<size_t>(count + 1));
    value(0).map = {.channels = 1, .height = SIDE, .width = SIDE, .frame_y = 0, .frame_x = 0};
    for (ptrdiff_t i = 0; i < count; ++i) {
        for (const ptrdiff_t input : node(i).inputs) {
            if (input < 0 || input > i) throw std::invalid_argument("an input that is no earlier value");
            readers_[input].push_back(i);
        }
        value(i + 1).map = {.channels = node(i).channels,
                            .height = node(i).height,
                            .width = node(i).width,
                            .frame_y = 0,
                            .frame_x = 0};
        value(i + 1).storage = i + 1;
    }
    plan_.output = count;
    if (value(count).map.size() != CLASSES) throw std::invalid_argument("an output that is not (10,)");
}

bool Planner::pools_by_two(ptrdiff_t index) {
    const GraphNode& pool = node(index);
    const Sliding2d& window = pool.window;
    if (pool.operation != Operation::pool || !pool.max || pool.adaptive) return false;
    const Map& from = value(pool.inputs[0]).map;
    return window.kernel_y == 2 && window.kernel_x == 2 && window.stride_y == 2 && window.stride_x == 2 &&
           window.padding_y == 0 && window.padding_x == 0 && pool.height == from.height / 2 &&
           pool.width == from.width / 2;
}

// Whether pooling or dropout follows the value and nothing else.
bool Planner::starts_block(ptrdiff_t index) {
    const ptrdiff_t next = only_reader(index);
    return next >= 0 && (pools_by_two(next) || drops_elements(node(next)));
}

void Planner::add_step(ptrdiff_t index) {
    const GraphNode& own = node(index);
    GraphStep step;
    step.kind = kind_of(own);
    step.node = own;
    step.inputs = own.inputs;
    step.output = index + 1;
    switch (own.operation) {
        case Operation::convolution:
            add_convolution(step);
            break;
        case Operation::batch_norm:
            add_batch_norm(step);
            break;
        case Operation::function:
            if (is_relu(own) && starts_block(index + 1)) start_block(step, index);
            break;
        case Operation::pool:
            if (pools_by_two(index)) start_block(step, index);
            break;
        case Operation::prelu:
            step.weight = {.offset = own.weight, .count = own.slopes};
            break;
        default:
            break;
    }
    for (const TensorUse& use : {step.weight, step.bias}) check(use.offset, use.count);
    plan_.steps.push_back(std::move(step));
}

void Planner::check(ptrdiff_t offset, ptrdiff_t count) const {
    if (offset >= 0 && offset + count > settings_.parameters)
        throw std::invalid_argument("a tensor beyond the parameters");
}

StepKind Planner::kind_of(const GraphNode& node) {
    switch (node.operation) {
        case Operation::convolution:
            return StepKind::general;
        case Operation::batch_norm:
            return StepKind::norm;
        case Operation::function:
            return StepKind::function;
        case Operation::prelu:
            return StepKind::prelu;
        case Operation::pool:
            return StepKind::pool;
        case Operation::dropout:
            return StepKind::dropout;
        case Operation::add:
            return StepKind::add;
        case Operation::multiply:
            return StepKind::multiply;
        case Operation::concatenate:
            return StepKind::concatenate;
        case Operation::scale:
            return StepKind::scale;
        case Operation::reshape:
            return StepKind::reshape;
        case Operation::softmax:
            return StepKind::softmax;
    }
    throw std::invalid_argument("an unknown operation");
}

void Planner::add_convolution(GraphStep& step) {
    const GraphNode& own = step.node;
    const ptrdiff_t inputs = value(own.inputs[0]).map.channels / own.groups;
    step.weight = {.offset = own.weight, .count = own.channels * inputs * own.window.taps()};
    if (own.bias >= 0) step.bias = {.offset = own.bias, .count = own.channels};
    const ptrdiff_t next = only_reader(step.output);
    if (next >= 0 && is_relu(node(next)) && !starts_block(next + 1)) {
        step.convolution.relu = true;
        absorb(step, next);
    }
}

void Planner::add_batch_norm(GraphStep& step) {
    const GraphNode& own = step.node;
    if (own.weight >= 0) step.weight = {.offset = own.weight, .count = own.channels};
    if (own.bias >= 0) step.bias = {.offset = own.bias, .count = own.channels};
    const bool alone = only_reader(own.inputs[0]) >= 0;
    const ptrdiff_t next = only_reader(step.output);
    if (next >= 0 && node(next).operation == Operation::function && !(alone && is_relu(node(next)))) {
        step.after = Function{.kind = node(next).function, .slope = static_cast<float>(node(next).slope)};
        absorb(step, next);
    } else if (alone) {
        step.kind = StepKind::block;
        absorb_rest(step);
    }
    add_norm(step);
}

// Of a ReLU or a pooling without BatchNorm, where nothing else reads its input.
void Planner::start_block(GraphStep& step, ptrdiff_t index) {
    if (only_reader(step.inputs[0]) != index) return;
    step.kind = StepKind::block;
    step.block.relu = is_relu(step.node);
    step.block.pool = !step.block.relu;
    absorb_rest(step);
    add_norm(step);
}

void Planner::absorb(GraphStep& step, ptrdiff_t next) {
    absorbed_[next] = true;
    step.output = next + 1;
}

// ReLU, pooling and dropout. ReLU before pooling is ReLU after it, and so are the gradients.
void Planner::absorb_rest(GraphStep& step) {
    ptrdiff_t next = only_reader(step.output);
    for (bool more = true; more; next = only_reader(step.output)) {
        more = next >= 0 &&
               ((!step.block.relu && is_relu(node(next))) || (!step.block.pool && pools_by_two(next)));
        if (!more) break;
        (is_relu(node(next)) ? step.block.relu : step.block.pool) = true;
        absorb(step, next);
    }
    if (next >= 0 && drops_elements(node(next))) {
        step.block.probability = node(next).probability;
        step.block.dropout_threshold = node(next).dropout_threshold;
        step.block.stream = node(next).stream;
        absorb(step, next);
    }
}

void Planner::add_norm(GraphStep& step) {
    const GraphNode& own = step.node;
    GraphNorm norm;
    norm.step = std::ssize(plan_.steps);
    norm.value = step.inputs[0];
    norm.cumulative = own.momentum < 0;
    norm.settings.channels = value(norm.value).map.channels;
    norm.settings.weight = norm.settings.bias = -1;
    norm.settings.scale = step.weight.offset;
    norm.settings.shift = step.bias.offset;
    check(own.running_mean, own.channels);
    check(own.running_variance, own.channels);
    norm.settings.running_mean = own.running_mean;
    norm.settings.running_variance = own.running_variance;
    norm.settings.momentum = own.momentum;
    norm.settings.epsilon = own.epsilon;
    step.norm = std::ssize(plan_.norms);
    plan_.norms.push_back(norm);
}

}  // namespace under20k
