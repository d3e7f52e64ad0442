// Training, as far as it is the same for all networks: epochs, the loss of a group, the update of the
// weights.

#include "network/trained_network.h"

#include <algorithm>
#include <cmath>

namespace under20k {

namespace {

constexpr ptrdiff_t UPDATE_CHUNK = 1024;       // parameters
constexpr ptrdiff_t MAX_GROUPS_A_ROUND = 256;  // so that `poll` is called now and then

}  // namespace

TrainedNetwork::TrainedNetwork(const TrainingSettings& settings, const Kernels& kernels)
    : kernels_(kernels), pool_(settings.threads), training_(settings) {
    losses_.resize(static_cast<size_t>(max_groups(settings, kernels)));
}

TrainedNetwork::~TrainedNetwork() = default;

EpochOutcome TrainedNetwork::train_epoch(const Epoch& epoch, const OnStep& on_step, const Poll& poll) {
    EpochOutcome outcome{.loss = 0, .correct = 0, .diverged = -1};
    Pacer pace(poll);
    for (ptrdiff_t step = 0; step < steps(epoch.images); ++step) {
        const ptrdiff_t first = step * training_.batch_size;
        const Batch batch{.source = epoch.source,
                          .first = first,
                          .images = std::min(training_.batch_size, epoch.images - first),
                          .step = epoch.first_step + step};
        const Loss loss = forward_pass(batch, pace);
        outcome.correct += loss.correct;
        if (!std::isfinite(loss.loss)) {
            outcome.diverged = step;
            return outcome;
        }
        outcome.loss += loss.loss;
        backward_pass(batch, pace);
        update(gradient_rows(groups_of(batch.images)), static_cast<float>(epoch.learning_rates[step]),
               static_cast<float>(epoch.average_decays[step]));
        on_step(first + batch.images);
    }
    return outcome;
}

TrainedNetwork::GroupTask TrainedNetwork::task_of(ptrdiff_t first, ptrdiff_t images, ptrdiff_t group,
                                                  ptrdiff_t thread) const {
    const ptrdiff_t offset = group * kernels_.lanes;
    return {.group = {.position = first + offset, .valid_lanes = std::min(kernels_.lanes, images - offset)},
            .index = group,
            .thread = thread};
}

Loss TrainedNetwork::loss_of(const ImageSource& source, const GroupTask& task, float image_weight,
                             const Map& map, Span<float> z, Span<float> bias_gradient) {
    double probabilities[MAX_LANES * CLASSES];
    const SoftTargets targets = soft_targets(source, task, {probabilities, MAX_LANES * CLASSES});
    uint8_t labels[MAX_LANES];
    const ptrdiff_t valid_lanes = task.group.valid_lanes;
    for (ptrdiff_t lane = 0; lane < valid_lanes; ++lane)
        labels[lane] = source.labels[source.image_at(task.group.position + lane)];
    return kernels_.loss(map, z, {labels, valid_lanes}, targets, training_.label_smoothing, image_weight,
                         bias_gradient);
}

Loss TrainedNetwork::total_loss(ptrdiff_t groups) const {
    Loss total{.loss = 0, .correct = 0};
    for (ptrdiff_t group = 0; group < groups; ++group) {
        total.loss += losses_[group].loss;
        total.correct += losses_[group].correct;
    }
    return total;
}

void TrainedNetwork::logits(const uint8_t* images, ptrdiff_t count, Span<float> out, const Poll& poll) {
    if (logits_of_few(images, count, out)) return;
    pack_for_evaluation(evaluated_weights());
    const ImageSource source{.images = images};
    const ptrdiff_t groups = groups_of(count);
    Pacer pace(poll);
    for (ptrdiff_t first = 0; first < groups; first += MAX_GROUPS_A_ROUND) {
        pool_.run(std::min(MAX_GROUPS_A_ROUND, groups - first), [&](ptrdiff_t index, ptrdiff_t thread) {
            GroupTask task = task_of(0, count, first + index, thread);
            task.index = thread;
            evaluate(source, task, out.part(task.group.position * CLASSES, task.group.valid_lanes * CLASSES));
        });
        pace();
    }
}

void TrainedNetwork::update(ptrdiff_t rows, float learning_rate, float average_decay) {
    struct Chunk {
        const ParameterRange& range;
        ptrdiff_t begin, size;
    };
    std::vector<Chunk> chunks;
    for (const ParameterRange& range : training_.ranges)
        for (ptrdiff_t begin = range.begin; begin < range.end; begin += UPDATE_CHUNK)
            chunks.push_back(
                {.range = range, .begin = begin, .size = std::min(UPDATE_CHUNK, range.end - begin)});
    pool_.run(std::ssize(chunks), [&](ptrdiff_t index, ptrdiff_t) {
        const auto& [range, begin, size] = chunks[index];
        const Span<float> weights = parameters_.weights.all().part(begin, size);
        if (range.trained) {
            const Optimiser sgd{.momentum = training_.momentum,
                                .weight_decay = range.decayed ? training_.weight_decay : 0.0f,
                                .nesterov = training_.nesterov};
            const PartialGradients gradients{.values = parameters_.partial_gradients.all().from(begin),
                                             .groups = rows,
                                             .row = training_.parameters};
            Span<float> momentum;
            if (parameters_.momentum.all()) momentum = parameters_.momentum.all().part(begin, size);
            kernels_.update(sgd, gradients, learning_rate, weights, momentum);
        }
        if (training_.averages)
            kernels_.average(average_decay, weights, parameters_.average.all().part(begin, size));
    });
}

}  // namespace under20k
