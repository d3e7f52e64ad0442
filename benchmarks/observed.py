"""Run an ``under20k`` command and report its memory and the time at which training began.

Usage: python -m benchmarks.observed FILE train minimal ...

FILE gets JSON. Only the standard library is loaded before the command's own modules.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def peak_bytes() -> int | None:
    """This process's largest resident size since it was loaded, by Linux's VmHWM; None elsewhere."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024  # the kernel says kB and means KiB


def main() -> int:
    """Run the command; its exit code."""
    from under20k.cli.main import main as under20k
    from under20k.engine.native_engine import NativeEngine

    first_step: list[float] = []
    train_epoch = NativeEngine.train_epoch

    def observed(*arguments: Any, **options: Any) -> Any:
        first_step.append(time.monotonic())
        return train_epoch(*arguments, **options)

    NativeEngine.train_epoch = observed  # type: ignore[method-assign]
    code = under20k(sys.argv[2:])
    told = {
        "first_step": first_step[0] if first_step else None,
        "peak_bytes": peak_bytes(),
        "torch": "torch" in sys.modules,
    }
    Path(sys.argv[1]).write_text(json.dumps(told), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
