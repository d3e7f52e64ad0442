// Compiled once per instruction set, as kernels.cpp is.

#include "kernels/operations.h"

#include "kernels/elementwise.h"
#include "kernels/functions.h"
#include "kernels/general_convolution.h"
#include "kernels/general_gradient.h"
#include "kernels/normalised_functions.h"
#include "kernels/pooling.h"

namespace under20k::UNDER20K_ISA {

const OperationKernels& operations() {
    static constexpr OperationKernels table{
        .convolution = general_convolution,
        .pack = pack_general,
        .pack_transposed = pack_general_transposed,
        .convolve = convolve_generally,
        .input_gradient = general_input_gradient,
        .weight_gradient = general_weight_gradient,
        .bias_gradient = bias_gradient,
        .pool = pool,
        .pool_gradient = pool_gradient,
        .apply = apply,
        .apply_gradient = apply_gradient,
        .prelu = prelu,
        .prelu_gradient = prelu_gradient,
        .copy = copy,
        .add = add,
        .multiply = multiply,
        .sum_map = sum_map,
        .sum_products = sum_products,
        .scale = scale,
        .reshape = reshape,
        .dropout = dropout,
        .statistics = statistics,
        .normalise = normalise,
        .normalise_sums = normalise_sums,
        .normalised_function_sums = normalised_function_sums,
        .normalise_gradient = normalise_gradient,
        .softmax = softmax,
        .softmax_gradient = softmax_gradient,
    };
    return table;
}

}  // namespace under20k::UNDER20K_ISA
