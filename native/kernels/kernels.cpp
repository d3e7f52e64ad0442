// Compiled once for each instruction set, with its flags and UNDER20K_ISA as its namespace.

#include "kernels.h"

#include "activation.h"
#include "bf16.h"
#include "dispatch.h"
#include "head.h"
#include "images.h"
#include "one_image.h"
#include "optimiser.h"
#include "peak.h"

#define UNDER20K_TEXT_OF(name) #name
#define UNDER20K_TEXT(name) UNDER20K_TEXT_OF(name)

namespace under20k::UNDER20K_ISA {

const Kernels& kernels() {
    static constexpr Kernels table{
        UNDER20K_TEXT(UNDER20K_ISA),
        LANES,
        bf16_as_documented,
        convolution,
        pack_weights,
        pack_transposed,
        convolve,
        weight_gradient,
        load_images,
        map_statistics,
        activate,
        activation_sums,
        activation_gradient,
        global_average,
        global_average_gradient,
        logits,
        answer,
        loss,
        pack_image,
        load_image,
        convolve_image,
        pool_image,
        average_image,
        update,
        average,
        multiply_adds,
    };
    return table;
}

}  // namespace under20k::UNDER20K_ISA
