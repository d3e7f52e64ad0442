#include "network.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "image_network.h"

namespace under20k {

namespace {

constexpr double EPSILON = 1e-5;            // BatchNorm's, as PyTorch has it by default
constexpr double RUNNING_MOMENTUM = 0.1;
constexpr double FAR = 8;                   // standard deviations from a pivot to the mean
constexpr int CHANNEL_ARRAYS = 9;
constexpr int MOST_LANES = 64;             // of any instruction set
constexpr int64_t FEW = 2;                  // a group takes longer than images alone up to this part of its lanes
constexpr ptrdiff_t UPDATE_CHUNK = 1024;    // parameters

uint32_t mix(uint32_t value) {
    value = (value ^ (value >> 16)) * 0x7FEB352Du;
    return (value ^ (value >> 15)) * 0x846CA68Bu;
}

int slots(const Settings& settings, const Kernels& kernels) {
    const int64_t groups = (settings.batch_size + kernels.lanes - 1) / kernels.lanes;
    // Evaluation works in the same memory, each thread in a slot of its own.
    return static_cast<int>(std::max<int64_t>(groups, settings.threads));
}

// A layer's convolutions: from its input to z, in training and in evaluation, and from z's gradient to its input's.
struct Convolutions {
    Convolution forward, evaluation, backward;

    // Floats that the packed weights take on the way there.
    ptrdiff_t packed() const { return std::max(forward.packed, evaluation.packed); }

    // Floats of scratch that a thread needs for any.
    ptrdiff_t scratch() const {
        return std::max({forward.scratch, forward.gradient_scratch, evaluation.scratch, backward.scratch});
    }
};

Convolutions convolutions(const Kernels& kernels, const Geometry& g, const Layer& layer, bool bf16) {
    return {kernels.convolution(layer.kernel, layer.padding, g.input, g.z, bf16),
            kernels.convolution(layer.kernel, layer.padding, g.input, g.z, false),
            kernels.convolution(layer.kernel, layer.kernel - 1 - layer.padding, g.z, g.input, bf16)};
}

// How many weights a layer has, if they are the next layer's, too; otherwise 0.
ptrdiff_t shared_weights(const Settings& settings, size_t index, const Geometry& g) {
    const Layer& layer = settings.layers[index];
    if (index + 1 == settings.layers.size() || settings.layers[index + 1].weight != layer.weight) return 0;
    return static_cast<ptrdiff_t>(layer.channels) * g.input.channels * layer.kernel * layer.kernel;
}

// The two sums of one channel, over all groups' [2][channels].
std::pair<double, double> channel_sums(const float* sums, int channels, int channel, int groups) {
    double first = 0, second = 0;
    for (int slot = 0; slot < groups; ++slot, sums += 2 * static_cast<ptrdiff_t>(channels)) {
        first += static_cast<double>(sums[channel]);
        second += static_cast<double>(sums[channels + channel]);
    }
    return {first, second};
}

// Calls the given function if some time has passed since the last time.
class Pacer {
public:
    explicit Pacer(const Poll& poll) : poll_(poll) {}

