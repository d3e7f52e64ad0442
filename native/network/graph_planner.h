// The making of a plan: nodes become steps (graph_steps.cpp), values and their gradients get their memory
// (graph_memory.cpp), convolutions their kernels (graph_plan.cpp).

#pragma once

#include <map>
#include <vector>

#include "network/graph_plan.h"

namespace under20k {

// Whether a kernel of either kind computes a step's convolution.
inline bool is_convolution(const GraphStep& step) {
    return step.kind == StepKind::tuned || step.kind == StepKind::general;
}

class Planner {
public:
    Planner(const GraphSettings& settings, const Kernels& kernels)
        : settings_(settings), kernels_(kernels), absorbed_(settings.nodes.size()) {}

    GraphPlan plan();

private:
    const GraphNode& node(ptrdiff_t index) const { return settings_.nodes[index]; }
    GraphValue& value(ptrdiff_t index) { return plan_.values[index]; }
    ptrdiff_t storage_of(ptrdiff_t index) { return value(index).storage; }
    ptrdiff_t only_reader(ptrdiff_t index) const;

    // The steps.
    void read_values();
    bool pools_by_two(ptrdiff_t index);
    bool starts_block(ptrdiff_t index);
    void add_step(ptrdiff_t index);
    void check(ptrdiff_t offset, ptrdiff_t count) const;
    static StepKind kind_of(const GraphNode& node);
    void add_convolution(GraphStep& step);
    void add_batch_norm(GraphStep& step);
    void start_block(GraphStep& step, ptrdiff_t index);
    void absorb(GraphStep& step, ptrdiff_t next);
    void absorb_rest(GraphStep& step);
    void add_norm(GraphStep& step);

    // The memory of values and gradients.
    // A part of the backward pass, for a group of images: the gradients of a step's inputs, or of its
    // tensors, or both.
    struct BackwardTask {
        GraphStep* step;
        bool inputs, tensors;
    };

    void set_frames();
    bool works_in_place(const GraphStep& step);
    void join_in_place();
    void join_reshapes();
    std::vector<BackwardTask> backward_order();
    void share_gradients();
    bool shares_gradient(const std::vector<BackwardTask>& order, ptrdiff_t sum, ptrdiff_t term);
    bool writes_gradient(const GraphStep& step, ptrdiff_t storage);
    static bool changes_gradient(const GraphStep& step);
    ptrdiff_t gradient_storage_of(ptrdiff_t index);
    void share_frames(ptrdiff_t storage);
    void order_gradients();
    void place_values();
    void place_shared_gradients();

    // Stages, kernels and norms.
    void set_stages();
    static bool fits(const GraphNode& node);
    bool covers(const GraphNode& node);
    void plan_convolution(GraphStep& step);
    void link_norms();
    void count_uses();
    void mark_live();
    void size_threads();

    const GraphSettings& settings_;
    const Kernels& kernels_;
    std::vector<bool> absorbed_;
    std::vector<std::vector<ptrdiff_t>> readers_;  // of each value: the nodes
    std::map<ptrdiff_t, ptrdiff_t> shared_;        // storages whose gradients lie in another one's
    GraphPlan plan_;
};

}  // namespace under20k
