// Deliberate faults, in builds with sanitizers only: a sanitizer that does not work would otherwise pass for
// one that finds nothing. Each is committed by an instruction set's own kernels, on arguments that the
// network never passes, so the report also proves that those were built with the sanitizer. faults.py looks
// for it.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <stdexcept>

#include "bindings/isa.h"
#include "network/memory.h"
#include "network/thread_pool.h"

namespace under20k {

namespace {

constexpr ptrdiff_t COUNT = 16;

// One float beyond the end of the array, in a span that claims to have it.
void overflow(const Kernels& kernels) {
    const Floats weights(COUNT), average(COUNT);
    kernels.average(0.5f, {weights.all().data, COUNT + 1}, {average.all().data, COUNT + 1});
}

// A span that is too short.
void bounds(const Kernels& kernels) {
    const Floats weights(COUNT), average(COUNT);
    kernels.average(0.5f, weights.all(), average.all().part(0, COUNT - 1));
}

// 2⁶⁴ pixels in a ptrdiff_t.
void signed_overflow(const Kernels& kernels) {
    constexpr ptrdiff_t SIZE = ptrdiff_t{1} << 32;
    kernels.global_average({.channels = 0, .height = SIZE, .width = SIZE, .frame_y = 0, .frame_x = 0}, {},
                           {});
}

// Two of the engine's own threads write to one array.
void race(const Kernels& kernels) {
    const Floats weights(COUNT), average(COUNT);
    ThreadPool pool(2);
    std::atomic<int> arrived{0};
    pool.run(2, [&](ptrdiff_t, ptrdiff_t) {
        // Both tasks must be under way, or one thread might do both in turn. Relaxed, because anything
        // stronger would order them.
        arrived.fetch_add(1, std::memory_order_relaxed);
        while (arrived.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
        kernels.average(0.5f, weights.all(), average.all());
    });
}

}  // namespace

void add_faults(nanobind::module_& m) {
    m.def("fault", [](const std::string& name, const std::string& isa) {
        const Kernels& kernels = choose_kernels(isa);
        if (name == "overflow") return overflow(kernels);
        if (name == "bounds") return bounds(kernels);
        if (name == "signed-overflow") return signed_overflow(kernels);
        if (name == "race") return race(kernels);
        throw std::invalid_argument("no fault is called " + name);
    });
}

}  // namespace under20k
