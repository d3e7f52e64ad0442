// The Python module under20k.engine._native. native_engine.py checks what it passes, benchmarks/ does not;
// only what could crash the process is checked here.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <variant>

#include "bindings/isa.h"
#include "bindings/speed.h"
#include "kernels/hash.h"
#include "network/graph_network.h"
#include "network/network.h"

namespace under20k {
void add_graph_settings(nanobind::module_& m);     // bindings/graph.cpp
void add_kernel_tests(nanobind::module_& module);  // bindings/kernel_tests.cpp, in test builds
void add_faults(nanobind::module_& m);             // tests/native/sanitize/faults.cpp, with sanitizers
}  // namespace under20k

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using under20k::GraphNetwork;
using under20k::GraphSettings;
using under20k::LayerSettings;
using under20k::Network;
using under20k::NetworkSettings;
using under20k::ParameterRange;
using under20k::TrainedNetwork;
using under20k::TrainingSettings;

template <typename T, typename... Shape>
using Array = nb::ndarray<const T, nb::numpy, nb::device::cpu, nb::c_contig, Shape...>;
using Images = Array<uint8_t, nb::shape<-1, under20k::SIDE, under20k::SIDE>>;
using Resampling = Array<int16_t, nb::shape<2, under20k::SIDES, under20k::SIDE, under20k::SIDE>>;

void require(bool holds, const char* message) {
    if (!holds) throw std::invalid_argument(message);
}

