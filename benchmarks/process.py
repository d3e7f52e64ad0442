"""A training as a process: its memory, and how soon after the command it trains."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.amount import Amount
from under20k.data import load
from under20k.errors import UserError

TIMEOUT_S = 600


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values, turn by turn: bytes resident at most, seconds from the command to the first step."""
    load()  # so that no turn fetches the images
    command = ["train", *amount.train, "--engine", "native"]
    turns = []
    for turn in range(amount.rounds):
        turns.append(observe(command))
        tell(f"turn {turn + 1} of {amount.rounds}: training began after {turns[-1]['start_s']:.2f} s")
    return {
        "command": " ".join(["under20k", *command]),
        "start_s": [turn["start_s"] for turn in turns],
        "peak_bytes": [turn["peak_bytes"] for turn in turns],
        "torch": any(turn["torch"] for turn in turns),
    }


def observe(command: list[str]) -> dict[str, Any]:
    """One run of the command in a folder of its own. Raises UserError where it fails."""
    with tempfile.TemporaryDirectory(prefix="under20k-benchmark-") as folder:
        file = Path(folder) / "observed.json"
        started = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.observed", str(file), *command, "--runs-dir", folder],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if run.returncode or not file.exists():
            said = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
            raise UserError(f"a training that was to be measured failed: {said}")
        told = json.loads(file.read_text(encoding="utf-8"))
    return {
        "start_s": told["first_step"] - started,
        "peak_bytes": told["peak_bytes"],
        "torch": told["torch"],
    }
