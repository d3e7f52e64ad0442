#!/usr/bin/env bash
# The native engine under AddressSanitizer with UndefinedBehaviorSanitizer, then under ThreadSanitizer. Under each,
# deliberate faults must be seen (faults.py), then exercise.py and the tests in tests/native must run without a report.
# The first report ends everything.
#
# Usage: tests/native/sanitize/sanitize.sh [PYTHON]   (one with under20k and its groups test and sanitize; CXX names the g++)
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=$(realpath -s "${1:-.venv/bin/python}")
export PATH="$(dirname "$python"):$PATH" PYTHONPATH="$PWD/tests/native/sanitize"
cxx=${CXX:-g++}
fail() {
    echo "sanitize.sh: $*" >&2
    exit 1
}

# ThreadSanitizer and some versions of AddressSanitizer cannot start where the system randomises addresses too widely.
# Containers may not allow less; then it may work anyway.
unrandomised=()
if setarch "$(uname -m)" -R true 2> /dev/null; then unrandomised=(setarch "$(uname -m)" -R); fi

# GCC before 12.4 misaligns vectors of 64 bytes on the stack that this option of AddressSanitizer takes (its bug 110027),
# and a program with AVX-512 crashes.
use_after_return=1
if grep -qs avx512f /proc/cpuinfo; then use_after_return=0; fi

run() {  # name, sanitizers, faults
    local name=$1 sanitizers=$2 build=build/sanitize-$1 module libraries
    read -ra faults <<< "$3"
    SECONDS=0
    step() { printf '%s %3d s: %s\n' "$name" "$SECONDS" "$*"; }

    mkdir -p "$build"
    echo 'int main() { return 0; }' > "$build/probe.cpp"
    "$cxx" "-fsanitize=$sanitizers" "$build/probe.cpp" -o "$build/probe" 2> "$build/probe.log" || fail \
        "$cxx cannot build with -fsanitize=$sanitizers: $(tail -n 1 "$build/probe.log"). It needs g++ with" \
        "libasan, libubsan and libtsan (on Debian and Ubuntu they come with g++, on Fedora they are packages)"
    "${unrandomised[@]}" "$build/probe" || fail \
        "a program built with -fsanitize=$sanitizers does not start here; if it speaks of memory mappings" \
        "above, try: sysctl vm.mmap_rnd_bits=28"

    rm -f "$build/CMakeCache.txt"  # with another compiler than the last CMake would forget the other settings
    cmake -S native -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$cxx" \
        -DPython_EXECUTABLE="$python" -DUNDER20K_SANITIZE="$sanitizers" -DUNDER20K_WIDE=ON > "$build/build.log" 2>&1 &&
        cmake --build "$build" --parallel 2 >> "$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
    step built
    module=$(echo "$PWD/$build"/_native*.so)
    # They must be loaded before the interpreter, and the C++ library before AddressSanitizer looks for __cxa_throw. The
    # interpreter leaks by design, so leaks are not reported.
    libraries=$(ldd "$module" | awk '$1 ~ /^lib(asan|tsan|stdc\+\+)\./ { print $3 }' | paste -sd ' ')
    watched() {
        "${unrandomised[@]}" env LD_PRELOAD="$libraries" UNDER20K_SANITIZED="$module" \
            ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=$use_after_return UBSAN_OPTIONS=print_stacktrace=1 \
            TSAN_OPTIONS=halt_on_error=1 "$python" "$@"
    }
    watched tests/native/sanitize/faults.py "${faults[@]}"
    step deliberate faults seen
    watched tests/native/sanitize/exercise.py
    step exercised
    # With --capture=fd a report would be lost, since the process ends with it.
    UNDER20K_EXAMPLES=3 watched -m pytest -p sanitized -p no:cacheprovider --capture=sys --quiet \
        -m "not unsanitized" tests/native
    step nothing found
}

run address address,undefined,float-cast-overflow "overflow bounds signed-overflow"
run thread thread race