// Run Python's signal handlers, which raise on Ctrl-C.
void check_signals() {
    nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

// All parameters, in the network's own memory.
nb::ndarray<nb::numpy, float, nb::ndim<1>> view(under20k::Span<float> values, nb::handle owner) {
    return {values.data, {static_cast<size_t>(values.size)}, owner};
}

template <typename A>
auto* data_or_null(const std::optional<A>& array) {
    return array ? array->data() : nullptr;
}

nb::tuple train_epoch(TrainedNetwork& network, const Images& images,
                      const Array<uint8_t, nb::ndim<1>>& labels, const Array<int32_t, nb::ndim<1>>& order,
                      std::optional<Array<int32_t, nb::shape<-1, 2, 3>>> matrices,
                      std::optional<Array<int16_t, nb::shape<-1, 2, under20k::GRID, under20k::GRID>>> grids,
                      const Array<int32_t, nb::shape<under20k::SIDE, under20k::GRID>>& spline_weights,
                      std::optional<Array<int16_t, nb::shape<-1, 3>>> filters, const Resampling& resampling,
                      bool bilinear, const Array<double, nb::ndim<1>>& learning_rates,
                      const Array<double, nb::ndim<1>>& average_decays, uint32_t dropout_seed,
                      ptrdiff_t first_step, const nb::callable& on_step) {
    const size_t count = order.shape(0);
    const auto steps = static_cast<size_t>(network.steps(static_cast<ptrdiff_t>(count)));
    require(images.shape(0) == labels.shape(0), "as many labels as images");
    require(!matrices || matrices->shape(0) == count, "one matrix for each position");
    require(!grids || (matrices && grids->shape(0) == count),
            "one grid for each position, beside its matrix");
    require(!filters || filters->shape(0) == count, "one row of filters for each position");
    for (size_t i = 0; filters && i < count; ++i) {
        const int side = (*filters)(i, 1);
        require(side == 0 || (side >= under20k::LOWEST_SIDE && side <= under20k::HIGHEST_SIDE),
                "a side of the low resolution that there is, or 0");
    }
    require(learning_rates.shape(0) == steps && average_decays.shape(0) == steps,
            "one learning rate for each step");
    for (size_t i = 0; i < count; ++i)
        require(order(i) >= 0 && static_cast<size_t>(order(i)) < images.shape(0),
                "an image for each position");
    for (size_t i = 0; i < labels.shape(0); ++i) require(labels(i) < under20k::CLASSES, "labels in 0–9");

    const under20k::Epoch epoch{.source = {.images = images.data(),
                                           .labels = labels.data(),
                                           .order = order.data(),
                                           .matrices = data_or_null(matrices),
                                           .grids = data_or_null(grids),
                                           .spline_weights = spline_weights.data(),
                                           .filters = data_or_null(filters),
                                           .resampling = resampling.data(),
                                           .bilinear = bilinear,
                                           .dropout_seed = dropout_seed},
                                .images = static_cast<ptrdiff_t>(count),
                                .learning_rates = learning_rates.data(),
                                .average_decays = average_decays.data(),
                                .first_step = first_step};
    under20k::EpochOutcome outcome{};
    {
        nb::gil_scoped_release released;
        using Clock = std::chrono::steady_clock;
        auto last = Clock::now();
        outcome = network.train_epoch(
            epoch,
            [&](ptrdiff_t done) {
                // Python is called a few times a second, not after each of a thousand steps.
                const auto now = Clock::now();
                if (now - last < std::chrono::milliseconds(50) && done != epoch.images) return;
                last = now;
                nb::gil_scoped_acquire gil;
                if (PyErr_CheckSignals() != 0) throw nb::python_error();
                on_step(done);
            },
            check_signals);
    }
    return nb::make_tuple(outcome.loss, outcome.correct, outcome.diverged);
}

// A network of either kind.
using AnySettings = std::variant<NetworkSettings, GraphSettings>;

const TrainingSettings& training_of(const AnySettings& settings) {
    return std::visit([](const auto& own) -> const TrainingSettings& { return own; }, settings);
}

std::unique_ptr<TrainedNetwork> network_of(const AnySettings& settings, const under20k::Kernels& kernels) {
    if (const auto* chain = std::get_if<NetworkSettings>(&settings))
        return std::make_unique<Network>(*chain, kernels);
    return std::make_unique<GraphNetwork>(std::get<GraphSettings>(settings), kernels);
}

void learn_from(TrainedNetwork& network, const std::vector<AnySettings>& settings,
                const std::vector<Array<float, nb::ndim<1>>>& weights, double temperature, double share) {
    require(settings.size() == weights.size(), "weights of each teacher");
    std::vector<std::unique_ptr<TrainedNetwork>> teachers;
    for (size_t i = 0; i < settings.size(); ++i) {
        const TrainingSettings& own = training_of(settings[i]);
        require(weights[i].shape(0) == static_cast<size_t>(own.parameters), "all weights of a teacher");
        require(own.threads == network.threads(), "as many threads as the student has");
        teachers.push_back(network_of(settings[i], network.kernels()));
        std::copy_n(weights[i].data(), own.parameters, teachers.back()->weights().data);
    }
    network.learn_from(std::move(teachers), temperature, share);
}

nb::object logits(TrainedNetwork& network, const Images& images) {
    const size_t count = images.shape(0);
    auto values = std::make_unique<float[]>(count * under20k::CLASSES);
    {
        nb::gil_scoped_release released;
        const auto size = static_cast<ptrdiff_t>(count);
        network.logits(images.data(), size, {values.get(), size * under20k::CLASSES}, check_signals);
    }
    float* data = values.release();
    nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<float*>(memory); });
    return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<2>>(data, {count, under20k::CLASSES}, owner));
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The native CPU engine's C++ part; use under20k.engine.";

    nb::class_<LayerSettings>(m, "Layer")
        .def(
            "__init__",
            [](LayerSettings* self, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t padding, bool pool,
               double dropout, uint32_t dropout_threshold, uint32_t dropout_stream, ptrdiff_t weight,
               ptrdiff_t bias, ptrdiff_t scale, ptrdiff_t shift, ptrdiff_t running_mean,
               ptrdiff_t running_variance, double momentum, double epsilon) {
                new (self) LayerSettings{.channels = channels,
                                         .kernel = kernel,
                                         .padding = padding,
                                         .pool = pool,
                                         .dropout = dropout,
                                         .dropout_threshold = dropout_threshold,
                                         .dropout_stream = dropout_stream,
                                         .weight = weight,
                                         .bias = bias,
                                         .scale = scale,
                                         .shift = shift,
                                         .running_mean = running_mean,
                                         .running_variance = running_variance,
                                         .momentum = momentum,
                                         .epsilon = epsilon};
            },
            nb::kw_only(), "channels"_a, "kernel"_a, "padding"_a, "pool"_a, "dropout"_a,
            "dropout_threshold"_a, "dropout_stream"_a, "weight"_a, "bias"_a, "scale"_a, "shift"_a,
            "running_mean"_a, "running_variance"_a, "momentum"_a = 0.1, "epsilon"_a = 1e-5);

    nb::class_<ParameterRange>(m, "Range")
        .def(
            "__init__",
            [](ParameterRange* self, ptrdiff_t begin, ptrdiff_t end, bool trained, bool decayed) {
                new (self) ParameterRange{.begin = begin, .end = end, .trained = trained, .decayed = decayed};
            },
            nb::kw_only(), "begin"_a, "end"_a, "trained"_a, "decayed"_a);

    nb::class_<TrainingSettings>(m, "Training")
        .def(
            "__init__",
            [](TrainingSettings* self, std::vector<ParameterRange> ranges, ptrdiff_t parameters,
               ptrdiff_t batch_size, float momentum, float weight_decay, bool nesterov, float label_smoothing,
               bool averages, ptrdiff_t threads, bool bf16) {
                new (self) TrainingSettings{.ranges = std::move(ranges),
                                            .parameters = parameters,
                                            .batch_size = batch_size,
                                            .momentum = momentum,
                                            .weight_decay = weight_decay,
                                            .nesterov = nesterov,
                                            .label_smoothing = label_smoothing,
                                            .averages = averages,
                                            .threads = threads,
                                            .bf16 = bf16};
            },
            nb::kw_only(), "ranges"_a, "parameters"_a, "batch_size"_a, "momentum"_a, "weight_decay"_a,
            "nesterov"_a, "label_smoothing"_a, "averages"_a, "threads"_a, "bf16"_a);

    nb::class_<NetworkSettings>(m, "Settings")
        .def(
            "__init__",
            [](NetworkSettings* self, const TrainingSettings& training, std::vector<LayerSettings> layers,
               bool pool_first) { new (self) NetworkSettings{training, std::move(layers), pool_first}; },
            nb::kw_only(), "training"_a, "layers"_a, "pool_first"_a);
    under20k::add_graph_settings(m);

    // What Python has, too, and native_engine.py compares.
    nb::dict constants;
    constants["classes"] = under20k::CLASSES;
    constants["image side"] = under20k::SIDE;
    constants["grid"] = under20k::GRID;
    constants["fraction bits"] = under20k::FRACTION_BITS;
    constants["surplus bits"] = under20k::SURPLUS_BITS;
    constants["round bits"] = under20k::ROUND_BITS;
    constants["lowest side"] = under20k::LOWEST_SIDE;
    constants["highest side"] = under20k::HIGHEST_SIDE;
    constants["weight bits"] = under20k::WEIGHT_BITS;
    constants["bitmap first"] = under20k::BITMAP_FIRST;
    constants["bitmap low"] = under20k::BITMAP_LOW;
    constants["mean"] = under20k::MEAN;
    constants["standard deviation"] = under20k::STANDARD_DEVIATION;
    constants["first hash multiplier"] = under20k::MIX_FIRST;
    constants["second hash multiplier"] = under20k::MIX_SECOND;
    m.attr("constants") = constants;

    // Which products and sums are contracted into one instruction is the compiler's choice, and decides bits.
