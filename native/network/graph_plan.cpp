#include "network/graph_plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>

#include "network/memory_plan.h"

namespace under20k {

namespace {

// Beyond this, tuned kernels take more memory than they are worth.
constexpr ptrdiff_t MAX_TUNED_SCRATCH = ptrdiff_t{1} << 24;  // floats
// Of all rows of partial gradients, where a row for each group would take more.
constexpr ptrdiff_t PARTIAL_FLOATS = ptrdiff_t{1} << 25;
constexpr ptrdiff_t MIN_ROWS = 4;

ptrdiff_t whole_lines(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

bool is_relu(const GraphNode& node) {
    return node.operation == Operation::function && node.function == FunctionKind::relu;
}

bool drops_elements(const GraphNode& node) {
    return node.operation == Operation::dropout && !node.whole_channels;
}

bool one_step(const Sliding2d& window) {
    return window.stride_y == 1 && window.stride_x == 1 && window.dilation_y == 1 && window.dilation_x == 1;
}

bool is_convolution(const GraphStep& step) {
    return step.kind == StepKind::tuned || step.kind == StepKind::general;
}

// Whether the backward pass reads the step's inputs, or its output.
bool reads_inputs(const GraphStep& step) {
    switch (step.kind) {
        case StepKind::tuned:
        case StepKind::general:
        case StepKind::block:
        case StepKind::norm:
        case StepKind::prelu:
        case StepKind::multiply:
            return true;
        case StepKind::function:
            return !gradient_from_output(step.node);
        case StepKind::pool:
            return step.node.max;
        default:
            return false;
    }
}

bool reads_output(const GraphStep& step) {
    if (is_convolution(step)) return step.convolution.relu && !step.convolution.masked;
    if (step.kind == StepKind::function) return gradient_from_output(step.node);
    return step.kind == StepKind::softmax;
}

class Planner {
public:
    Planner(const GraphSettings& settings, const Kernels& kernels)
        : settings_(settings), kernels_(kernels), absorbed_(settings.nodes.size()) {}

    GraphPlan plan() {
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

private:
    const GraphNode& node(ptrdiff_t index) const { return settings_.nodes[index]; }
    GraphValue& value(ptrdiff_t index) { return plan_.values[index]; }
    GraphValue& storage(ptrdiff_t index) { return value(value(index).storage); }

    // Shapes and readers of all values.
    void read_values() {
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

    // The node that alone reads a value, or −1.
    ptrdiff_t only_reader(ptrdiff_t index) const {
        return readers_[index].size() == 1 && index != plan_.output ? readers_[index][0] : -1;
    }

    bool pools_by_two(ptrdiff_t index) {
        const GraphNode& pool = node(index);
        const Sliding2d& window = pool.window;
        if (pool.operation != Operation::pool || !pool.max || pool.adaptive) return false;
        const Map& from = value(pool.inputs[0]).map;
        return window.kernel_y == 2 && window.kernel_x == 2 && window.stride_y == 2 && window.stride_x == 2 &&
               window.padding_y == 0 && window.padding_x == 0 && pool.height == from.height / 2 &&
               pool.width == from.width / 2;
    }

    // Whether pooling or dropout follows the value and nothing else.
    bool starts_block(ptrdiff_t index) {
        const ptrdiff_t next = only_reader(index);
        return next >= 0 && (pools_by_two(next) || drops_elements(node(next)));
    }

    void add_step(ptrdiff_t index) {
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

    void check(ptrdiff_t offset, ptrdiff_t count) const {
        if (offset >= 0 && offset + count > settings_.parameters)
            throw std::invalid_argument("a tensor beyond the parameters");
    }

    static StepKind kind_of(const GraphNode& node) {
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

    void add_convolution(GraphStep& step) {
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

    void add_batch_norm(GraphStep& step) {
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
    void start_block(GraphStep& step, ptrdiff_t index) {
        if (only_reader(step.inputs[0]) != index) return;
        step.kind = StepKind::block;
        step.block.relu = is_relu(step.node);
        step.block.pool = !step.block.relu;
        absorb_rest(step);
        add_norm(step);
    }

    void absorb(GraphStep& step, ptrdiff_t next) {
        absorbed_[next] = true;
        step.output = next + 1;
    }

    // ReLU, pooling and dropout. ReLU before pooling is ReLU after it, and so are the gradients.
    void absorb_rest(GraphStep& step) {
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

    void add_norm(GraphStep& step) {
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

    void set_stages() {
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
    static bool fits(const GraphNode& node) {
        const Sliding2d& window = node.window;
        const ptrdiff_t kernel = window.kernel_y, padding = window.padding_y;
        return node.groups == 1 && one_step(window) && kernel == window.kernel_x &&
               padding == window.padding_x &&
               ((kernel == 1 && padding == 0) || (kernel == 3 && (padding == 0 || padding == 1)) ||
                (kernel == 5 && padding <= 2));
    }

    // Whether the kernel covers the whole map, as a linear layer.
    bool covers(const GraphNode& node) {
        const Sliding2d& window = node.window;
        const Map& map = value(node.inputs[0]).map;
        return node.groups == 1 && window.kernel_y == map.height && window.kernel_x == map.width &&
               node.height == 1 && node.width == 1 && window.padding_y == 0 && window.padding_x == 0 &&
               window.dilation_y == 1 && window.dilation_x == 1;
    }

    void set_frames() {
        for (const GraphStep& step : plan_.steps) {
            if (!is_convolution(step) || covers(step.node)) continue;
            const Sliding2d& window = step.node.window;
            Map& in = value(step.inputs[0]).map;
            in.frame_y = std::max(in.frame_y, window.padding_y);
            in.frame_x = std::max(in.frame_x, window.padding_x);
            // The backward pass is a convolution over the output's gradient, which it reads this far beyond
            // the sides. Above and below, it skips rows instead.
            if (!value(step.inputs[0]).differentiable) continue;
            Map& out = value(step.output).map;
            out.frame_x = std::max(out.frame_x, gradient_frame(window, in.width, out.width));
        }
    }

    void plan_convolution(GraphStep& step) {
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
        own.general =
            kernels_.operations().convolution(value(step.inputs[0]).map, out, window, step.node.groups);
    }

    // Whether a step may write over its first input, which no one else reads: nor does the backward pass.
    bool works_in_place(const GraphStep& step) {
        const GraphValue &in = value(step.inputs[0]), &out = value(step.output);
        if (only_reader(step.inputs[0]) < 0 || in.stage != step.stage ||
            in.differentiable != out.differentiable)
            return false;
        const auto producer = std::ranges::find(plan_.steps, step.inputs[0], &GraphStep::output);
        if (producer == plan_.steps.end() || reads_output(*producer)) return false;
        switch (step.kind) {
            case StepKind::function:
                return gradient_from_output(step.node);
            case StepKind::dropout:
            case StepKind::scale:
                return true;
            case StepKind::add:
                return !broadcast_to(in.map, out.map);
            default:
                return false;
        }
    }

    // Give values that are computed in place one memory, in one frame.
    void join_in_place() {
        std::vector<const GraphStep*> joined;
        for (GraphStep& step : plan_.steps) {
            // Any term of a sum may be the one that it is written over.
            for (size_t i = 1; step.kind == StepKind::add && i < step.inputs.size(); ++i) {
                if (works_in_place(step)) break;
                std::swap(step.inputs[0], step.inputs[i]);
            }
            if (works_in_place(step)) joined.push_back(&step);
        }
        const auto share = [&](const GraphStep& step) {
            Map &in = value(step.inputs[0]).map, &out = value(step.output).map;
            in.frame_y = out.frame_y = std::max(in.frame_y, out.frame_y);
            in.frame_x = out.frame_x = std::max(in.frame_x, out.frame_x);
        };
        for (const GraphStep* step : joined) share(*step);  // the largest frame reaches the last value
        for (auto step = joined.rbegin(); step != joined.rend(); ++step) share(**step);
        for (const GraphStep* step : joined) value(step->output).storage = value(step->inputs[0]).storage;
    }

    // A reshape of a map that no one else reads is the same memory, too, if neither has a frame.
    void join_reshapes() {
        for (const GraphStep& step : plan_.steps) {
            const GraphValue &from = value(step.inputs[0]), &to = value(step.output);
            const Map &in = from.map, &out = to.map;
            if (step.kind != StepKind::reshape || only_reader(step.inputs[0]) < 0 ||
                in.frame_x + in.frame_y + out.frame_x + out.frame_y > 0)
                continue;
            const ptrdiff_t before = from.storage, after = to.storage;
            const bool shared = std::ranges::any_of(shared_, [&](const auto& pair) {
                return std::ranges::any_of(std::array{pair.first, pair.second}, [&](ptrdiff_t storage) {
                    return storage == before || storage == after;
                });
            });
            if (shared) continue;
            const bool read = std::ranges::any_of(plan_.steps, [&](const GraphStep& other) {
                return value(other.output).storage == before && reads_output(other);
            });
            const bool overwritten = std::ranges::any_of(plan_.values, [&](const GraphValue& other) {
                return &other != &to && other.storage == after;
            });
            if (read && overwritten) continue;
            for (GraphValue& other : plan_.values)
                if (other.storage == after) other.storage = before;
        }
    }

    // What convolutions and the norms after them do for each other.
    void link_norms() {
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
    void count_uses() {
        for (GraphNorm& norm : plan_.norms)
            for (GraphNorm& other : plan_.norms)
                if (other.settings.running_mean == norm.settings.running_mean) {
                    ++norm.uses;
                    norm.use += &other <= &norm;
                }
    }

    void mark_live() {
        value(plan_.output).live = true;
        for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
            step->live = value(step->output).live;
            if (!step->live) continue;
            for (const ptrdiff_t input : step->inputs) value(input).live = true;
        }
    }

    // A part of the backward pass, for a group of images: the gradients of a step's inputs, or of its
    // tensors, or both.
    struct BackwardTask {
        GraphStep* step;
        bool inputs, tensors;
    };

    // All parts in their order: stage by stage from the last one, first BatchNorm's gradients of the values
    // of that stage, then the steps in it.
    std::vector<BackwardTask> backward_order() {
        std::vector<BackwardTask> order;
        for (ptrdiff_t stage = plan_.stages - 1; stage >= 0; --stage) {
            for (auto norm = plan_.norms.rbegin(); norm != plan_.norms.rend(); ++norm) {
                GraphStep& step = plan_.steps[norm->step];
                if (step.live && plan_.barrier(step) && value(norm->value).stage == stage)
                    order.push_back({.step = &step, .inputs = true, .tensors = false});
            }
            for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step)
                if (step->live && step->stage == stage)
                    order.push_back({.step = &*step, .inputs = !plan_.barrier(*step), .tensors = true});
        }
        return order;
    }

    // A sum's gradient is that of each of its terms. Where a term has readers before the sum (the way around
    // some layers), their gradients are added to the sum's own memory, once no one needs the sum's any more.
    void share_gradients() {
        const std::vector<BackwardTask> order = backward_order();
        for (ptrdiff_t sum = 0; sum < std::ssize(order); ++sum) {
            const GraphStep& step = *order[sum].step;
            if (step.kind != StepKind::add) continue;
            for (const ptrdiff_t term : step.inputs)
                if (shares_gradient(order, sum, term)) {
                    shared_[storage_of(term)] = storage_of(step.output);
                    share_frames(gradient_storage_of(term));
                    break;
                }
        }
    }

    bool shares_gradient(const std::vector<BackwardTask>& order, ptrdiff_t sum, ptrdiff_t term) {
        const GraphStep& step = *order[sum].step;
        const ptrdiff_t own = gradient_storage_of(term), shared = gradient_storage_of(step.output);
        const GraphValue &from = value(term), &to = value(step.output);
        if (own == shared || !from.differentiable || broadcast_to(from.map, to.map) ||
            std::ranges::count(step.inputs, term) > 1 || own == gradient_storage_of(plan_.output))
            return false;
        bool met = false;  // whether the term's gradient has been more than the sum's
        for (ptrdiff_t i = 0; i < std::ssize(order); ++i) {
            const auto& [task, inputs, tensors] = order[i];
            const bool reads = gradient_storage_of(task->output) == shared;
            const bool meets = gradient_storage_of(task->output) == own ||
                               (i != sum && inputs && writes_gradient(*task, own));
            if (i <= sum && meets) return false;
            if (i <= sum) continue;
            if (inputs && writes_gradient(*task, shared)) return false;
            if (reads && (met || changes_gradient(*task))) return false;
            met |= meets;
        }
        return true;
    }

    // Whether a step writes or adds to a gradient of an input that has this memory, not its output's own.
    bool writes_gradient(const GraphStep& step, ptrdiff_t storage) {
        return std::ranges::any_of(step.inputs, [&](ptrdiff_t input) {
            return gradient_storage_of(input) == storage && storage_of(input) != storage_of(step.output);
        });
    }

    ptrdiff_t storage_of(ptrdiff_t index) { return value(index).storage; }

    // Whether a step's backward pass writes over its output's gradient.
    static bool changes_gradient(const GraphStep& step) {
        switch (step.kind) {
            case StepKind::tuned:
            case StepKind::general:
                return step.convolution.relu;
            case StepKind::block:
                return step.block.dropout_threshold > 0;
            case StepKind::norm:
                return step.after.has_value();
            case StepKind::pool:
            case StepKind::add:
                return false;
            default:
                return true;
        }
    }

    ptrdiff_t gradient_storage_of(ptrdiff_t index) {
        ptrdiff_t storage = storage_of(index);
        while (shared_.contains(storage)) storage = shared_[storage];
        return storage;
    }

    // All values whose gradients have this memory get one frame.
    void share_frames(ptrdiff_t storage) {
        ptrdiff_t frame_y = 0, frame_x = 0;
        for (int round = 0; round < 2; ++round)  // the first finds the largest
            for (ptrdiff_t i = 0; i < std::ssize(plan_.values); ++i) {
                if (gradient_storage_of(i) != storage) continue;
                value(i).map.frame_y = frame_y = std::max(frame_y, value(i).map.frame_y);
                value(i).map.frame_x = frame_x = std::max(frame_x, value(i).map.frame_x);
            }
    }

    // Who writes a gradient first.
    void order_gradients() {
        std::set<ptrdiff_t> gradients{storage_of(plan_.output)}, tensors;
        for (const BackwardTask& task : backward_order()) {
            GraphStep& step = *task.step;
            if (task.inputs)
                for (const ptrdiff_t input : step.inputs)
                    step.add.push_back(!gradients.insert(storage_of(input)).second);
            if (!task.tensors) continue;
            for (TensorUse* use : {&step.weight, &step.bias})
                if (*use) use->add = !tensors.insert(use->offset).second;
        }
    }

    void place_values() {
        const ptrdiff_t last = plan_.stages - 1;
        for (ptrdiff_t root = 0; root < std::ssize(plan_.values); ++root) {
            if (value(root).storage != root) continue;
            bool later = false, saved = false, gradient_later = false, overwritten = true;
            ptrdiff_t readers = 0;
            for (const GraphStep& step : plan_.steps) {
                if (value(step.output).storage == root) {
                    saved |= step.live && reads_output(step);
                    overwritten &= !reads_output(step);
                    gradient_later |= plan_.barrier(step);
                    if (value(step.inputs[0]).storage == root) continue;  // a joined reshape
                }
                for (const ptrdiff_t input : step.inputs) {
                    if (value(input).storage != root) continue;
                    ++readers;
                    later |= step.stage > value(root).stage;
                    saved |= step.live && reads_inputs(step);
                    gradient_later |= step.live && !plan_.barrier(step) && step.stage > value(root).stage;
                    overwritten &= is_convolution(step);
                }
            }
            GraphValue& own = value(root);
            if (value(plan_.output).storage == root) {  // the loss follows the last stage
                later |= own.stage < last;
                gradient_later |= own.stage < last;
            }
            own.place = later || (saved && own.stage < last) ? Place::group : Place::thread;
            if (!own.live || !own.differentiable) continue;
            own.gradient_place = gradient_later ? Place::group : Place::thread;
            // A convolution needs its input no longer when it computes the input's gradient; the loss writes
            // its gradient over the output.
            const bool output = value(plan_.output).storage == root;
            own.gradient_in_place = overwritten && own.place == own.gradient_place &&
                                    (output ? readers == 0 : readers == 1 && own.place == Place::group);
        }
        place_shared_gradients();
    }

    void place_shared_gradients() {
        for (ptrdiff_t i = 0; i < std::ssize(plan_.values); ++i)
            value(i).gradient_storage = gradient_storage_of(i);
        for (const auto& [from, to] : shared_) {
            GraphValue &own = value(from), &memory = value(own.gradient_storage);
            own.gradient_in_place = memory.gradient_in_place = false;
            if (own.gradient_place == Place::group) memory.gradient_place = Place::group;
        }
    }

    void size_threads() {
        const ptrdiff_t groups = max_groups(settings_, kernels_);
        plan_.rows = std::min(
            groups, std::max(MIN_ROWS, PARTIAL_FLOATS / std::max<ptrdiff_t>(1, settings_.parameters)));
        for (const GraphStep& step : plan_.steps) {
            const Map& in = value(step.inputs[0]).map;
            plan_.channels =
                std::max({plan_.channels, step.node.channels, in.channels * in.height * in.width});
            const Map& out = value(step.output).map;
            if (step.kind == StepKind::dropout || step.block.dropout_threshold > 0)
                plan_.dropout_elements =
                    std::max(plan_.dropout_elements, out.channels * out.height * out.width);
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
                plan_.scratch =
                    std::max({plan_.scratch, own.general.scratch, own.general.input_gradient_scratch,
                              own.general.weight_gradient_scratch});
            }
        }
        plan_.scratch = whole_lines(plan_.scratch);
        plan_.temporary = whole_lines(plan_.temporary);
    }

    const GraphSettings& settings_;
    const Kernels& kernels_;
    std::vector<bool> absorbed_;
    std::vector<std::vector<ptrdiff_t>> readers_;  // of each value: the nodes
    std::map<ptrdiff_t, ptrdiff_t> shared_;        // storages whose gradients lie in another one's
    GraphPlan plan_;
};

}  // namespace

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
