// Compiled once per instruction set, with its flags and with UNDER20K_ISA as its namespace.

#include "kernels/kernels.h"

#include "kernels/activation.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"
#include "kernels/head.h"
#include "kernels/images.h"
#include "kernels/optimiser.h"
#include "kernels/peak.h"
#include "kernels/single_image.h"

#define UNDER20K_TEXT_OF(name) #name
#define UNDER20K_TEXT(name) UNDER20K_TEXT_OF(name)

namespace under20k::UNDER20K_ISA {

const OperationKernels& operations();  // operations.cpp

const Kernels& kernels() {
    static constexpr Kernels table{
        .isa = UNDER20K_TEXT(UNDER20K_ISA),
        .lanes = LANES,
        .operations = operations,
        .bf16_as_documented = bf16_as_documented,
        .convolution = convolution,
        .pack_weights = pack_weights,
        .pack_transposed = pack_transposed,
        .convolve = convolve,
        .weight_gradient = weight_gradient,
        .load_images = load_images,
        .map_statistics = map_statistics,
        .activate = activate,
        .activation_sums = activation_sums,
        .activation_gradient = activation_gradient,
        .global_average = global_average,
        .global_average_gradient = global_average_gradient,
        .logits = logits,
        .add_soft_targets = add_soft_targets,
        .loss = loss,
        .pack_image = pack_image,
        .load_image = load_image,
        .convolve_image = convolve_image,
        .pool_image = pool_image,
        .average_image = average_image,
        .update = update,
        .average = average,
        .multiply_adds = multiply_adds,
    };
    return table;
}

}  // namespace under20k::UNDER20K_ISA
