// Single kernels for tests/native, on NumPy arrays: in test builds (UNDER20K_WIDE) only, as _native.kernels.
//
// Arrays of a group are (images, channels, rows, columns). Lanes that an array does not fill hold a large
// number, which must reach no result.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/test_arrays.h"
#include "network/batch_norm.h"
#include "network/memory.h"

using namespace nb::literals;

namespace under20k {

namespace {

// z of a convolution, framed for the backward pass.
Map z_map(ptrdiff_t outputs, const Map& input, ptrdiff_t kernel, ptrdiff_t padding) {
    return {.channels = outputs,
            .height = input.height + 2 * padding - kernel + 1,
            .width = input.width + 2 * padding - kernel + 1,
            .frame_y = 0,
            .frame_x = kernel - 1 - padding};
}

std::string method_name(Method method) {
    const char* names[] = {"direct", "winograd", "transposed", "bf16"};
    return names[static_cast<int>(method)];
}

std::tuple<std::string, std::string, std::string> methods(const std::string& isa, ptrdiff_t kernel,
                                                          ptrdiff_t padding, ptrdiff_t inputs,
                                                          ptrdiff_t outputs, ptrdiff_t side, bool bf16) {
    const Kernels& kernels = choose_kernels(isa);
    const Map input{
        .channels = inputs, .height = side, .width = side, .frame_y = padding, .frame_x = padding};
    const Map z = z_map(outputs, input, kernel, padding);
    const Convolution forward = kernels.convolution(kernel, padding, input, z, bf16);
    const Convolution backward = kernels.convolution(kernel, kernel - 1 - padding, z, input, bf16);
    return {method_name(forward.forward), method_name(backward.forward), method_name(forward.gradient)};
}

nb::tuple convolve(const std::string& isa, const Maps& input, const Maps& weights, const Values& bias,
                   ptrdiff_t padding, bool bf16, const std::string& finish,
                   const std::optional<Values>& scale, const std::optional<Values>& pivot) {
    const Kernels& kernels = choose_kernels(isa);
    const ptrdiff_t outputs = extent(weights, 0), kernel = extent(weights, 2), images = extent(input, 0);
    const GroupMap in(kernels, map_of(input, padding, padding));
    const GroupMap out(kernels, z_map(outputs, in.map, kernel, padding));
    in.load(input, INVALID);
    const Convolution conv = kernels.convolution(kernel, padding, in.map, out.map, bf16);
    const Floats packed(conv.packed), scratch(conv.scratch), sums(2 * outputs);
    kernels.pack_weights(conv, span(weights), span(scale), packed.all());
    Epilogue epilogue{.finish = finish == "relu" ? Finish::relu : Finish::plain};
    if (pivot)
        epilogue = {.finish = finish == "relu" ? Finish::relu_statistics : Finish::statistics,
                    .statistics = {.pivot = span(pivot), .sums = sums.all(), .valid_lanes = images}};
    kernels.convolve(conv, in.values.all(), packed.all(), span(bias), out.values.all(), epilogue,
                     scratch.all());
    return nb::make_tuple(out.array(images), result<float>(sums.all(), {2, outputs}));
}

// Added to `before`, where that is given.
Result<float> input_gradient(const std::string& isa, const Maps& z_gradient, const Maps& weights,
                             ptrdiff_t padding, bool bf16, const std::optional<Maps>& before) {
    const Kernels& kernels = choose_kernels(isa);
    const ptrdiff_t inputs = extent(weights, 1), kernel = extent(weights, 2), images = extent(z_gradient, 0);
    const GroupMap z(kernels, map_of(z_gradient, 0, kernel - 1 - padding));
    const ptrdiff_t grown = kernel - 1 - 2 * padding;
    const GroupMap in(kernels, {.channels = inputs,
                                .height = z.map.height + grown,
                                .width = z.map.width + grown,
                                .frame_y = padding,
                                .frame_x = padding});
    z.load(z_gradient, INVALID);
    const Convolution conv = kernels.convolution(kernel, kernel - 1 - padding, z.map, in.map, bf16);
    const Floats packed(conv.packed), scratch(conv.scratch), zeros(inputs);
    kernels.pack_transposed(conv, span(weights), packed.all());
    if (before) in.load(*before, 0);
    Epilogue epilogue;
    epilogue.add = before.has_value();
    kernels.convolve(conv, z.values.all(), packed.all(), zeros.all(), in.values.all(), epilogue,
                     scratch.all());
    return in.array(images);
}

Result<float> weight_gradient(const std::string& isa, const Maps& input, const Maps& z_gradient,
                              ptrdiff_t kernel, ptrdiff_t padding, bool bf16) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(input, padding, padding));
    const GroupMap z(kernels, map_of(z_gradient, 0, kernel - 1 - padding));
    in.load(input, 1);  // invalid lanes have no gradient
    z.load(z_gradient, 0);
    const Convolution conv = kernels.convolution(kernel, padding, in.map, z.map, bf16);
    const Floats scratch(conv.gradient_scratch), gradient(conv.weights());
    kernels.weight_gradient(conv, in.values.all(), z.values.all(), scratch.all(), gradient.all());
    return result<float>(gradient.all(), {z.map.channels, in.map.channels, kernel, kernel});
}

