#include "network/graph_planner.h"

#include <algorithm>
#include <array>
#include <set>

namespace under20k {

namespace {

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

}  // namespace

void Planner::set_frames() {
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

// Whether a step may write over its first input, which no one else reads: nor does the backward pass.
bool Planner::works_in_place(const GraphStep& step) {
    const GraphValue &in = value(step.inputs[0]), &out = value(step.output);
    if (only_reader(step.inputs[0]) < 0 || in.stage != step.stage || in.differentiable != out.differentiable)
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
void Planner::join_in_place() {
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
void Planner::join_reshapes() {
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
        const bool overwritten = std::ranges::any_of(
            plan_.values, [&](const GraphValue& other) { return &other != &to && other.storage == after; });
        if (read && overwritten) continue;
        for (GraphValue& other : plan_.values)
            if (other.storage == after) other.storage = before;
    }
}

// All parts in their order: stage by stage from the last one, first BatchNorm's gradients of the values
// of that stage, then the steps in it.
std::vector<Planner::BackwardTask> Planner::backward_order() {
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
void Planner::share_gradients() {
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

bool Planner::shares_gradient(const std::vector<BackwardTask>& order, ptrdiff_t sum, ptrdiff_t term) {
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
        const bool meets =
            gradient_storage_of(task->output) == own || (i != sum && inputs && writes_gradient(*task, own));
        if (i <= sum && meets) return false;
        if (i <= sum) continue;
        if (inputs && writes_gradient(*task, shared)) return false;
        if (reads && (met || meets || changes_gradient(*task))) return false;
        met |= meets;
    }
    return true;
}

// Whether a step writes or adds to a gradient of an input that has this memory, not its output's own.
bool Planner::writes_gradient(const GraphStep& step, ptrdiff_t storage) {
    return std::ranges::any_of(step.inputs, [&](ptrdiff_t input) {
        return gradient_storage_of(input) == storage && storage_of(input) != storage_of(step.output);
    });
}

// Whether a step's backward pass writes over its output's gradient.
bool Planner::changes_gradient(const GraphStep& step) {
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

ptrdiff_t Planner::gradient_storage_of(ptrdiff_t index) {
    ptrdiff_t storage = storage_of(index);
    while (shared_.contains(storage)) storage = shared_[storage];
    return storage;
}

// All values whose gradients have this memory get one frame.
void Planner::share_frames(ptrdiff_t storage) {
    ptrdiff_t frame_y = 0, frame_x = 0;
    for (int round = 0; round < 2; ++round)  // the first finds the largest
        for (ptrdiff_t i = 0; i < std::ssize(plan_.values); ++i) {
            if (gradient_storage_of(i) != storage) continue;
            value(i).map.frame_y = frame_y = std::max(frame_y, value(i).map.frame_y);
            value(i).map.frame_x = frame_x = std::max(frame_x, value(i).map.frame_x);
        }
}

// Who writes a gradient first.
void Planner::order_gradients() {
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

void Planner::place_values() {
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

void Planner::place_shared_gradients() {
    for (ptrdiff_t i = 0; i < std::ssize(plan_.values); ++i)
        value(i).gradient_storage = gradient_storage_of(i);
    for (const auto& [from, to] : shared_) {
        GraphValue &own = value(from), &memory = value(own.gradient_storage);
        own.gradient_in_place = memory.gradient_in_place = false;
        if (own.gradient_place == Place::group) memory.gradient_place = Place::group;
    }
}

}  // namespace under20k
