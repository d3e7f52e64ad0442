"""Check that the sanitizers see faults: commit those named (``faults.cpp``), each in a process of its own.

Usage: python faults.py FAULT...     with every instruction set of this processor
"""

from __future__ import annotations

import os
import subprocess
import sys

from exercise import instruction_sets

# What the report on each must say. The last is the function that committed it, or the check that failed.
REPORTS = {
    "overflow": ("heap-buffer-overflow", "{isa}::average"),
    "bounds": ("assertion failed", "average.size >= weights.size"),
    "signed-overflow": ("signed integer overflow", "4294967296 * 4294967296", "{isa}::global_average"),
    "race": ("data race", "{isa}::average"),
}


def main() -> None:
    for fault in sys.argv[1:]:
        for isa in instruction_sets():
            program = f"import sanitized; sanitized.module.fault({fault!r}, {isa!r})"
            ended = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                timeout=120,
                env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))},
            )
            expected = [text.format(isa=isa) for text in REPORTS[fault]]
            if ended.returncode == 0 or any(text not in ended.stderr for text in expected):
                sys.exit(
                    f"the sanitizer does not see the {fault} that faults.cpp commits with {isa}: exit "
                    f"code {ended.returncode}, and not all of {expected} in:\n{ended.stderr}"
                )
            print(f"{fault}, {isa}: seen")


if __name__ == "__main__":
    main()
