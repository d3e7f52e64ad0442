// The kernels of a graph's operations for tests/native, on NumPy arrays: _native.kernels.Operations.
//
// Everything that a kernel must not read, or not write, holds junk: frames, invalid lanes, scratch, and
// targets that are to be written. A target's frame is compared afterwards.

#include "kernels/operations.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/test_arrays.h"

using namespace nb::literals;

namespace under20k {

namespace {

using Shape = std::array<ptrdiff_t, 3>;  // channels, rows, columns
using WindowNumbers =
    std::array<ptrdiff_t, 8>;        // of kernel, stride, padding, dilation, each rows and columns
using Before = std::optional<Maps>;  // what a target holds that is to be added to

Sliding2d sliding(const WindowNumbers& n) {
    return {.kernel_y = n[0],
            .kernel_x = n[1],
            .stride_y = n[2],
            .stride_x = n[3],
            .padding_y = n[4],
            .padding_x = n[5],
            .dilation_y = n[6],
            .dilation_x = n[7]};
}

Shape shape_of(const Maps& array) { return {extent(array, 1), extent(array, 2), extent(array, 3)}; }

Floats junk(ptrdiff_t count) {
    Floats values(count);
    std::fill_n(values.all().data, count, INVALID);
    return values;
}

Function function(const std::string& name, float slope) {
    const char* names[] = {"relu", "relu6",     "leaky_relu",  "elu",     "gelu", "gelu_tanh",
                           "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "rsqrt"};
    const auto* const found = std::find(std::begin(names), std::end(names), name);
    if (found == std::end(names)) throw std::invalid_argument("no function " + name);
    return {.kind = static_cast<FunctionKind>(found - names), .slope = slope};
}

// A map in a frame of junk, or of zeros.
struct TestMap : GroupMap {
    bool zeros;

    TestMap(const Kernels& kernels, const Map& shape, bool zero_frame)
        : GroupMap(kernels, shape), zeros(zero_frame) {
        std::fill_n(values.all().data, values.all().size, zeros ? 0 : INVALID);
    }

    Source source() const { return {.map = map, .values = values.all(), .zero_frame = zeros}; }
    Target target() const { return {.map = map, .values = values.all()}; }

    // The array, if the frame is as it was.
    Result<float> written(ptrdiff_t images) const {
        Floats copy(values.all().size);
        std::copy_n(values.all().data, values.all().size, copy.all().data);
        const float frame = zeros ? 0 : INVALID;
        for (ptrdiff_t c = 0; c < map.channels; ++c)
            for (ptrdiff_t y = 0; y < map.height; ++y)
                std::fill_n(copy.all().data + map.at(c, y, 0) * lanes, map.width * lanes, frame);
        if (std::any_of(copy.all().data, copy.all().data + copy.all().size,
                        [=](float value) { return value != frame; }))
            throw std::runtime_error("the frame was written");
        return array(images);
    }
};

struct Operations {
    const Kernels& kernels;
    const OperationKernels& all;
    ptrdiff_t frame_y, frame_x;
    bool zero_frame;

    Operations(const std::string& isa, ptrdiff_t rows, ptrdiff_t columns, bool zeros)
        : kernels(choose_kernels(isa)),
          all(kernels.operations()),
          frame_y(rows),
          frame_x(columns),
          zero_frame(zeros) {}

    TestMap read(const Maps& array, float invalid = INVALID) const {
        TestMap map(kernels, map_of(array, frame_y, frame_x), zero_frame);
        map.load(array, invalid);
        return map;
    }

    // Of another frame than those that are read.
    TestMap write(const Shape& shape, const Before& before) const {
        const auto [channels, height, width] = shape;
        TestMap map(
            kernels,
            {.channels = channels, .height = height, .width = width, .frame_y = frame_x, .frame_x = frame_y},
            zero_frame);
        map.each(kernels.lanes, [](ptrdiff_t, ptrdiff_t, float& value) { value = INVALID; });
        if (before) map.load(*before, 0);
        return map;
    }

    Floats start(const std::optional<Values>& before, ptrdiff_t count) const {
        Floats values = junk(count);
        if (before) std::copy_n(before->data(), count, values.all().data);
        return values;
    }

    GeneralConvolution convolution(const Shape& input, const Shape& output, const WindowNumbers& window,
                                   ptrdiff_t groups) const {
        const auto map = [](const Shape& s) {
            return Map{.channels = s[0], .height = s[1], .width = s[2], .frame_y = 0, .frame_x = 0};
        };
        return all.convolution(map(input), map(output), sliding(window), groups);
    }
};

nb::tuple convolve(const Operations& ops, const Maps& input, const Maps& weights,
                   const std::optional<Values>& bias, const WindowNumbers& window, ptrdiff_t groups,
                   const Shape& output, const std::optional<Values>& scale, const std::string& finish,
                   const std::optional<Values>& pivot) {
    const ptrdiff_t images = extent(input, 0);
    const TestMap in = ops.read(input), out = ops.write(output, {});
    const GeneralConvolution conv = ops.convolution(shape_of(input), output, window, groups);
    const Floats packed = junk(conv.packed), scratch = junk(conv.scratch), sums = junk(2 * output[0]);
    ops.all.pack(conv, span(weights), span(scale), packed.all());
    Epilogue epilogue{.finish = finish == "relu" ? Finish::relu : Finish::plain};
    if (pivot)
        epilogue = {.finish = finish == "relu" ? Finish::relu_statistics : Finish::statistics,
                    .statistics = {.pivot = span(pivot), .sums = sums.all(), .valid_lanes = images}};
    ops.all.convolve(conv, in.source(), packed.all(), span(bias), out.target(), epilogue, scratch.all());
    return nb::make_tuple(out.written(images), result<float>(sums.all(), {2, output[0]}));
}

Result<float> convolve_input_gradient(const Operations& ops, const Maps& gradient, const Maps& weights,
                                      const WindowNumbers& window, ptrdiff_t groups, const Shape& input,
                                      const Before& before) {
    const TestMap from = ops.read(gradient), to = ops.write(input, before);
    const GeneralConvolution conv = ops.convolution(input, shape_of(gradient), window, groups);
    const Floats packed = junk(conv.packed_transposed), scratch = junk(conv.input_gradient_scratch);
    ops.all.pack_transposed(conv, span(weights), packed.all());
    ops.all.input_gradient(conv, from.source(), packed.all(), to.target(), before.has_value(), scratch.all());
    return to.written(extent(gradient, 0));
}

Result<float> convolve_weight_gradient(const Operations& ops, const Maps& input, const Maps& gradient,
                                       const WindowNumbers& window, ptrdiff_t groups,
                                       const std::optional<Values>& before) {
    const TestMap in = ops.read(input), out = ops.read(gradient);
    const GeneralConvolution conv = ops.convolution(shape_of(input), shape_of(gradient), window, groups);
    const Floats scratch = junk(conv.weight_gradient_scratch), found = ops.start(before, conv.weights());
    ops.all.weight_gradient(conv, in.source(), out.source(), extent(input, 0), found.all(),
                            before.has_value(), scratch.all());
    return result<float>(found.all(), {conv.output.channels, conv.group_inputs(), window[0], window[1]});
}

Result<float> bias_gradient(const Operations& ops, const Maps& gradient,
                            const std::optional<Values>& before) {
    const ptrdiff_t channels = extent(gradient, 1);
    const Floats found = ops.start(before, channels);
    ops.all.bias_gradient(ops.read(gradient).source(), extent(gradient, 0), found.all(), before.has_value());
    return result<float>(found.all(), {channels});
}

Pooling pooling(const WindowNumbers& window, bool max, bool count_padding, bool adaptive) {
    return {.window = sliding(window), .max = max, .count_padding = count_padding, .adaptive = adaptive};
}

Result<float> pool(const Operations& ops, const Maps& input, const WindowNumbers& window, bool max,
                   bool count_padding, bool adaptive, const Shape& output) {
    const TestMap in = ops.read(input), out = ops.write(output, {});
    ops.all.pool(pooling(window, max, count_padding, adaptive), in.source(), out.target());
    return out.written(extent(input, 0));
}

Result<float> pool_gradient(const Operations& ops, const Maps& input, const Maps& gradient,
                            const WindowNumbers& window, bool max, bool count_padding, bool adaptive,
                            const Before& before) {
    const TestMap in = ops.read(input), from = ops.read(gradient), to = ops.write(shape_of(input), before);
    ops.all.pool_gradient(pooling(window, max, count_padding, adaptive), in.source(), from.source(),
                          to.target(), before.has_value());
    return to.written(extent(input, 0));
}

Result<float> apply(const Operations& ops, const std::string& name, float slope, const Maps& x,
                    bool in_place) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), {});
    ops.all.apply(function(name, slope), in.source(), in_place ? in.target() : out.target());
    return (in_place ? in : out).written(extent(x, 0));
}