// A block behind a convolution, with dropout's hashes.
struct Block {
    std::vector<uint32_t> hashes;
    Activation activation;

    Block(const Map& z, const Map& out, bool pool, const Values& scale, const Values& shift,
          uint32_t dropout_threshold, float dropout_scale, const In<uint32_t, 1>& dropout_hashes)
        : hashes(dropout_hashes.data(), dropout_hashes.data() + dropout_hashes.size()),
          activation{.z = z,
                     .out = out,
                     .pool = pool,
                     .scale = span(scale),
                     .shift = span(shift),
                     .dropout_threshold = dropout_threshold,
                     .dropout_scale = dropout_scale,
                     .dropout_hashes = {hashes.data(), std::ssize(hashes)}} {}
};

Map pooled(const Map& z, bool pool) {
    const ptrdiff_t window = pool ? 2 : 1;
    return {.channels = z.channels,
            .height = z.height / window,
            .width = z.width / window,
            .frame_y = 1,
            .frame_x = 1};
}

Result<float> activate(const std::string& isa, const Maps& z, bool pool, const Values& scale,
                       const Values& shift, uint32_t dropout_threshold, float dropout_scale,
                       const In<uint32_t, 1>& dropout_hashes, uint32_t layer_key, ptrdiff_t position) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(z, 0, 1)), out(kernels, pooled(in.map, pool));
    in.load(z, INVALID);
    const Block block(in.map, out.map, pool, scale, shift, dropout_threshold, dropout_scale, dropout_hashes);
    kernels.activate(block.activation, in.values.all(), out.values.all(), layer_key, position);
    return out.array(extent(z, 0));
}

nb::tuple activation_sums(const std::string& isa, const Maps& z, const Maps& out_gradient, bool pool,
                          const Values& scale, const Values& shift, const Values& inverse_sd,
                          const Values& normalised_offset, uint32_t dropout_threshold, float dropout_scale,
                          const In<uint32_t, 1>& dropout_hashes, uint32_t layer_key, ptrdiff_t position) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(z, 0, 1)), out(kernels, pooled(in.map, pool));
    in.load(z, INVALID);
    out.load(out_gradient, 0);
    const Block block(in.map, out.map, pool, scale, shift, dropout_threshold, dropout_scale, dropout_hashes);
    const ActivationGradient back{.inverse_sd = span(inverse_sd),
                                  .normalised_offset = span(normalised_offset),
                                  .grad_scale = {},
                                  .z_scale = {},
                                  .offset = {}};
    const Floats sums(2 * in.map.channels);
    kernels.activation_sums(block.activation, back, in.values.all(), out.values.all(), layer_key, position,
                            sums.all());
    return nb::make_tuple(result<float>(sums.all(), {2, in.map.channels}), out.array(extent(z, 0)));
}

