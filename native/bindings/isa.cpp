#include "bindings/isa.h"

#include <stdexcept>

namespace under20k {

namespace {

struct Candidate {
    const char* name;
    bool present;
    const Kernels& (*kernels)();
};

#if defined(UNDER20K_X86)
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

const Kernels& choose_kernels(const std::string& name) {
    // The widest first; those after the baseline are chosen by name only.
    const Candidate candidates[] = {
#if defined(UNDER20K_X86)
        {.name = "avx512", .present = has_avx512(), .kernels = avx512::kernels},
        {.name = "avx2",
         .present = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
         .kernels = avx2::kernels},
#endif
        {.name = "baseline", .present = true, .kernels = baseline::kernels},
#if defined(UNDER20K_X86)
        {.name = "avx512bf16",
         .present = has_avx512() && __builtin_cpu_supports("avx512bf16"),
         .kernels = avx512bf16::kernels},
#endif
#if defined(UNDER20K_WIDE)
        {.name = "wide", .present = true, .kernels = wide::kernels},
#endif
    };
    std::string known, usable;
    for (const Candidate& candidate : candidates) {
        if (candidate.present && (name.empty() || name == candidate.name)) return candidate.kernels();
        known += (known.empty() ? "" : ", ") + std::string(candidate.name);
        if (candidate.present) usable += (usable.empty() ? "" : ", ") + std::string(candidate.name);
        if (name == candidate.name)
            throw std::invalid_argument("UNDER20K_ISA: this processor has no " + name);
    }
    throw std::invalid_argument("UNDER20K_ISA: '" + name + "'; known are " + known +
                                ", and this processor has " + usable);
}

}  // namespace under20k