// In place of "", "x" or "gradient".
Result<float> apply_gradient(const Operations& ops, const std::string& name, float slope, const Maps& x,
                             bool from_output, const Maps& gradient, const Before& before,
                             const std::string& in_place) {
    const TestMap in = ops.read(x), from = ops.read(gradient), other = ops.write(shape_of(x), before);
    const TestMap& to = in_place == "x" ? in : in_place == "gradient" ? from : other;
    ops.all.apply_gradient(function(name, slope), in.source(), from_output, from.source(), to.target(),
                           before.has_value());
    return to.written(extent(x, 0));
}

Result<float> prelu(const Operations& ops, const Values& weights, const Maps& x) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), {});
    ops.all.prelu(span(weights), in.source(), out.target());
    return out.written(extent(x, 0));
}

nb::tuple prelu_gradient(const Operations& ops, const Values& weights, const Maps& x, const Maps& gradient,
                         const Before& before, const std::optional<Values>& weights_before) {
    const TestMap in = ops.read(x), from = ops.read(gradient), to = ops.write(shape_of(x), before);
    const auto count = static_cast<ptrdiff_t>(weights.size());
    const Floats found = ops.start(weights_before, count);
    ops.all.prelu_gradient(span(weights), in.source(), from.source(), to.target(), before.has_value(),
                           extent(x, 0), found.all(), weights_before.has_value());
    return nb::make_tuple(to.written(extent(x, 0)), result<float>(found.all(), {count}));
}