    void operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < std::chrono::milliseconds(100)) return;
        last_ = now;
        poll_();
    }

private:
    const Poll& poll_;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

std::vector<Geometry> geometries(const Settings& settings) {
    std::vector<Geometry> all;
    Map out{1, SIDE, SIDE, 0, 0};
    for (size_t i = 0; i < settings.layers.size(); ++i) {
        const Layer& layer = settings.layers[i];
        const bool head = i + 1 == settings.layers.size();
        if (head && settings.pool_first) out = {out.channels, 1, 1, 0, 0};
        Geometry g{};
        g.input = {out.channels, out.height, out.width, layer.padding, layer.padding};
        const int shrink = layer.kernel - 1 - 2 * layer.padding;
        // The way back is a convolution over z's gradient, which it reads so far beyond the sides. Above and
        // below it skips instead.
        const int frame_x = i == 0 ? 0 : layer.kernel - 1 - layer.padding;
        g.z = {layer.channels, out.height - shrink, out.width - shrink, 0, frame_x};
        g.out = {layer.channels, g.z.height, g.z.width, 0, 0};
        if (layer.pool) {
            g.out.height /= 2;
            g.out.width /= 2;
        }
        out = g.out;
        all.push_back(g);
    }
    // A block writes where the next one reads.
    for (size_t i = 0; i + 1 < all.size(); ++i)
        if (!(i + 2 == all.size() && settings.pool_first)) all[i].out = all[i + 1].input;
    return all;
}

Network::~Network() = default;

double network_bytes(const Settings& settings, const Kernels& kernels) {
    double slot_floats = static_cast<double>(settings.parameters), own = 3.0 * static_cast<double>(settings.parameters);
    double scratch = 0;
    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        const Geometry& g = all[i];
        const Convolutions convs = convolutions(kernels, g, settings.layers[i], settings.bf16);
        slot_floats += static_cast<double>(g.input.size() + g.z.size()) * kernels.lanes + 2.0 * g.z.channels;
        if (i + 2 == all.size() && settings.pool_first) slot_floats += static_cast<double>(g.out.size()) * kernels.lanes;
        scratch = std::max(scratch, static_cast<double>(convs.scratch()));
        own += static_cast<double>(convs.packed() + convs.backward.packed + g.out.size());
        own += static_cast<double>(shared_weights(settings, i, g)) * settings.threads;
    }
    return 4 * (slot_floats * slots(settings, kernels) + scratch * settings.threads + own) +
           image_network_bytes(settings, kernels);
}

Network::Network(const Settings& settings, const Kernels& kernels)
    : settings_(settings), kernels_(kernels), pool_(settings.threads), slots_(slots(settings, kernels)) {
    const auto floats = static_cast<size_t>(settings.parameters);
    const auto lanes = static_cast<size_t>(kernels.lanes), slots = static_cast<size_t>(slots_);
    weights_ = zeroed(floats);
    if (settings.momentum > 0) momentum_ = zeroed(floats);
    if (settings.averages) average_ = zeroed(floats);
    partial_ = zeroed(floats * slots);

    const auto all = geometries(settings);
    for (size_t i = 0; i < all.size(); ++i) {
        const Geometry& g = all[i];
        const Layer& layer = settings.layers[i];
        const Convolutions own = convolutions(kernels, g, layer, settings.bf16);
        const auto channels = static_cast<size_t>(layer.channels);
        Stage stage{};
        stage.layer = layer;
        stage.shared_weights = shared_weights(settings, i, g);
        stage.forward = own.forward;
        stage.evaluation = own.evaluation;
        stage.backward = own.backward;
        stage.packed_forward = zeroed(static_cast<size_t>(own.packed()));
        stage.packed_backward = zeroed(static_cast<size_t>(own.backward.packed));
        stage.input = zeroed(static_cast<size_t>(g.input.size()) * lanes * slots);
        stage.z = zeroed(static_cast<size_t>(g.z.size()) * lanes * slots);
        stage.sums = zeroed(2 * channels * slots);
        stage.own_gradients = zeroed(static_cast<size_t>(stage.shared_weights) * static_cast<size_t>(settings.threads));
        stage.channel_floats = zeroed(CHANNEL_ARRAYS * channels);
        float* next = stage.channel_floats.get();
        for (float** view : {&stage.start, &stage.pivot, &stage.scale, &stage.shift, &stage.inverse_sd, &stage.offset,
                             &stage.a, &stage.b, &stage.c}) {
            *view = next;
            next += channels;
        }
        if (layer.dropout_threshold > 0) {
            const int elements = g.out.channels * g.out.height * g.out.width;
            for (int e = 0; e < elements; ++e) stage.dropout_hashes.push_back(mix(static_cast<uint32_t>(e)));
        }
        stage.activation = {g.z, g.out, layer.pool, stage.scale, stage.shift, layer.dropout_threshold,
                            static_cast<float>(1 / (1 - layer.dropout)), stage.dropout_hashes.data()};
        scratch_size_ = std::max(scratch_size_, static_cast<size_t>(own.scratch()));
        stages_.push_back(std::move(stage));
    }
    int most_channels = 0;
    for (const Geometry& g : all) most_channels = std::max(most_channels, g.input.channels);
    zeros_ = zeroed(static_cast<size_t>(most_channels));
    scratch_ = zeroed(scratch_size_ * static_cast<size_t>(settings.threads));
    if (settings.pool_first) {
        maps_ = all[all.size() - 2].out;
        maps_of_groups_ = zeroed(static_cast<size_t>(maps_.size()) * lanes * slots);
    }
}

