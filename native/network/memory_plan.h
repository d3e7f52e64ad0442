// Everything that a network keeps in memory, listed once: what the list sums to is what it allocates.

#pragma once

#include <functional>
#include <string>
#include <vector>

#include "network/layers.h"
#include "network/memory.h"
#include "network/settings.h"

namespace under20k {

class MemoryPlan {
public:
    // Plan an array of `count` values for `memory`, which must outlive the plan.
    template <typename T>
    void add(const std::string& name, ptrdiff_t count, Memory<T>& memory) {
        buffers_.push_back({.name = name,
                            .bytes = count * static_cast<ptrdiff_t>(sizeof(T)),
                            .allocate = [&memory, count] { memory = Memory<T>(count); }});
    }

    struct Buffer {
        std::string name;
        ptrdiff_t bytes;
        std::function<void()> allocate;
    };

    const std::vector<Buffer>& buffers() const { return buffers_; }
    ptrdiff_t bytes() const;
    void allocate() const;

private:
    std::vector<Buffer> buffers_;
};

// Of one layer.
struct LayerMemory {
    Floats packed_forward, packed_backward;
    Floats input;             // [group] maps, framed by the padding; in the backward pass, its gradient
    Floats z;                 // [group] maps, framed for the backward pass; there, its gradient
    Floats sums;              // [group][2][channels]
    Floats shared_gradients;  // [thread] gradients of weights that the next layer has, too
    Floats channels;          // [LAYER_CHANNEL_ARRAYS][channels]
};

// Of any network.
struct TrainingMemory {
    Floats weights, momentum, average;  // momentum and average are empty where the recipe has none
    Floats partial_gradients;           // [row][parameters]
};

struct NetworkMemory {
    std::vector<LayerMemory> layers;
    Floats pooled;   // [group] the last block's output, where global average pooling follows it
    Floats scratch;  // [thread] what a convolution needs while it runs
    Floats zeros;    // the bias of the backward convolutions
    Memory<uint32_t> dropout_hashes;  // of the elements of the largest map with dropout
};

// Arrays of one float a channel: a convolution's initial value and BatchNorm's (batch_norm.h).
constexpr ptrdiff_t LAYER_CHANNEL_ARRAYS = 9;

// Groups of a step. Evaluation works in the same memory, each thread in a group of its own.
ptrdiff_t max_groups(const TrainingSettings& settings, const Kernels& kernels);

// Add the parameters' arrays to a plan, with `rows` of partial gradients.
void plan_training(const TrainingSettings& settings, ptrdiff_t rows, TrainingMemory& memory,
                   MemoryPlan& plan);

// Floats of `scratch` for one thread.
ptrdiff_t scratch_floats(const std::vector<LayerPlan>& layers);

// The plan for a network with these layers.
MemoryPlan plan_memory(const NetworkSettings& settings, const Kernels& kernels,
                       const std::vector<LayerPlan>& layers, TrainingMemory& training, NetworkMemory& memory);

// Bytes that a Network of these settings will allocate.
ptrdiff_t network_bytes(const NetworkSettings& settings, const Kernels& kernels);

}  // namespace under20k
