// A graph's settings in Python: native_graph.py makes them.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <map>
#include <stdexcept>
#include <string>

#include "bindings/isa.h"
#include "network/graph_network.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace under20k {

void add_graph_settings(nb::module_& m);

namespace {

using Pair = std::array<ptrdiff_t, 2>;

template <typename T>
T named(const std::map<std::string, T>& names, const std::string& name) {
    const auto found = names.find(name);
    if (found == names.end()) throw std::invalid_argument(name + " is no operation of a graph");
    return found->second;
}

Operation operation_of(const std::string& name) {
    static const std::map<std::string, Operation> names{{"convolution", Operation::convolution},
                                                        {"batch_norm", Operation::batch_norm},
                                                        {"function", Operation::function},
                                                        {"prelu", Operation::prelu},
                                                        {"pool", Operation::pool},
                                                        {"dropout", Operation::dropout},
                                                        {"add", Operation::add},
                                                        {"multiply", Operation::multiply},
                                                        {"concatenate", Operation::concatenate},
                                                        {"scale", Operation::scale},
                                                        {"reshape", Operation::reshape},
                                                        {"softmax", Operation::softmax}};
    return named(names, name);
}

FunctionKind function_of(const std::string& name) {
    static const std::map<std::string, FunctionKind> names{{"relu", FunctionKind::relu},
                                                           {"relu6", FunctionKind::relu6},
                                                           {"leaky_relu", FunctionKind::leaky_relu},
                                                           {"elu", FunctionKind::elu},
                                                           {"gelu", FunctionKind::gelu},
                                                           {"gelu_tanh", FunctionKind::gelu_tanh},
                                                           {"silu", FunctionKind::silu},
                                                           {"hardswish", FunctionKind::hardswish},
                                                           {"hardsigmoid", FunctionKind::hardsigmoid},
                                                           {"sigmoid", FunctionKind::sigmoid},
                                                           {"tanh", FunctionKind::tanh},
                                                           {"rsqrt", FunctionKind::rsqrt}};
    return named(names, name);
}

}  // namespace

void add_graph_settings(nb::module_& m) {
    nb::class_<GraphNode>(m, "Node")
        .def(
            "__init__",
            [](GraphNode* self, const std::string& operation, std::vector<ptrdiff_t> inputs,
               std::array<ptrdiff_t, 3> shape) {
                new (self) GraphNode;
                self->operation = operation_of(operation);
                self->inputs = std::move(inputs);
                self->channels = shape[0];
                self->height = shape[1];
                self->width = shape[2];
            },
            "operation"_a, "inputs"_a, "shape"_a)
        .def(
            "slide",
            [](GraphNode& self, Pair kernel, Pair stride, Pair padding, Pair dilation) {
                self.window = {.kernel_y = kernel[0],
                               .kernel_x = kernel[1],
                               .stride_y = stride[0],
                               .stride_x = stride[1],
                               .padding_y = padding[0],
                               .padding_x = padding[1],
                               .dilation_y = dilation[0],
                               .dilation_x = dilation[1]};
            },
            nb::kw_only(), "kernel"_a, "stride"_a, "padding"_a, "dilation"_a)
        .def(
            "apply",
            [](GraphNode& self, const std::string& function, double slope) {
                self.function = function_of(function);
                self.slope = slope;
            },
            "function"_a, "slope"_a)
        .def_rw("groups", &GraphNode::groups)
        .def_rw("max", &GraphNode::max)
        .def_rw("count_padding", &GraphNode::count_padding)
        .def_rw("adaptive", &GraphNode::adaptive)
        .def_rw("probability", &GraphNode::probability)
        .def_rw("dropout_threshold", &GraphNode::dropout_threshold)
        .def_rw("stream", &GraphNode::stream)
        .def_rw("whole_channels", &GraphNode::whole_channels)
        .def_rw("factor", &GraphNode::factor)
        .def_rw("offset", &GraphNode::offset)
        .def_rw("weight", &GraphNode::weight)
        .def_rw("bias", &GraphNode::bias)
        .def_rw("slopes", &GraphNode::slopes)
        .def_rw("running_mean", &GraphNode::running_mean)
        .def_rw("running_variance", &GraphNode::running_variance)
        .def_rw("momentum", &GraphNode::momentum)
        .def_rw("epsilon", &GraphNode::epsilon);

    nb::class_<GraphSettings>(m, "GraphSettings")
        .def(
            "__init__",
            [](GraphSettings* self, const TrainingSettings& training, std::vector<GraphNode> nodes) {
                new (self) GraphSettings{training, std::move(nodes)};
            },
            nb::kw_only(), "training"_a, "nodes"_a);
    m.def(
        "supports_bf16",
        [](const GraphSettings& settings, const std::string& isa) {
            return all_tuned(plan_graph(settings, choose_kernels(isa)));
        },
        "settings"_a, "isa"_a);
}

}  // namespace under20k