// All lanes, so that the invalid ones can be seen to be zero.
Result<float> activation_gradient(const std::string& isa, const Maps& z, const Maps& out_gradient, bool pool,
                                  const Values& scale, const Values& shift, const Values& grad_scale,
                                  const Values& z_scale, const Values& offset) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(z, 0, 1)), out(kernels, pooled(in.map, pool));
    in.load(z, INVALID);
    out.load(out_gradient, INVALID);
    const uint32_t none[1] = {};
    const Block block(in.map, out.map, pool, scale, shift, 0, 1, In<uint32_t, 1>(none, {1}));
    const ActivationGradient back{.inverse_sd = {},
                                  .normalised_offset = {},
                                  .grad_scale = span(grad_scale),
                                  .z_scale = span(z_scale),
                                  .offset = span(offset)};
    kernels.activation_gradient(block.activation, back, in.values.all(), out.values.all(), extent(z, 0),
                                in.values.all());
    return in.array(kernels.lanes);
}

Result<float> map_statistics(const std::string& isa, const Maps& values, const Values& pivot) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(values, 0, 1));
    in.load(values, INVALID);
    const Floats sums(2 * in.map.channels);
    kernels.map_statistics(in.map, in.values.all(),
                           {.pivot = span(pivot), .sums = sums.all(), .valid_lanes = extent(values, 0)});
    return result<float>(sums.all(), {2, in.map.channels});
}

Result<float> global_average(const std::string& isa, const Maps& values) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(values, 1, 1));
    const GroupMap out(kernels,
                       {.channels = in.map.channels, .height = 1, .width = 1, .frame_y = 0, .frame_x = 0});
    in.load(values, INVALID);
    kernels.global_average(in.map, in.values.all(), out.values.all());
    return out.array(extent(values, 0));
}

Result<float> global_average_gradient(const std::string& isa, const Maps& gradient, ptrdiff_t height,
                                      ptrdiff_t width) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(gradient, 0, 0));
    const GroupMap out(
        kernels, {.channels = in.map.channels, .height = height, .width = width, .frame_y = 1, .frame_x = 1});
    in.load(gradient, INVALID);
    kernels.global_average_gradient(out.map, in.values.all(), out.values.all());
    return out.array(extent(gradient, 0));
}

Result<float> logits(const std::string& isa, const Maps& z) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(z, 0, 1));
    in.load(z, INVALID);
    const Floats out(extent(z, 0) * CLASSES);
    kernels.logits(in.map, in.values.all(), out.all());
    return result<float>(out.all(), {extent(z, 0), CLASSES});
}

Result<double> soft_targets(const std::string& isa, const In<float, 2>& logits, double temperature,
                            double weight) {
    const auto size = static_cast<ptrdiff_t>(logits.size());
    const Memory<double> targets(size);
    choose_kernels(isa).add_soft_targets({logits.data(), size}, temperature, weight, targets.all());
    return result<double>(targets.all(), {size / CLASSES, CLASSES});
}

nb::tuple loss(const std::string& isa, const Maps& z, const In<uint8_t, 1>& labels,
               std::optional<In<double, 2>> targets, double temperature, double fraction, float smoothing,
               float image_weight) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap in(kernels, map_of(z, 0, 1));
    in.load(z, 0);
    SoftTargets soft{.probabilities = {}, .temperature = temperature, .fraction = fraction};
    if (targets) soft.probabilities = {targets->data(), static_cast<ptrdiff_t>(targets->size())};
    const Floats bias_gradient(CLASSES);
    const Loss found = kernels.loss(in.map, in.values.all(), span(labels), soft, smoothing, image_weight,
                                    bias_gradient.all());
    return nb::make_tuple(found.loss, found.correct, in.array(kernels.lanes),
                          result<float>(bias_gradient.all(), {CLASSES}));
}

Result<float> load_images(const std::string& isa, const In<uint8_t, 3>& images, const In<int32_t, 1>& order,
                          std::optional<In<int32_t, 3>> matrices, std::optional<In<int16_t, 4>> grids,
                          const In<int32_t, 2>& spline_weights, std::optional<In<int16_t, 2>> filters,
                          const In<int16_t, 4>& resampling, bool bilinear) {
    const Kernels& kernels = choose_kernels(isa);
    const GroupMap out(kernels, {.channels = 1, .height = SIDE, .width = SIDE, .frame_y = 1, .frame_x = 1});
    const ImageSource source{.images = images.data(),
                             .order = order.data(),
                             .matrices = matrices ? matrices->data() : nullptr,
                             .grids = grids ? grids->data() : nullptr,
                             .spline_weights = spline_weights.data(),
                             .filters = filters ? filters->data() : nullptr,
                             .resampling = resampling.data(),
                             .bilinear = bilinear};
    const auto count = static_cast<ptrdiff_t>(order.size());
    kernels.load_images(source, {.position = 0, .valid_lanes = count}, out.map, out.values.all());
    return out.array(count);
}

