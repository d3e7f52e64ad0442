// A chain of layers with its training: the order of things. The arithmetic is in the kernels.
//
// The class is implemented in network.cpp (memory, packing), training.cpp and evaluation.cpp.

#pragma once

#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "network/batch_norm.h"
#include "network/layers.h"
#include "network/memory_plan.h"
#include "network/settings.h"
#include "network/trained_network.h"

namespace under20k {

class SingleImageNetwork;

class Network : public TrainedNetwork {
public:
    Network(const NetworkSettings& settings, const Kernels& kernels);
    ~Network() override;
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

private:
    struct LayerState : LayerPlan {
        LayerState(const LayerPlan& plan, const LayerMemory& memory, Span<const uint32_t> dropout_hashes);

        const LayerMemory& memory;
        ChannelValues channels;
        Activation activation;
    };

    // network.cpp
    Span<float> input_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> z_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> sums_of(const LayerState& layer, ptrdiff_t group) const;
    Span<float> output_of(ptrdiff_t index, ptrdiff_t group) const;
    Span<float> scratch_of(ptrdiff_t thread) const { return memory_.scratch.row(thread, scratch_floats_); }
    Span<float> gradients_of(ptrdiff_t group) const {
        return parameters_.partial_gradients.row(group, settings_.parameters);
    }
    Span<float> weights_of(const LayerState& layer, Span<float> parameters) const;
    bool pooled_after(ptrdiff_t index) const {
        return settings_.pool_first && index + 2 == std::ssize(layers_);
    }

    // training.cpp
    Loss forward_pass(const Batch& batch, Pacer& pace) override;
    void backward_pass(const Batch& batch, Pacer& pace) override;
    void pack();
    void forward(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    void update_statistics(const LayerState& layer, ptrdiff_t images);
    Loss loss(const ImageSource& source, const GroupTask& task, float image_weight);
    void backward(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    void weight_gradient(const LayerState& layer, const GroupTask& task);
    void gradient_sums(ptrdiff_t index, const ImageSource& source, const GroupTask& task);
    StepSums step_sums(const LayerState& layer, ptrdiff_t images) const;

    // evaluation.cpp
    void pack_for_evaluation(Span<const float> weights) override;
    bool logits_of_few(const uint8_t* images, ptrdiff_t count, Span<float> out) override;
    void evaluate(const ImageSource& source, const GroupTask& task, Span<float> out) override;

    NetworkSettings settings_;
    NetworkMemory memory_;
    std::vector<LayerState> layers_;
    ptrdiff_t scratch_floats_ = 0;                      // of one thread
    std::unique_ptr<SingleImageNetwork> single_image_;  // made when first needed
};

}  // namespace under20k