float* Network::input_of(Stage& stage, int64_t slot) const {
    return stage.input.get() + stage.forward.input.size() * kernels_.lanes * slot;
}

float* Network::z_of(Stage& stage, int64_t slot) const {
    return stage.z.get() + stage.forward.output.size() * kernels_.lanes * slot;
}

// Where block `index` puts its output, and finds its gradient on the way back.
float* Network::output_of(size_t index, int64_t slot) {
    if (index + 2 == stages_.size() && settings_.pool_first)
        return maps_of_groups_.get() + maps_.size() * kernels_.lanes * slot;
    return input_of(stages_[index + 1], slot);
}

uint32_t Network::layer_key(size_t index, const Batch& batch) const {
    return mix(batch.dropout_seed ^ static_cast<uint32_t>(index));
}

ActivationGradient Network::activation_gradient(const Stage& stage) const {
    return {stage.inverse_sd, stage.offset, stage.a, stage.b, stage.c};
}

EpochOutcome Network::train_epoch(const Epoch& epoch, const OnStep& on_step, const Poll& poll) {
    EpochOutcome outcome{0, 0, -1};
    Pacer pace(poll);
    std::vector<Loss> losses(static_cast<size_t>(slots_));
    const int64_t steps = (epoch.images + settings_.batch_size - 1) / settings_.batch_size;
    const int lanes = kernels_.lanes;

    for (int64_t step = 0; step < steps; ++step) {
        const int64_t first = step * settings_.batch_size;
        const int64_t images = std::min(settings_.batch_size, epoch.images - first);
        const int groups = static_cast<int>((images + lanes - 1) / lanes);
        const auto group_of = [&](int slot) {
            const int64_t offset = static_cast<int64_t>(slot) * lanes;
            return Group{first + offset, static_cast<int>(std::min<int64_t>(lanes, images - offset))};
        };

        pack(weights_.get());
        // Each layer waits for the whole batch before the next: BatchNorm needs its mean and variance.
        for (size_t i = 0; i + 1 < stages_.size(); ++i) {
            pool_.run(groups, [&](int slot, int thread) { forward(i, epoch.batch, group_of(slot), slot, thread); });
            refine_statistics(stages_[i], images);
            normalise(stages_[i], images);
            pace();
        }
        const size_t last = stages_.size() - 1;
        pool_.run(groups, [&](int slot, int thread) {
            const Group group = group_of(slot);
            forward(last, epoch.batch, group, slot, thread);
            losses[static_cast<size_t>(slot)] = head(epoch.batch, group, slot, thread, 1.0f / static_cast<float>(images));
            backward(last, epoch.batch, group, slot, thread);
        });
        double loss = 0;
        for (int slot = 0; slot < groups; ++slot) {
            loss += losses[static_cast<size_t>(slot)].loss;
            outcome.correct += losses[static_cast<size_t>(slot)].correct;
        }
        if (!std::isfinite(loss)) {
            outcome.diverged = step;
            return outcome;
        }
        outcome.loss += loss;
        for (size_t i = last; i-- > 0;) {
            gradient_factors(stages_[i], images, groups);
            pool_.run(groups, [&](int slot, int thread) { backward(i, epoch.batch, group_of(slot), slot, thread); });
            pace();
        }
        update(groups, static_cast<float>(epoch.learning_rates[step]), static_cast<float>(epoch.average_decays[step]));
        on_step(first + images);
    }
    return outcome;
}

