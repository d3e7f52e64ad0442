#include "isa.h"

#include <stdexcept>

namespace under20k {

namespace {

struct Choice {
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
    const Choice choices[] = {
#if defined(UNDER20K_X86)
        {"avx512", avx512, avx512::kernels},
        {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx2::kernels},
#endif
        {"baseline", true, baseline::kernels},
// Those after it are never the widest: they are taken by their names only.
#if defined(UNDER20K_X86)
        {"avx512bf16", avx512 && __builtin_cpu_supports("avx512bf16"), avx512bf16::kernels},
#endif
#if defined(UNDER20K_WIDE)
        {"wide", true, wide::kernels},
#endif
    };
    std::string known, usable;
    for (const Choice& choice : choices) {
        if (choice.present && (name.empty() || name == choice.name)) return choice.kernels();
        known += (known.empty() ? "" : ", ") + std::string(choice.name);
        if (choice.present) usable += (usable.empty() ? "" : ", ") + std::string(choice.name);
        if (name == choice.name)
            throw std::invalid_argument("UNDER20K_ISA: this processor has no " + name);
    }
    throw std::invalid_argument("UNDER20K_ISA: '" + name + "'; known are " + known + ", and this processor has " + usable);
}

}  // namespace under20k
