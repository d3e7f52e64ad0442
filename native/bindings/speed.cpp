#include "bindings/speed.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "network/memory.h"

namespace under20k {

namespace {

template <typename Work>
double seconds(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Numbers in ±0.5 with a long period and no pattern that a kernel could profit from.
void fill(Span<float> values, uint32_t* state) {
    for (ptrdiff_t i = 0; i < values.size; ++i) {
        *state = *state * 1664525u + 1013904223u;
        values[i] = static_cast<float>(*state >> 8) / static_cast<float>(1u << 24) - 0.5f;
    }
}

// A map of such numbers in its frame of zeros.
Floats filled(const Map& map, ptrdiff_t lanes, uint32_t* state) {
    Floats values(map.size() * lanes);
    for (ptrdiff_t c = 0; c < map.channels; ++c)
        for (ptrdiff_t y = 0; y < map.height; ++y)
            fill(values.all().part(map.at(c, y, 0) * lanes, map.width * lanes), state);
    return values;
}

}  // namespace

void ConvolutionShape::check() const {
    const bool fits = padding >= 0 && padding < kernel && side + 2 * padding >= kernel && side >= 1;
    if (inputs < 1 || outputs < 1 || (kernel != 1 && kernel != 3) || !fits)
        throw std::invalid_argument("a convolution has channels and a kernel of 1 or 3 that fits its map");
}

Map ConvolutionShape::input() const {
    return {.channels = inputs, .height = side, .width = side, .frame_y = padding, .frame_x = padding};
}

Map ConvolutionShape::z() const {
    const ptrdiff_t out = side + 2 * padding - kernel + 1;
    return {.channels = outputs, .height = out, .width = out, .frame_y = 0, .frame_x = kernel - 1 - padding};
}

Speed time_multiply_adds(const Kernels& kernels, int64_t rounds) {
    Speed speed{};
    volatile float kept = 0;
    speed.time_s = seconds([&] {
        float sum = 0;
        speed.work = kernels.multiply_adds(rounds, &sum);
        kept = sum;
    });
    return speed;
}

Speed time_convolution(const Kernels& kernels, Pass pass, const ConvolutionShape& shape,
                       int64_t repetitions) {
    shape.check();
    if (repetitions < 1) throw std::invalid_argument("a convolution has at least one repetition");
    const Map input = shape.input(), z = shape.z();
    const Convolution forward = kernels.convolution(shape.kernel, shape.padding, input, z, false);
    const Convolution backward =
        kernels.convolution(shape.kernel, shape.kernel - 1 - shape.padding, z, input, false);

    uint32_t state = 1;
    const Floats input_values = filled(input, kernels.lanes, &state),
                 z_values = filled(z, kernels.lanes, &state);
    const Floats weights(forward.weights()), gradient(forward.weights());
    fill(weights.all(), &state);
    const Floats bias(std::max(shape.inputs, shape.outputs));
    const Floats packed(std::max(forward.packed, backward.packed));
    const Floats scratch(std::max({forward.scratch, forward.gradient_scratch, backward.scratch}));
    if (pass == Pass::input_gradient)
        kernels.pack_transposed(backward, weights.all(), packed.all());
    else
        kernels.pack_weights(forward, weights.all(), {}, packed.all());

    const auto once = [&] {
        if (pass == Pass::forward)
            kernels.convolve(forward, input_values.all(), packed.all(), bias.all(), z_values.all(), {},
                             scratch.all());
        else if (pass == Pass::input_gradient)
            kernels.convolve(backward, z_values.all(), packed.all(), bias.all(), input_values.all(), {},
                             scratch.all());
        else
            kernels.weight_gradient(forward, input_values.all(), z_values.all(), scratch.all(),
                                    gradient.all());
    };
    once();  // into the caches
    const double time_s = seconds([&] {
        for (int64_t i = 0; i < repetitions; ++i) once();
    });
    return {.work = static_cast<double>(repetitions) * static_cast<double>(kernels.lanes), .time_s = time_s};
}

}  // namespace under20k