// Weights in the order in which the convolutions read them, and the bias that they begin with.
void Network::pack(const float* weights) {
    pool_.run(static_cast<int>(2 * stages_.size()), [&](int task, int) {
        const auto index = static_cast<size_t>(task) / 2;
        Stage& stage = stages_[index];
        const float* own = weights + stage.layer.weight;
        if (task % 2) {
            if (index > 0) kernels_.pack_transposed(stage.backward, own, stage.packed_backward.get());
            return;
        }
        kernels_.pack_weights(stage.forward, own, nullptr, stage.packed_forward.get());
        const Layer& layer = stage.layer;
        for (int c = 0; c < layer.channels; ++c) {
            // BatchNorm takes away any bias, so it is left out here and added to the running mean.
            const float bias = layer.bias < 0 ? 0.0f : weights[layer.bias + c];
            stage.start[c] = layer.batch_norm() ? 0.0f : bias;
            // About the last mean, a variance is not lost in the square of a mean much larger than it.
            stage.pivot[c] = layer.batch_norm() ? weights[layer.running_mean + c] - bias : 0.0f;
        }
    });
}

void Network::forward(size_t index, const Batch& batch, const Group& group, int64_t slot, int thread) {
    Stage& stage = stages_[index];
    float* input = input_of(stage, slot);
    if (index == 0) {
        kernels_.load_images(batch, group, stage.forward.input, input);
    } else {
        Stage& previous = stages_[index - 1];
        float* output = output_of(index - 1, slot);
        kernels_.activate(previous.activation, z_of(previous, slot), output, layer_key(index - 1, batch), group.position);
        if (output != input) kernels_.global_average(maps_, output, input);
    }
    const Statistics statistics{stage.pivot, stage.sums.get() + 2 * stage.layer.channels * slot};
    const bool counted = stage.layer.batch_norm();
    kernels_.convolve(stage.forward, input, stage.packed_forward.get(), stage.start, z_of(stage, slot),
                      counted ? Finish::statistics : Finish::plain, counted ? &statistics : nullptr, group.live,
                      scratch_of_thread(thread));
}

// Squares about a pivot far from the mean lose the variance in their difference. That happens where a running mean
// lags behind; such channels are counted again, about the mean.
void Network::refine_statistics(Stage& stage, int64_t images) {
    const Layer& layer = stage.layer;
    if (!layer.batch_norm()) return;
    const Map& z = stage.forward.output;
    const auto count = static_cast<double>(images) * z.height * z.width;
    const int64_t lanes = kernels_.lanes;
    const int groups = static_cast<int>((images + lanes - 1) / lanes);
    bool lost = false;
    for (int c = 0; c < layer.channels; ++c) {
        const auto [sum, squares] = channel_sums(stage.sums.get(), layer.channels, c, groups);
        const double shifted = sum / count;
        if (!(shifted * shifted > FAR * FAR * (squares / count - shifted * shifted))) continue;
        stage.pivot[c] = static_cast<float>(static_cast<double>(stage.pivot[c]) + shifted);
        lost = true;
    }
    if (!lost) return;
    pool_.run(groups, [&](int slot, int) {
        const int64_t live = std::min(lanes, images - lanes * slot);
        const Statistics statistics{stage.pivot, stage.sums.get() + 2 * layer.channels * static_cast<ptrdiff_t>(slot)};
        kernels_.map_statistics(z, z_of(stage, slot), statistics, static_cast<int>(live));
    });
}

