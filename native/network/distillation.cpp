// Distillation: soft targets from teachers, which are networks in evaluation.

#include <algorithm>

#include "network/trained_network.h"

namespace under20k {

void TrainedNetwork::learn_from(std::vector<std::unique_ptr<TrainedNetwork>> teachers, double temperature,
                                double fraction) {
    for (auto& teacher : teachers) teacher->pack_for_evaluation(teacher->weights());
    teachers_ = std::move(teachers);
    temperature_ = temperature;
    teacher_fraction_ = fraction;
}

// The mean of the teachers' softmax at the temperature, kept in `memory`; empty without teachers.
SoftTargets TrainedNetwork::soft_targets(const ImageSource& source, const GroupTask& task,
                                         Span<double> memory) {
    SoftTargets targets{.probabilities = {}, .temperature = temperature_, .fraction = teacher_fraction_};
    if (teachers_.empty()) return targets;
    const ptrdiff_t values = task.group.valid_lanes * CLASSES;
    std::fill_n(memory.data, values, 0.0);
    for (const auto& teacher : teachers_) {
        float logits[MAX_LANES * CLASSES];
        // A teacher has memory for one group on each thread.
        const GroupTask own{.group = task.group, .index = task.thread, .thread = task.thread};
        teacher->evaluate(source, own, {logits, values});
        kernels_.add_soft_targets({logits, values}, temperature_, 1 / static_cast<double>(teachers_.size()),
                                  memory.part(0, values));
    }
    targets.probabilities = memory.part(0, values);
    return targets;
}

}  // namespace under20k