nb::tuple update(const std::string& isa, const In<float, 2>& gradients, const Values& weights,
                 std::optional<Values> momentum, float learning_rate, float momentum_factor,
                 float weight_decay, bool nesterov) {
    const auto count = static_cast<ptrdiff_t>(weights.size()),
               groups = static_cast<ptrdiff_t>(gradients.shape(0));
    const Floats updated(count), velocity(count);
    std::copy_n(weights.data(), count, updated.all().data);
    if (momentum) std::copy_n(momentum->data(), count, velocity.all().data);
    choose_kernels(isa).update(
        {.momentum = momentum_factor, .weight_decay = weight_decay, .nesterov = nesterov},
        {.values = {gradients.data(), static_cast<ptrdiff_t>(gradients.size())},
         .groups = groups,
         .row = static_cast<ptrdiff_t>(gradients.shape(1))},
        learning_rate, updated.all(), momentum ? velocity.all() : Span<float>());
    return nb::make_tuple(result<float>(updated.all(), {count}), result<float>(velocity.all(), {count}));
}

Result<float> average(const std::string& isa, float decay, const Values& weights, const Values& average) {
    const auto count = static_cast<ptrdiff_t>(weights.size());
    const Floats moved(count);
    std::copy_n(average.data(), count, moved.all().data);
    choose_kernels(isa).average(decay, span(weights), moved.all());
    return result<float>(moved.all(), {count});
}

// A map of one image, (1, channels, rows, columns) as an array.
struct SingleMap {
    ImageMap map;
    Floats values;

    SingleMap(const Kernels& kernels, ptrdiff_t channels, ptrdiff_t height, ptrdiff_t width, ptrdiff_t frame)
        : map{.channels = channels,
              .height = height,
              .width = width,
              .frame = frame,
              .pixel = (channels + kernels.lanes - 1) / kernels.lanes * kernels.lanes},
          values(map.size()) {}

    template <typename Function>
    void each(const Function& function) const {
        for (ptrdiff_t c = 0; c < map.channels; ++c)
            for (ptrdiff_t y = 0; y < map.height; ++y)
                for (ptrdiff_t x = 0; x < map.width; ++x)
                    function((c * map.height + y) * map.width + x, values.all()[map.at(y, x) + c]);
    }

    void load(const Maps& array) const {
        each([&](ptrdiff_t at, float& value) { value = array.data()[at]; });
    }

    Result<float> array() const {
        std::vector<float> out(static_cast<size_t>(map.channels * map.height * map.width));
        each([&](ptrdiff_t at, float& value) { out[at] = value; });
        return result<float>({out.data(), std::ssize(out)}, {1, map.channels, map.height, map.width});
    }
};

Result<float> convolve_image(const std::string& isa, const Maps& input, const Maps& weights,
                             const Values& scale, const Values& bias, ptrdiff_t padding, bool relu) {
    const Kernels& kernels = choose_kernels(isa);
    const ptrdiff_t kernel = extent(weights, 2), shrink = kernel - 1 - 2 * padding;
    const SingleMap in(kernels, extent(input, 1), extent(input, 2), extent(input, 3), padding);
    const SingleMap out(kernels, extent(weights, 0), in.map.height - shrink, in.map.width - shrink, 1);
    in.load(input);
    const ImageConvolution conv{
        .kernel = kernel, .padding = padding, .input = in.map, .output = out.map, .relu = relu};
    const Floats packed(conv.packed());
    kernels.pack_image(conv, span(weights), span(scale), span(bias), packed.all());
    kernels.convolve_image(conv, in.values.all(), packed.all(), out.values.all());
    return out.array();
}