// From the groups' sums to BatchNorm's scale and shift, and on to the running statistics.
void Network::normalise(Stage& stage, int64_t images) {
    const Layer& layer = stage.layer;
    const Map& z = stage.forward.output;
    if (!layer.batch_norm()) {
        std::fill_n(stage.scale, layer.channels, 1.0f);
        std::fill_n(stage.shift, layer.channels, 0.0f);
        return;
    }
    const auto count = static_cast<double>(images) * z.height * z.width;
    const int groups = static_cast<int>((images + kernels_.lanes - 1) / kernels_.lanes);
    float* weights = weights_.get();
    for (int c = 0; c < layer.channels; ++c) {
        const auto [sum, squares] = channel_sums(stage.sums.get(), layer.channels, c, groups);
        const double shifted = sum / count, mean = static_cast<double>(stage.pivot[c]) + shifted;
        // !(≥) rather than max(): a NaN must go on as one.
        const double raw = squares / count - shifted * shifted, variance = raw < 0 ? 0 : raw;
        const double inverse_sd = 1 / std::sqrt(variance + EPSILON);
        const double scale = static_cast<double>(weights[layer.scale + c]) * inverse_sd;
        stage.scale[c] = static_cast<float>(scale);
        stage.shift[c] = static_cast<float>(static_cast<double>(weights[layer.shift + c]) - mean * scale);
        stage.inverse_sd[c] = static_cast<float>(inverse_sd);
        stage.offset[c] = static_cast<float>(-mean * inverse_sd);

        const double bias = layer.bias < 0 ? 0 : static_cast<double>(weights[layer.bias + c]);
        const auto move = [](float& running, double value) {
            running = static_cast<float>((1 - RUNNING_MOMENTUM) * static_cast<double>(running) + RUNNING_MOMENTUM * value);
        };
        move(weights[layer.running_mean + c], mean + bias);
        move(weights[layer.running_variance + c], variance * count / (count - 1));
    }
}

void Network::learn_from(std::vector<std::unique_ptr<Network>> teachers, double temperature, double share) {
    for (auto& teacher : teachers) teacher->pack_for_evaluation(teacher->weights());
    teachers_ = std::move(teachers);
    temperature_ = temperature;
    teachers_share_ = share;
}

// The mean of their answers, [live][CLASSES].
void Network::ask_teachers(const Batch& batch, const Group& group, int thread, double* answers) {
    std::fill_n(answers, group.live * CLASSES, 0.0);
    for (const auto& teacher : teachers_) {
        float logits[MOST_LANES * CLASSES];
        teacher->evaluate(batch, group, thread, logits);
        kernels_.answer(logits, group.live, temperature_, 1 / static_cast<double>(teachers_.size()), answers);
    }
}

Loss Network::head(const Batch& batch, const Group& group, int64_t slot, int thread, float share) {
    Stage& stage = stages_.back();
    double answers[MOST_LANES * CLASSES];
    if (!teachers_.empty()) ask_teachers(batch, group, thread, answers);
    const Teaching teaching{teachers_.empty() ? nullptr : answers, temperature_, teachers_share_};
    uint8_t labels[MOST_LANES];
    for (int lane = 0; lane < group.live; ++lane) {
        const int64_t position = group.position + lane;
        labels[lane] = batch.labels[batch.order ? batch.order[position] : position];
    }
    float* bias_gradient = stage.layer.bias < 0 ? nullptr : partial(slot) + stage.layer.bias;
    return kernels_.loss(stage.forward.output, z_of(stage, slot), labels, teaching, group.live, settings_.label_smoothing, share,
                         bias_gradient);
}

// From the gradient of a layer's output to those of its weights and of the previous layer's output.
void Network::backward(size_t index, const Batch& batch, const Group& group, int64_t slot, int thread) {
    Stage& stage = stages_[index];
    float *input = input_of(stage, slot), *z = z_of(stage, slot);
    if (index + 1 < stages_.size())
        kernels_.activation_gradient(stage.activation, activation_gradient(stage), z, output_of(index, slot), group.live);
    weight_gradient(stage, input, z, partial(slot) + stage.layer.weight, thread);
    if (index == 0) return;
    // The input has served; its place takes its gradient.
    kernels_.convolve(stage.backward, z, stage.packed_backward.get(), zeros_.get(), input, Finish::plain, nullptr, group.live,
                      scratch_of_thread(thread));
    float* output = output_of(index - 1, slot);
    if (output != input) kernels_.global_average_gradient(maps_, input, output);
    gradient_sums(index - 1, batch, group, slot);
}

