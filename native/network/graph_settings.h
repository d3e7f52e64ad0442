// What a network is as a graph of operations: Python's Graph (under20k's recipe/graph), as the C++ needs it.

#pragma once

#include <cstdint>
#include <vector>

#include "kernels/operations.h"
#include "network/settings.h"

namespace under20k {

enum class Operation : uint8_t {
    convolution,  // a linear layer is one, too
    batch_norm,
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

// An operation on the values of earlier nodes. Only the fields of its operation count. Offsets are into the
// array of all parameters, −1 for a tensor that is absent.
struct GraphNode {
    Operation operation = Operation::add;
    std::vector<ptrdiff_t> inputs;                  // values: 0 is the image, i + 1 the result of node i
    ptrdiff_t channels = 1, height = 1, width = 1;  // of the result; features (F,) are (F, 1, 1)

    Sliding2d window;           // convolution, pool
    ptrdiff_t groups = 1;       // convolution
    bool max = false;           // pool
    bool count_padding = true;  // pool
    bool adaptive = false;      // pool
    FunctionKind function = FunctionKind::relu;
    double slope = 0;                            // function
    double probability = 0;                      // dropout
    uint32_t dropout_threshold = 0, stream = 0;  // dropout
    bool whole_channels = false;                 // dropout
    double factor = 1, offset = 0;               // scale

    ptrdiff_t weight = -1, bias = -1;  // convolution, batch_norm; prelu has a weight only
    ptrdiff_t slopes = 1;              // prelu: floats of its weight
    ptrdiff_t running_mean = -1, running_variance = -1;
    double momentum = 0.1;  // of the running statistics; below 0 for the mean over all batches so far
    double epsilon = 1e-5;
};

struct GraphSettings : TrainingSettings {
    std::vector<GraphNode> nodes;  // the last one's value is what the loss takes
};

}  // namespace under20k