nb::tuple pool_and_average_image(const std::string& isa, const Maps& input) {
    const Kernels& kernels = choose_kernels(isa);
    const SingleMap in(kernels, extent(input, 1), extent(input, 2), extent(input, 3), 1);
    const SingleMap pool(kernels, in.map.channels, in.map.height / 2, in.map.width / 2, 1);
    const SingleMap mean(kernels, in.map.channels, 1, 1, 0);
    in.load(input);
    kernels.pool_image(in.map, in.values.all(), pool.map, pool.values.all());
    kernels.average_image(in.map, in.values.all(), mean.values.all());
    return nb::make_tuple(pool.array(), mean.array());
}

Result<float> load_image(const std::string& isa, const In<uint8_t, 2>& image) {
    const Kernels& kernels = choose_kernels(isa);
    SingleMap out(kernels, 1, SIDE, SIDE, 1);
    out.map.pixel = 1;
    kernels.load_image(image.data(), out.map, out.values.all());
    return out.array();
}

// BatchNorm of one layer whose parameters are [scale][shift][running mean][running variance][bias].
struct BatchNormCase {
    LayerSettings layer{};
    Floats weights, memory;
    ChannelValues channels;

    BatchNormCase(const In<float, 2>& parameters, ptrdiff_t count)
        : weights(static_cast<ptrdiff_t>(parameters.size())),
          memory(LAYER_CHANNEL_ARRAYS * count),
          channels(memory.all(), count) {
        std::copy_n(parameters.data(), parameters.size(), weights.all().data);
        layer.channels = count;
        layer.scale = 0;
        layer.shift = count;
        layer.running_mean = 2 * count;
        layer.running_variance = 3 * count;
        layer.bias = 4 * count;
        start_step(layer, weights.all(), channels);
    }
};

// The factors of a training step from its sums, (groups, 2, channels), whose squares are about `pivot` (by
// default the one that BatchNorm chooses): (pivot, moved, [scale, shift, inverse sd, normalised offset],
// parameters).
nb::tuple normalised_step(const In<float, 2>& parameters, const In<float, 3>& sums, double count) {
    const auto size = static_cast<ptrdiff_t>(parameters.shape(1));
    const BatchNormCase bn(parameters, size);
    const StepSums step{.values = {sums.data(), static_cast<ptrdiff_t>(sums.size())},
                        .groups = static_cast<ptrdiff_t>(sums.shape(0)),
                        .count = count};
    const auto pivot = result<float>(bn.channels.pivot, {size});
    under20k::normalise(bn.layer, step, bn.channels, bn.weights.all());
    std::vector<float> factors;
    for (const Span<float> view :
         {bn.channels.scale, bn.channels.shift, bn.channels.inverse_sd, bn.channels.normalised_offset})
        factors.insert(factors.end(), view.data, view.data + view.size);
    const bool moved = move_far_pivots(step, bn.channels);
    return nb::make_tuple(pivot, moved, result<float>({factors.data(), std::ssize(factors)}, {4, size}),
                          result<float>(bn.weights.all(), {5, size}),
                          result<float>(bn.channels.pivot, {size}));
}

// [grad scale, z scale, offset] from the factors of the forward pass and the gradients' sums, (groups, 2,
// channels).
Result<float> backward_factors(const In<float, 2>& factors, const In<float, 3>& sums, double count) {
    const auto size = static_cast<ptrdiff_t>(factors.shape(1));
    const Floats memory(LAYER_CHANNEL_ARRAYS * size);
    const ChannelValues channels(memory.all(), size);
    ptrdiff_t row = 0;
    for (const Span<float> view :
         {channels.scale, channels.shift, channels.inverse_sd, channels.normalised_offset})
        std::copy_n(factors.data() + size * row++, size, view.data);
    LayerSettings layer{};
    layer.channels = size;
    gradient_factors(layer,
                     {.values = {sums.data(), static_cast<ptrdiff_t>(sums.size())},
                      .groups = static_cast<ptrdiff_t>(sums.shape(0)),
                      .count = count},
                     channels);
    std::vector<float> out;
    for (const Span<float> view : {channels.grad_scale, channels.z_scale, channels.offset})
        out.insert(out.end(), view.data, view.data + view.size);
    return result<float>({out.data(), std::ssize(out)}, {3, size});
}

// [factors, bias].
Result<float> folded(const In<float, 2>& parameters) {
    const auto size = static_cast<ptrdiff_t>(parameters.shape(1));
    const BatchNormCase bn(parameters, size);
    const Floats out(2 * size);
    fold(bn.layer, bn.weights.all(), out.all().part(0, size), out.all().part(size, size));
    return result<float>(out.all(), {2, size});
}

}  // namespace