void Network::weight_gradient(const Stage& stage, const float* input, const float* z, float* gradient, int thread) {
    const ptrdiff_t shared = stage.shared_weights;
    // Of shared weights, the later layer's gradient is there already.
    float* own = shared ? stage.own_gradients.get() + shared * thread : gradient;
    kernels_.weight_gradient(stage.forward, input, z, scratch_of_thread(thread), own);
    for (ptrdiff_t i = 0; i < shared; ++i) gradient[i] += own[i];
}

void Network::gradient_sums(size_t index, const Batch& batch, const Group& group, int64_t slot) {
    Stage& stage = stages_[index];
    const Layer& layer = stage.layer;
    float* sums = stage.sums.get() + 2 * layer.channels * slot;
    kernels_.activation_sums(stage.activation, activation_gradient(stage), z_of(stage, slot), output_of(index, slot),
                             layer_key(index, batch), group.position, sums);
    float* gradients = partial(slot);
    if (layer.batch_norm()) {
        std::copy_n(sums, layer.channels, gradients + layer.shift);
        std::copy_n(sums + layer.channels, layer.channels, gradients + layer.scale);
        // BatchNorm takes a bias before it away again: its gradient is zero.
        if (layer.bias >= 0) std::fill_n(gradients + layer.bias, layer.channels, 0.0f);
    } else if (layer.bias >= 0) {
        std::copy_n(sums, layer.channels, gradients + layer.bias);
    }
}

// BatchNorm's way back, z̄ = scale·(ȳ − mean(ȳ) − normalised·mean(ȳ·normalised)), as a·ȳ + b·z + c.
void Network::gradient_factors(Stage& stage, int64_t images, int groups) {
    const Layer& layer = stage.layer;
    if (!layer.batch_norm()) {
        std::fill_n(stage.a, layer.channels, 1.0f);
        std::fill_n(stage.b, layer.channels, 0.0f);
        std::fill_n(stage.c, layer.channels, 0.0f);
        return;
    }
    const Map& z = stage.forward.output;
    const auto count = static_cast<double>(images) * z.height * z.width;
    for (int c = 0; c < layer.channels; ++c) {
        const auto [sum, product] = channel_sums(stage.sums.get(), layer.channels, c, groups);
        const double scale = static_cast<double>(stage.scale[c]);
        const double slope = scale * product / count;
        stage.a[c] = stage.scale[c];
        stage.b[c] = static_cast<float>(-slope * static_cast<double>(stage.inverse_sd[c]));
        stage.c[c] = static_cast<float>(-scale * sum / count - slope * static_cast<double>(stage.offset[c]));
    }
}

void Network::update(int groups, float learning_rate, float average_decay) {
    struct Task {
        Range range;
        ptrdiff_t begin, end;
    };
    std::vector<Task> tasks;
    for (const Range& range : settings_.ranges)
        for (ptrdiff_t begin = range.begin; begin < range.end; begin += UPDATE_CHUNK)
            tasks.push_back({range, begin, std::min<ptrdiff_t>(begin + UPDATE_CHUNK, range.end)});
    const PartialGradients gradients{partial_.get(), groups, settings_.parameters};
    pool_.run(static_cast<int>(tasks.size()), [&](int index, int) {
        const Task& task = tasks[static_cast<size_t>(index)];
        if (task.range.trained) {
            const Optimiser sgd{settings_.momentum, task.range.decayed ? settings_.weight_decay : 0.0f, settings_.nesterov};
            kernels_.update(sgd, gradients, learning_rate, task.begin, task.end, weights_.get(), momentum_.get());
        }
        if (average_) kernels_.average(average_decay, task.begin, task.end, weights_.get(), average_.get());
    });
}

