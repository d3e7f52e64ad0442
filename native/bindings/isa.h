// Which instruction set's kernels run.

#pragma once

#include <string>

#include "kernels/kernels.h"

namespace under20k {

// The widest that this processor has, or the one called `name`. Throws std::invalid_argument if the processor
// lacks it or the name is unknown.
const Kernels& choose_kernels(const std::string& name);

}  // namespace under20k
