// Faults on purpose, in builds with sanitizers only: a sanitizer that saw nothing would otherwise pass for
// one that found nothing. Each is committed by an instruction set's own kernels, given what the network never
// gives them, so a report also tells that those were built with the sanitizer. faults.py looks for it.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <stdexcept>

#include "isa.h"
#include "memory.h"
#include "thread_pool.h"

namespace under20k {

namespace {

constexpr ptrdiff_t COUNT = 16;

// One float beyond the end of the array.
void overflow(const Kernels& kernels) {
    const Floats weights = zeroed(COUNT), average = zeroed(COUNT);
    kernels.average(0.5f, 0, COUNT + 1, weights.get(), average.get());
}

// 2³² pixels in an int.
void signed_overflow(const Kernels& kernels) {
    float none[1] = {};
    kernels.global_average(Map{0, 1 << 16, 1 << 16, 0, 0}, none, none);
}

// Two threads of the engine's own write to one array.
void race(const Kernels& kernels) {
    const Floats weights = zeroed(COUNT), average = zeroed(COUNT);
    ThreadPool pool(2);
    std::atomic<int> arrived{0};
    pool.run(2, [&](int, int) {
        // Both tasks must be under way, or one thread might do the two in turn. Relaxed, for anything
        // stronger would put them in order.
        arrived.fetch_add(1, std::memory_order_relaxed);
        while (arrived.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
        kernels.average(0.5f, 0, COUNT, weights.get(), average.get());
    });
}

}  // namespace

void add_faults(nanobind::module_& m) {
    m.def("fault", [](const std::string& name, const std::string& isa) {
        const Kernels& kernels = choose_kernels(isa);
        if (name == "overflow") return overflow(kernels);
        if (name == "signed-overflow") return signed_overflow(kernels);
        if (name == "race") return race(kernels);
        throw std::invalid_argument("no fault is called " + name);
    });
}

}  // namespace under20k
