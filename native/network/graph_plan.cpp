#include "network/graph_plan.h"

#include <algorithm>
#include <utility>

#include "network/graph_planner.h"
#include "network/memory_plan.h"

namespace under20k {

namespace {

// Beyond this, tuned kernels take more memory than they are worth.
constexpr ptrdiff_t MAX_TUNED_SCRATCH = ptrdiff_t{1} << 24;  // floats
// Of all rows of partial gradients, where a row for each group would take more.
constexpr ptrdiff_t PARTIAL_FLOATS = ptrdiff_t{1} << 25;
constexpr ptrdiff_t MIN_ROWS = 4;

ptrdiff_t whole_lines(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

bool one_step(const Sliding2d& window) {
    return window.stride_y == 1 && window.stride_x == 1 && window.dilation_y == 1 && window.dilation_x == 1;
}

}  // namespace

GraphPlan Planner::plan() {
    read_values();
    for (ptrdiff_t i = 0; i < std::ssize(settings_.nodes); ++i)
        if (!absorbed_[i]) add_step(i);
    set_stages();
    mark_live();
    set_frames();
    join_in_place();
    share_gradients();
    for (GraphStep& step : plan_.steps)
        if (is_convolution(step)) plan_convolution(step);
    join_reshapes();
    link_norms();
    count_uses();
    order_gradients();
    place_values();
    size_threads();
    return std::move(plan_);
}

// The node that alone reads a value, or −1.
ptrdiff_t Planner::only_reader(ptrdiff_t index) const {
    return readers_[index].size() == 1 && index != plan_.output ? readers_[index][0] : -1;
}

void Planner::set_stages() {
    for (GraphStep& step : plan_.steps) {
        GraphValue& out = value(step.output);
        for (const ptrdiff_t input : step.inputs) {
            step.stage = std::max(step.stage, value(input).stage);
            out.differentiable |= value(input).differentiable;
        }
        step.stage += plan_.barrier(step);
        out.differentiable |= step.weight || step.bias;
        out.stage = step.stage;
        plan_.stages = std::max(plan_.stages, step.stage + 1);
    }
}

// Whether a tuned kernel fits, but for its scratch.
bool Planner::fits(const GraphNode& node) {
    const Sliding2d& window = node.window;
    const ptrdiff_t kernel = window.kernel_y, padding = window.padding_y;
    return node.groups == 1 && one_step(window) && kernel == window.kernel_x && padding == window.padding_x &&
           ((kernel == 1 && padding == 0) || (kernel == 3 && (padding == 0 || padding == 1)) ||
            (kernel == 5 && padding <= 2));
}

// Whether the kernel covers the whole map, as a linear layer.
bool Planner::covers(const GraphNode& node) {
    const Sliding2d& window = node.window;
    const Map& map = value(node.inputs[0]).map;
    return node.groups == 1 && window.kernel_y == map.height && window.kernel_x == map.width &&
           node.height == 1 && node.width == 1 && window.padding_y == 0 && window.padding_x == 0 &&
           window.dilation_y == 1 && window.dilation_x == 1;
}

void Planner::plan_convolution(GraphStep& step) {
    StepConvolution& own = step.convolution;
    const Sliding2d& window = step.node.window;
    Map in = value(step.inputs[0]).map;
    const Map out = value(step.output).map;
    // The general kernels are faster, but have no bf16.
    const bool linear = settings_.bf16 && covers(step.node) && in.frame_x == 0 && in.frame_y == 0;
    if (linear)
        in = {.channels = in.channels * in.height * in.width,
              .height = 1,
              .width = 1,
              .frame_y = 0,
              .frame_x = 0};
    if (linear || (fits(step.node) && !covers(step.node))) {
        const ptrdiff_t kernel = linear ? 1 : window.kernel_y, padding = linear ? 0 : window.padding_y;
        own.forward = kernels_.convolution(kernel, padding, in, out, settings_.bf16);
        own.evaluation = kernels_.convolution(kernel, padding, in, out, false);
        own.backward = kernels_.convolution(kernel, kernel - 1 - padding, out, in, settings_.bf16);
        // For 5×5 there is no other tuned method.
        const bool pays = kernel < 5 || (own.forward.forward == Method::winograd &&
                                         own.backward.forward == Method::winograd);
        if (pays && std::max({own.forward.scratch, own.forward.gradient_scratch, own.evaluation.scratch,
                              own.backward.scratch}) <= MAX_TUNED_SCRATCH) {
            step.kind = StepKind::tuned;
            return;
        }
    }
    own.general = kernels_.operations().convolution(value(step.inputs[0]).map, out, window, step.node.groups);
}

// What convolutions and the norms after them do for each other.
void Planner::link_norms() {
    for (ptrdiff_t i = 0; i < std::ssize(plan_.norms); ++i) {
        GraphNorm& norm = plan_.norms[i];
        GraphStep& after = plan_.steps[norm.step];
        const auto before = std::ranges::find(plan_.steps, norm.value, &GraphStep::output);
        if (before == plan_.steps.end() || !is_convolution(*before)) continue;
        StepConvolution& own = before->convolution;
        const bool alone = after.kind == StepKind::block;  // it is the only reader then
        after.block.after_relu = own.masked = alone && own.relu;
        if (alone && !own.relu && !after.block.pool) {
            own.through = norm.step;
            after.block.folded = true;
        }
        if (!norm.settings.batch_norm()) continue;
        own.bias_cancelled = only_reader(norm.value) >= 0 && !own.relu;
        if (own.counts < 0) {
            own.counts = i;
            norm.counted = true;
        }
    }
}

// Several norms may share their running statistics.
void Planner::count_uses() {
    for (GraphNorm& norm : plan_.norms)
        for (GraphNorm& other : plan_.norms)
            if (other.settings.running_mean == norm.settings.running_mean) {
                ++norm.uses;
                norm.use += &other <= &norm;
            }
}

void Planner::mark_live() {
    value(plan_.output).live = true;
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
        step->live = value(step->output).live;
        if (!step->live) continue;
        for (const ptrdiff_t input : step->inputs) value(input).live = true;
    }
}

void Planner::size_threads() {
    const ptrdiff_t groups = max_groups(settings_, kernels_);
    plan_.rows =
        std::min(groups, std::max(MIN_ROWS, PARTIAL_FLOATS / std::max<ptrdiff_t>(1, settings_.parameters)));
    for (const GraphStep& step : plan_.steps) {
        const Map& in = value(step.inputs[0]).map;
        plan_.channels = std::max({plan_.channels, step.node.channels, in.channels * in.height * in.width});
        const Map& out = value(step.output).map;
        if (step.kind == StepKind::dropout || step.block.dropout_threshold > 0)
            plan_.dropout_elements = std::max(plan_.dropout_elements, out.channels * out.height * out.width);
        if (step.kind == StepKind::multiply)
            plan_.temporary = std::max(plan_.temporary, out.size() * kernels_.lanes);
        if (!is_convolution(step)) continue;
        const StepConvolution& own = step.convolution;
        if (step.kind == StepKind::tuned) {
            plan_.scratch = std::max({plan_.scratch, own.forward.scratch, own.forward.gradient_scratch,
                                      own.evaluation.scratch, own.backward.scratch});
            if (plan_.rows < groups || step.weight.add)
                plan_.temporary = std::max(plan_.temporary, step.weight.count);
        } else {
            plan_.scratch = std::max({plan_.scratch, own.general.scratch, own.general.input_gradient_scratch,
                                      own.general.weight_gradient_scratch});
        }
    }
    plan_.scratch = whole_lines(plan_.scratch);
    plan_.temporary = whole_lines(plan_.temporary);
}

GraphPlan plan_graph(const GraphSettings& settings, const Kernels& kernels) {
    return Planner(settings, kernels).plan();
}

bool gradient_from_output(const GraphNode& node) {
    switch (node.function) {
        case FunctionKind::relu:
        case FunctionKind::relu6:
        case FunctionKind::sigmoid:
        case FunctionKind::tanh:
        case FunctionKind::rsqrt:
            return true;
        case FunctionKind::leaky_relu:
        case FunctionKind::elu:
            return static_cast<float>(node.slope) > 0;
        default:
            return false;
    }
}

bool all_tuned(const GraphPlan& plan) {
    return std::ranges::none_of(plan.steps,
                                [](const GraphStep& step) { return step.kind == StepKind::general; });
}

}  // namespace under20k
