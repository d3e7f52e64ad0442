#include "speed.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "memory.h"

namespace under20k {

namespace {

template <typename Work>
double seconds(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Numbers in ±0.5 that repeat late and have no pattern that a kernel could profit from.
void fill(float* values, ptrdiff_t count, uint32_t* state) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        *state = *state * 1664525u + 1013904223u;
        values[i] = static_cast<float>(*state >> 8) / static_cast<float>(1u << 24) - 0.5f;
    }
}

// A map of such numbers in its frame of zeros.
Floats filled(const Map& map, int lanes, uint32_t* state) {
    Floats values = zeroed(static_cast<size_t>(map.size() * lanes));
    for (int c = 0; c < map.channels; ++c)
        for (int y = 0; y < map.height; ++y)
            fill(values.get() + map.at(c, y, 0) * lanes, static_cast<ptrdiff_t>(map.width) * lanes, state);
    return values;
}

}  // namespace

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

Speed time_convolution(const Kernels& kernels, Pass pass, int kernel, int padding, int inputs, int outputs, int side,
                       int64_t repetitions) {
    const int out = side + 2 * padding - kernel + 1;
    if (inputs < 1 || outputs < 1 || (kernel != 1 && kernel != 3) || padding < 0 || padding >= kernel || out < 1 || repetitions < 1)
        throw std::invalid_argument("a convolution has channels, a kernel of 1 or 3 that fits its map, and repetitions");
    const Map input{inputs, side, side, padding, padding}, z{outputs, out, out, 0, kernel - 1 - padding};
    const Convolution forward = kernels.convolution(kernel, padding, input, z, false);
    const Convolution backward = kernels.convolution(kernel, kernel - 1 - padding, z, input, false);

    uint32_t state = 1;
    const auto count = static_cast<ptrdiff_t>(outputs) * inputs * kernel * kernel;
    Floats of_input = filled(input, kernels.lanes, &state), of_z = filled(z, kernels.lanes, &state);
    Floats weights = zeroed(static_cast<size_t>(count)), gradient = zeroed(static_cast<size_t>(count));
    fill(weights.get(), count, &state);
    Floats bias = zeroed(static_cast<size_t>(std::max(inputs, outputs)));
    Floats packed = zeroed(static_cast<size_t>(std::max(forward.packed, backward.packed)));
    Floats scratch = zeroed(
        static_cast<size_t>(std::max({forward.scratch, forward.gradient_scratch, backward.scratch})));
    if (pass == Pass::input_gradient)
        kernels.pack_transposed(backward, weights.get(), packed.get());
    else
        kernels.pack_weights(forward, weights.get(), nullptr, packed.get());

    const auto once = [&] {
        switch (pass) {
            case Pass::forward:
                return kernels.convolve(forward, of_input.get(), packed.get(), bias.get(), of_z.get(), Finish::plain,
                                        nullptr, kernels.lanes, scratch.get());
            case Pass::input_gradient:
                return kernels.convolve(backward, of_z.get(), packed.get(), bias.get(), of_input.get(), Finish::plain,
                                        nullptr, kernels.lanes, scratch.get());
            case Pass::weight_gradient:
                return kernels.weight_gradient(forward, of_input.get(), of_z.get(), scratch.get(), gradient.get());
        }
    };
    once();  // into the caches
    const double time_s = seconds([&] {
        for (int64_t i = 0; i < repetitions; ++i) once();
    });
    return {static_cast<double>(repetitions) * kernels.lanes, time_s};
}

}  // namespace under20k
