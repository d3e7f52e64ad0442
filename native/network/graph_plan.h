// How a graph is computed: its nodes as steps, some of them several nodes fused; the stages between the
// barriers of BatchNorm; and where each value lies.
//
// A stage is what a group of images goes through without waiting for the others, its values in the caches. A
// value's stage is the number of BatchNorms before it. After a stage all groups wait for the statistics of
// its ends.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/operations.h"
#include "network/graph_settings.h"

namespace under20k {

enum class StepKind : uint8_t {
    tuned,    // a convolution that the chains' kernels compute, with ReLU where it follows
    general,  // any other convolution, likewise
    block,    // BatchNorm, ReLU, 2×2 max pooling, dropout: those that follow each other, in one pass
    norm,     // BatchNorm alone, or with the function of each element that follows it
    function,
    prelu,
    pool,
    dropout,
    add,
    multiply,
    concatenate,
    scale,
    reshape,
    softmax,
};

// Whose memory a value or its gradient lies in: a group's, which keeps it from one stage to another, or a
// thread's, where the next group overwrites it.
enum class Place : uint8_t { nowhere, thread, group };

struct GraphValue {
    Map map{};  // in the frame that its readers need
    ptrdiff_t stage = 0;
    bool live = false;            // the output depends on it
    bool differentiable = false;  // it depends on trained parameters
    ptrdiff_t storage = 0;        // the value whose memory it has, often its own
    Place place = Place::thread, gradient_place = Place::nowhere;
    bool gradient_in_place = false;  // the gradient is written over the value
    ptrdiff_t gradient_storage = 0;  // the value whose gradient's memory this one's has, often its storage
};

// A trained tensor where a step uses it.
struct TensorUse {
    ptrdiff_t offset = -1, count = 0;
    bool add = false;  // a later step, whose backward pass comes earlier, has written to its gradient

    explicit operator bool() const { return offset >= 0; }
};

// A convolution as a step.
struct StepConvolution {
    Convolution forward{}, evaluation{}, backward{};  // tuned
    GeneralConvolution general{};
    bool relu = false;            // ReLU follows
    bool masked = false;          // the gradient that comes back is ReLU's already
    bool bias_cancelled = false;  // BatchNorm follows: the bias' gradient is 0
    ptrdiff_t counts = -1;        // the norm whose statistics it counts
    ptrdiff_t through = -1;       // the block that evaluation makes part of the convolution
};

// A block as a step.
struct StepBlock {
    bool relu = false, pool = false, after_relu = false;
    bool folded = false;  // into the convolution before it, in evaluation
    double probability = 0;
    uint32_t dropout_threshold = 0, stream = 0;
};

struct GraphStep {
    StepKind kind{};
    GraphNode node;  // its settings; a block's are its BatchNorm's
    std::vector<ptrdiff_t> inputs;
    ptrdiff_t output = 0;
    ptrdiff_t stage = 0;
    bool live = false;
    std::vector<bool> add;  // for each input: whether there are other terms of its gradient before this one
    TensorUse weight, bias;
    ptrdiff_t norm = -1;            // of a block or a norm
    std::optional<Function> after;  // of a norm: the function that follows
    StepConvolution convolution;
    StepBlock block;

    Function function() const { return {.kind = node.function, .slope = static_cast<float>(node.slope)}; }
    Pooling pooling() const {
        return {.window = node.window,
                .max = node.max,
                .count_padding = node.count_padding,
                .adaptive = node.adaptive};
    }
};

// BatchNorm's part of a step. A block without BatchNorm has one that does nothing.
struct GraphNorm {
    LayerSettings settings{};
    bool cumulative = false;  // running statistics are the mean over all batches
    // In a step, the norms that share the running statistics, and which of them this is, counted from 1.
    ptrdiff_t uses = 0, use = 0;
    ptrdiff_t step = 0;
    ptrdiff_t value = 0;   // what is normalised
    bool counted = false;  // by the convolution before it
};

struct GraphPlan {
    std::vector<GraphValue> values;
    std::vector<GraphStep> steps;
    std::vector<GraphNorm> norms;
    ptrdiff_t stages = 1;
    ptrdiff_t output = 0;                  // the value that the loss takes
    ptrdiff_t rows = 1;                    // of partial gradients: groups that share a row add up in it
    ptrdiff_t scratch = 0, temporary = 0;  // floats of each thread
    ptrdiff_t dropout_elements = 0, channels = 0;  // the most of any step

    bool barrier(const GraphStep& step) const {
        return step.norm >= 0 && norms[step.norm].settings.batch_norm();
    }
};

// Whether a function's gradient follows from its value.
bool gradient_from_output(const GraphNode& node);

// Whether an operand is one number a channel beside a whole map.
inline bool broadcast_to(const Map& operand, const Map& map) {
    return operand.height * operand.width < map.height * map.width;
}

// Throws std::invalid_argument for settings that do not fit each other.
GraphPlan plan_graph(const GraphSettings& settings, const Kernels& kernels);

// Whether tuned kernels compute all convolutions of a graph, so that their products can be in bf16.
bool all_tuned(const GraphPlan& plan);

}  // namespace under20k