// To channels [first, …) of a map of `shape`; of the rest nothing is written.
Result<float> copy(const Operations& ops, const Maps& x, const Shape& shape, ptrdiff_t first,
                   const Before& before) {
    const TestMap in = ops.read(x), out = ops.write(shape, before);
    ops.all.copy(in.source(), channels_of(out.target(), first, extent(x, 1), ops.kernels.lanes),
                 before.has_value());
    return out.written(extent(x, 0));
}

Result<float> add(const Operations& ops, const Maps& a, const Maps& b, const Shape& shape) {
    const TestMap one = ops.read(a), other = ops.read(b), out = ops.write(shape, {});
    ops.all.add(one.source(), other.source(), out.target());
    return out.written(extent(a, 0));
}

Result<float> multiply(const Operations& ops, const Maps& a, const Maps& b, const Shape& shape,
                       const Before& before) {
    const TestMap one = ops.read(a), other = ops.read(b), out = ops.write(shape, before);
    ops.all.multiply(one.source(), other.source(), out.target(), before.has_value());
    return out.written(extent(a, 0));
}

Result<float> sum_map(const Operations& ops, const Maps& gradient, const Before& before) {
    const TestMap from = ops.read(gradient), to = ops.write({extent(gradient, 1), 1, 1}, before);
    ops.all.sum_map(from.source(), to.target(), before.has_value());
    return to.written(extent(gradient, 0));
}

Result<float> sum_products(const Operations& ops, const Maps& gradient, const Maps& other,
                           const Before& before) {
    const TestMap from = ops.read(gradient), factor = ops.read(other);
    const TestMap to = ops.write({extent(gradient, 1), 1, 1}, before);
    ops.all.sum_products(from.source(), factor.source(), to.target(), before.has_value());
    return to.written(extent(gradient, 0));
}

Result<float> scale(const Operations& ops, float factor, float offset, const Maps& x, const Before& before) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), before);
    ops.all.scale(factor, offset, in.source(), out.target(), before.has_value());
    return out.written(extent(x, 0));
}

