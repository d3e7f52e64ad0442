#!/usr/bin/env bash
# The native engine under AddressSanitizer and UndefinedBehaviorSanitizer, then under ThreadSanitizer: every
# kernel on every instruction set of this processor, at odd sizes, with several threads (native/exercise.py).
#
# Usage: native/sanitize.sh [PYTHON]   (one that has under20k, nanobind, cmake and ninja)
#
# Sanitizers have to be loaded before the interpreter, hence LD_PRELOAD. Leaks are not looked for: the
# interpreter leaks by design.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-.venv/bin/python}")
export PATH="$(dirname "$python"):$PATH"

run() {  # name, sanitizers, their library
    local build=build/sanitize-$1
    mkdir -p "$build"
    cmake -S native -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPython_EXECUTABLE="$python" \
        -DUNDER20K_SANITIZE="$2" > "$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
    cmake --build "$build" --parallel 2
    LD_PRELOAD=$(g++ -print-file-name="$3") \
        ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 \
        "$python" native/exercise.py "$build"/_native*.so
    echo "$2: nothing found"
}

run address address,undefined libasan.so
run thread thread libtsan.so