#if defined(__clang__)
    m.attr("compiler") = "Clang " __clang_version__;
#else
    m.attr("compiler") = "GCC " __VERSION__;
#endif
    m.def(
        "isa", [](const std::string& name) { return std::string(under20k::choose_kernels(name).isa); },
        "name"_a);
    m.def(
        "bf16_as_documented",
        [](const std::string& isa) { return under20k::choose_kernels(isa).bf16_as_documented(); }, "isa"_a);
    m.def(
        "network_bytes",
        [](const AnySettings& settings, const std::string& isa) {
            const under20k::Kernels& kernels = under20k::choose_kernels(isa);
            return std::visit([&](const auto& own) { return under20k::network_bytes(own, kernels); },
                              settings);
        },
        "settings"_a, "isa"_a);

    const auto timed = [](const under20k::Speed& speed) { return nb::make_tuple(speed.work, speed.time_s); };
    m.def(
        "time_multiply_adds",
        [timed](const std::string& isa, int64_t rounds) {
            const under20k::Kernels& kernels = under20k::choose_kernels(isa);
            under20k::Speed speed{};
            {
                nb::gil_scoped_release released;
                speed = under20k::time_multiply_adds(kernels, rounds);
            }
            return timed(speed);
        },
        "isa"_a, "rounds"_a);
    m.def(
        "time_convolution",
        [timed](const std::string& isa, const std::string& pass, ptrdiff_t kernel, ptrdiff_t padding,
                ptrdiff_t inputs, ptrdiff_t outputs, ptrdiff_t side, int64_t repetitions) {
            using under20k::Pass;
            require(pass == "forward" || pass == "input gradient" || pass == "weight gradient",
                    "a known pass");
            const Pass which = pass == "forward"          ? Pass::forward
                               : pass == "input gradient" ? Pass::input_gradient
                                                          : Pass::weight_gradient;
            const under20k::ConvolutionShape shape{
                .kernel = kernel, .padding = padding, .inputs = inputs, .outputs = outputs, .side = side};
            return timed(
                under20k::time_convolution(under20k::choose_kernels(isa), which, shape, repetitions));
        },
        nb::kw_only(), "isa"_a, "which"_a, "kernel"_a, "padding"_a, "inputs"_a, "outputs"_a, "side"_a,
        "repetitions"_a);

    nb::class_<TrainedNetwork>(m, "TrainedNetwork")
        .def_prop_ro("weights",
                     [](nb::handle_t<TrainedNetwork> self) {
                         return view(nb::cast<TrainedNetwork&>(self).weights(), self);
                     })
        .def_prop_ro("momentum",
                     [](nb::handle_t<TrainedNetwork> self) {
                         return view(nb::cast<TrainedNetwork&>(self).momentum(), self);
                     })
        .def_prop_ro("average",
                     [](nb::handle_t<TrainedNetwork> self) {
                         return view(nb::cast<TrainedNetwork&>(self).average(), self);
                     })
        .def("learn_from", learn_from, nb::kw_only(), "settings"_a, "weights"_a.noconvert(), "temperature"_a,
             "share"_a)
        .def("train_epoch", train_epoch, nb::kw_only(), "images"_a.noconvert(), "labels"_a.noconvert(),
             "order"_a.noconvert(), "matrices"_a.noconvert().none(), "grids"_a.noconvert().none(),
             "spline_weights"_a.noconvert(), "filters"_a.noconvert().none(), "resampling"_a.noconvert(),
             "bilinear"_a, "learning_rates"_a.noconvert(), "average_decays"_a.noconvert(), "dropout_seed"_a,
             "first_step"_a, "on_step"_a)
        .def("logits", logits, "images"_a.noconvert());

    nb::class_<Network, TrainedNetwork>(m, "Network")
        .def(
            "__init__",
            [](Network* self, const NetworkSettings& settings, const std::string& isa) {
                new (self) Network(settings, under20k::choose_kernels(isa));
            },
            "settings"_a, "isa"_a);
    nb::class_<GraphNetwork, TrainedNetwork>(m, "GraphNetwork")
        .def(
            "__init__",
            [](GraphNetwork* self, const GraphSettings& settings, const std::string& isa) {
                new (self) GraphNetwork(settings, under20k::choose_kernels(isa));
            },
            "settings"_a, "isa"_a);

#if defined(UNDER20K_WIDE)
    under20k::add_kernel_tests(m);
#endif
#if defined(UNDER20K_SANITIZE)
    under20k::add_faults(m);
#endif
}