Result<float> reshape(const Operations& ops, const Maps& x, const Shape& shape, const Before& before) {
    const TestMap in = ops.read(x), out = ops.write(shape, before);
    ops.all.reshape(in.source(), out.target(), before.has_value());
    return out.written(extent(x, 0));
}

Result<float> dropout(const Operations& ops, const Maps& x, bool channels, uint32_t threshold, float factor,
                      const In<uint32_t, 1>& hashes, uint32_t layer_key, ptrdiff_t position,
                      const Before& before) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), before);
    const Dropout plan{.channels = channels,
                       .threshold = threshold,
                       .scale = factor,
                       .hashes = span(hashes),
                       .layer_key = layer_key,
                       .position = position};
    ops.all.dropout(plan, in.source(), out.target(), before.has_value());
    return out.written(extent(x, 0));
}

Result<float> statistics(const Operations& ops, const Maps& x, const Values& pivot) {
    const Floats sums = junk(2 * extent(x, 1));
    ops.all.statistics(ops.read(x).source(),
                       {.pivot = span(pivot), .sums = sums.all(), .valid_lanes = extent(x, 0)});
    return result<float>(sums.all(), {2, extent(x, 1)});
}

// No function for "".
Result<float> normalise(const Operations& ops, const Values& factors, const Values& shift,
                        const std::string& name, float slope, const Maps& x) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), {});
    const Function own = function(name.empty() ? "relu" : name, slope);
    ops.all.normalise(span(factors), span(shift), name.empty() ? nullptr : &own, in.source(), out.target());
    return out.written(extent(x, 0));
}

Result<float> normalise_sums(const Operations& ops, const Values& inverse_sd, const Values& normalised_offset,
                             const Maps& x, const Maps& gradient) {
    const Floats sums = junk(2 * extent(x, 1));
    const ActivationGradient back{.inverse_sd = span(inverse_sd),
                                  .normalised_offset = span(normalised_offset),
                                  .grad_scale = {},
                                  .z_scale = {},
                                  .offset = {}};
    ops.all.normalise_sums(back, ops.read(x).source(), ops.read(gradient).source(), extent(x, 0), sums.all());
    return result<float>(sums.all(), {2, extent(x, 1)});
}

// The sums, and the gradient of the function's input.
nb::tuple normalised_function_sums(const Operations& ops, const std::string& name, float slope,
                                   const Values& scale, const Values& shift, const Values& inverse_sd,
                                   const Values& normalised_offset, const Maps& x, const Maps& gradient) {
    const Floats sums = junk(2 * extent(x, 1));
    const ActivationGradient back{.inverse_sd = span(inverse_sd),
                                  .normalised_offset = span(normalised_offset),
                                  .grad_scale = {},
                                  .z_scale = {},
                                  .offset = {}};
    const TestMap in = ops.read(x), from = ops.read(gradient);
    ops.all.normalised_function_sums(function(name, slope), span(scale), span(shift), back, in.source(),
                                     from.target(), extent(x, 0), sums.all());
    return nb::make_tuple(result<float>(sums.all(), {2, extent(x, 1)}), from.written(extent(x, 0)));
}

// All lanes, so that the invalid ones can be seen to be zero. In place of "", "x" or "gradient".
Result<float> normalise_gradient(const Operations& ops, const Values& grad_scale, const Values& z_scale,
                                 const Values& offset, const Maps& x, const Maps& gradient,
                                 const Before& before, const std::string& in_place) {
    const TestMap in = ops.read(x), from = ops.read(gradient), other = ops.write(shape_of(x), before);
    const TestMap& to = in_place == "x" ? in : in_place == "gradient" ? from : other;
    const ActivationGradient back{.inverse_sd = {},
                                  .normalised_offset = {},
                                  .grad_scale = span(grad_scale),
                                  .z_scale = span(z_scale),
                                  .offset = span(offset)};
    ops.all.normalise_gradient(back, in.source(), from.source(), extent(x, 0), to.target(),
                               before.has_value());
    return to.written(ops.kernels.lanes);
}

Result<float> softmax(const Operations& ops, const Maps& x) {
    const TestMap in = ops.read(x), out = ops.write(shape_of(x), {});
    ops.all.softmax(in.source(), out.target());
    return out.written(extent(x, 0));
}