void fold(const Layer& layer, const float* weights, float* factors, float* bias) {
    for (int c = 0; c < layer.channels; ++c) {
        double constant = layer.bias < 0 ? 0 : static_cast<double>(weights[layer.bias + c]), factor = 1;
        if (layer.batch_norm()) {
            factor = static_cast<double>(weights[layer.scale + c]) /
                     std::sqrt(static_cast<double>(weights[layer.running_variance + c]) + EPSILON);
            constant = (constant - static_cast<double>(weights[layer.running_mean + c])) * factor +
                       static_cast<double>(weights[layer.shift + c]);
        }
        factors[c] = static_cast<float>(factor);
        bias[c] = static_cast<float>(constant);
    }
}

void Network::pack_for_evaluation(const float* weights) {
    std::vector<float> factors;
    for (Stage& stage : stages_) {
        const Layer& layer = stage.layer;
        factors.resize(static_cast<size_t>(layer.channels));
        fold(layer, weights, factors.data(), stage.start);
        kernels_.pack_weights(stage.evaluation, weights + layer.weight, factors.data(), stage.packed_forward.get());
        std::fill_n(stage.scale, layer.channels, 1.0f);
        std::fill_n(stage.shift, layer.channels, 0.0f);
    }
}

void Network::logits(const uint8_t* images, int64_t count, float* out, const Poll& poll) {
    const float* weights = average_ ? average_.get() : weights_.get();
    const int64_t lanes = kernels_.lanes;
    if (count <= lanes / FEW) {
        if (!single_) single_ = std::make_unique<ImageNetwork>(settings_, kernels_);
        single_->pack(weights);
        for (int64_t i = 0; i < count; ++i) single_->logits(images + i * SIDE * SIDE, out + i * CLASSES);
        return;
    }
    pack_for_evaluation(weights);
    const Batch batch{.images = images};
    const int64_t groups = (count + lanes - 1) / lanes;
    Pacer pace(poll);
    constexpr int64_t GROUPS_A_CALL = 256;
    for (int64_t first = 0; first < groups; first += GROUPS_A_CALL) {
        pool_.run(static_cast<int>(std::min(GROUPS_A_CALL, groups - first)), [&](int index, int thread) {
            const int64_t position = (first + index) * lanes;
            const Group group{position, static_cast<int>(std::min(lanes, count - position))};
            evaluate(batch, group, thread, out + position * CLASSES);
        });
        pace();
    }
}

// One group through the whole network, its maps in the caches all the way.
void Network::evaluate(const Batch& batch, const Group& group, int slot, float* out) {
    kernels_.load_images(batch, group, stages_[0].evaluation.input, input_of(stages_[0], slot));
    for (size_t i = 0; i < stages_.size(); ++i) {
        Stage& stage = stages_[i];
        float *input = input_of(stage, slot), *z = z_of(stage, slot);
        if (i + 1 == stages_.size()) {
            kernels_.convolve(stage.evaluation, input, stage.packed_forward.get(), stage.start, z, Finish::plain, nullptr,
                              group.live, scratch_of_thread(slot));
            kernels_.logits(stage.evaluation.output, z, group.live, out);
            return;
        }
        float* output = output_of(i, slot);
        if (stage.layer.pool) {
            kernels_.convolve(stage.evaluation, input, stage.packed_forward.get(), stage.start, z, Finish::plain, nullptr,
                              group.live, scratch_of_thread(slot));
            Activation pooling = stage.activation;
            pooling.dropout_threshold = 0;
            kernels_.activate(pooling, z, output, 0, 0);
        } else {
            // No pooling: the convolution writes ReLU's values where the next one reads them.
            Convolution straight = stage.evaluation;
            straight.output = stage.activation.out;
            kernels_.convolve(straight, input, stage.packed_forward.get(), stage.start, output, Finish::relu, nullptr,
                              group.live, scratch_of_thread(slot));
        }
        if (i + 2 == stages_.size() && settings_.pool_first)
            kernels_.global_average(maps_, output, input_of(stages_.back(), slot));
    }
}

}  // namespace under20k
