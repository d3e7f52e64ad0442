#include "bindings/isa.h"

#include <stdexcept>

namespace under20k {

namespace {

struct Candidate {
    const char* name;
    bool present;
    const Kernels& (*kernels)();
};

}  // namespace

const Kernels& choose_kernels(const std::string& name) {
#if defined(UNDER20K_X86)
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    const Candidate candidates[] = {
#if defined(UNDER20K_X86)
        {"avx512", avx512, avx512::kernels},
        {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx2::kernels},
#endif
        {"baseline", true, baseline::kernels},
        // Those below are chosen by name only.
#if defined(UNDER20K_X86)
        {"avx512bf16", avx512 && __builtin_cpu_supports("avx512bf16"), avx512bf16::kernels},
#endif
#if defined(UNDER20K_WIDE)
        {"wide", true, wide::kernels},
#endif
    };
    std::string known, usable;
    for (const Candidate& candidate : candidates) {
        if (candidate.present && (name.empty() || name == candidate.name)) return candidate.kernels();
        known += (known.empty() ? "" : ", ") + std::string(candidate.name);
        if (candidate.present) usable += (usable.empty() ? "" : ", ") + std::string(candidate.name);
        if (name == candidate.name) throw std::invalid_argument("UNDER20K_ISA: this processor has no " + name);
    }
    throw std::invalid_argument("UNDER20K_ISA: '" + name + "'; known are " + known + ", and this processor has " +
                                usable);
}

}  // namespace under20k