Result<float> softmax_gradient(const Operations& ops, const Maps& y, const Maps& gradient,
                               const Before& before) {
    const TestMap in = ops.read(y), from = ops.read(gradient), to = ops.write(shape_of(y), before);
    ops.all.softmax_gradient(in.source(), from.source(), to.target(), before.has_value());
    return to.written(extent(y, 0));
}

}  // namespace

void add_operation_tests(nb::module_& m) {
    nb::class_<Operations> c(m, "Operations", "The operations of a graph on one group of images.");
    c.def(nb::init<const std::string&, ptrdiff_t, ptrdiff_t, bool>(), "isa"_a, "frame_y"_a = 0,
          "frame_x"_a = 0, "zero_frame"_a = false);
    c.def("convolve", convolve, "input"_a, "weights"_a, "bias"_a.none(), "window"_a, "groups"_a, "output"_a,
          nb::kw_only(), "scale"_a = nb::none(), "finish"_a = "plain", "pivot"_a = nb::none());
    c.def("convolve_input_gradient", convolve_input_gradient, "gradient"_a, "weights"_a, "window"_a,
          "groups"_a, "input"_a, "before"_a = nb::none());
    c.def("convolve_weight_gradient", convolve_weight_gradient, "input"_a, "gradient"_a, "window"_a,
          "groups"_a, "before"_a = nb::none());
    c.def("bias_gradient", bias_gradient, "gradient"_a, "before"_a = nb::none());
    c.def("pool", pool, "input"_a, "window"_a, "max"_a, "count_padding"_a, "adaptive"_a, "output"_a);
    c.def("pool_gradient", pool_gradient, "input"_a, "gradient"_a, "window"_a, "max"_a, "count_padding"_a,
          "adaptive"_a, "before"_a = nb::none());
    c.def("apply", apply, "name"_a, "slope"_a, "x"_a, "in_place"_a = false);
    c.def("apply_gradient", apply_gradient, "name"_a, "slope"_a, "x"_a, "from_output"_a, "gradient"_a,
          "before"_a = nb::none(), "in_place"_a = "");
    c.def("prelu", prelu, "weights"_a, "x"_a);
    c.def("prelu_gradient", prelu_gradient, "weights"_a, "x"_a, "gradient"_a, "before"_a = nb::none(),
          "weights_before"_a = nb::none());
    c.def("copy", copy, "x"_a, "shape"_a, "first"_a = 0, "before"_a = nb::none());
    c.def("add", add, "a"_a, "b"_a, "shape"_a);
    c.def("multiply", multiply, "a"_a, "b"_a, "shape"_a, "before"_a = nb::none());
    c.def("sum_map", sum_map, "gradient"_a, "before"_a = nb::none());
    c.def("sum_products", sum_products, "gradient"_a, "other"_a, "before"_a = nb::none());
    c.def("scale", scale, "factor"_a, "offset"_a, "x"_a, "before"_a = nb::none());
    c.def("reshape", reshape, "x"_a, "shape"_a, "before"_a = nb::none());
    c.def("dropout", dropout, "x"_a, "channels"_a, "threshold"_a, "factor"_a, "hashes"_a, "layer_key"_a,
          "position"_a, "before"_a = nb::none());
    c.def("statistics", statistics, "x"_a, "pivot"_a);
    c.def("normalise", normalise, "factors"_a, "shift"_a, "name"_a, "slope"_a, "x"_a);
    c.def("normalise_sums", normalise_sums, "inverse_sd"_a, "normalised_offset"_a, "x"_a, "gradient"_a);
    c.def("normalised_function_sums", normalised_function_sums, "name"_a, "slope"_a, "scale"_a, "shift"_a,
          "inverse_sd"_a, "normalised_offset"_a, "x"_a, "gradient"_a);
    c.def("normalise_gradient", normalise_gradient, "grad_scale"_a, "z_scale"_a, "offset"_a, "x"_a,
          "gradient"_a, "before"_a = nb::none(), "in_place"_a = "");
    c.def("softmax", softmax, "x"_a);
    c.def("softmax_gradient", softmax_gradient, "y"_a, "gradient"_a, "before"_a = nb::none());
}

}  // namespace under20k