void add_kernel_tests(nb::module_& module) {
    nb::module_ m = module.def_submodule("kernels", "Single kernels, for tests.");
    m.def("methods", methods, nb::kw_only(), "isa"_a, "kernel"_a, "padding"_a, "inputs"_a, "outputs"_a,
          "side"_a, "bf16"_a);
    m.def("convolve", convolve, nb::kw_only(), "isa"_a, "input"_a, "weights"_a, "bias"_a, "padding"_a,
          "bf16"_a = false, "finish"_a = "plain", "scale"_a = nb::none(), "pivot"_a = nb::none());
    m.def("input_gradient", input_gradient, nb::kw_only(), "isa"_a, "z_gradient"_a, "weights"_a, "padding"_a,
          "bf16"_a = false, "before"_a = nb::none());
    m.def("weight_gradient", weight_gradient, nb::kw_only(), "isa"_a, "input"_a, "z_gradient"_a, "kernel"_a,
          "padding"_a, "bf16"_a = false);
    m.def("activate", activate, nb::kw_only(), "isa"_a, "z"_a, "pool"_a, "scale"_a, "shift"_a,
          "dropout_threshold"_a, "dropout_scale"_a, "dropout_hashes"_a, "layer_key"_a, "position"_a);
    m.def("activation_sums", activation_sums, nb::kw_only(), "isa"_a, "z"_a, "out_gradient"_a, "pool"_a,
          "scale"_a, "shift"_a, "inverse_sd"_a, "normalised_offset"_a, "dropout_threshold"_a,
          "dropout_scale"_a, "dropout_hashes"_a, "layer_key"_a, "position"_a);
    m.def("activation_gradient", activation_gradient, nb::kw_only(), "isa"_a, "z"_a, "out_gradient"_a,
          "pool"_a, "scale"_a, "shift"_a, "grad_scale"_a, "z_scale"_a, "offset"_a);
    m.def("map_statistics", map_statistics, nb::kw_only(), "isa"_a, "values"_a, "pivot"_a);
    m.def("global_average", global_average, nb::kw_only(), "isa"_a, "values"_a);
    m.def("global_average_gradient", global_average_gradient, nb::kw_only(), "isa"_a, "gradient"_a,
          "height"_a, "width"_a);
    m.def("logits", logits, nb::kw_only(), "isa"_a, "z"_a);
    m.def("soft_targets", soft_targets, nb::kw_only(), "isa"_a, "logits"_a, "temperature"_a, "weight"_a);
    m.def("loss", loss, nb::kw_only(), "isa"_a, "z"_a, "labels"_a, "targets"_a.none(), "temperature"_a,
          "fraction"_a, "smoothing"_a, "image_weight"_a);
    m.def("load_images", load_images, nb::kw_only(), "isa"_a, "images"_a, "order"_a, "matrices"_a.none(),
          "grids"_a.none(), "spline_weights"_a, "filters"_a.none(), "resampling"_a, "bilinear"_a);
    m.def("update", update, nb::kw_only(), "isa"_a, "gradients"_a, "weights"_a, "momentum"_a.none(),
          "learning_rate"_a, "momentum_factor"_a, "weight_decay"_a, "nesterov"_a);
    m.def("average", average, nb::kw_only(), "isa"_a, "decay"_a, "weights"_a, "average"_a);
    m.def("convolve_image", convolve_image, nb::kw_only(), "isa"_a, "input"_a, "weights"_a, "scale"_a,
          "bias"_a, "padding"_a, "relu"_a);
    m.def("pool_and_average_image", pool_and_average_image, nb::kw_only(), "isa"_a, "input"_a);
    m.def("load_image", load_image, nb::kw_only(), "isa"_a, "image"_a);
    m.def("normalised_step", normalised_step, nb::kw_only(), "parameters"_a, "sums"_a, "count"_a);
    m.def("backward_factors", backward_factors, nb::kw_only(), "factors"_a, "sums"_a, "count"_a);
    m.def("folded", folded, nb::kw_only(), "parameters"_a);
    add_operation_tests(m);
}

}  // namespace under20k
