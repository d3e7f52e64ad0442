"""The folders that trainings read and write."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from under20k.engine.base import Compute
from under20k.errors import InvalidValue
from under20k.recipe.fields import instance


@dataclass(frozen=True, init=False)
class Places:
    """The folders that trainings read and write."""

    runs: Path
    """Parent of the run folders."""
    benches: Path
    """Parent of the bench folders."""
    data: Path | None
    """Folder with MNIST; None for ``UNDER20K_DATA_DIR`` or the platform's cache folder."""

    def __init__(
        self, runs: Path | str = "runs", benches: Path | str = "benches", data: Path | str | None = None
    ) -> None:
        object.__setattr__(self, "runs", Path(runs))
        object.__setattr__(self, "benches", Path(benches))
        object.__setattr__(self, "data", None if data is None else Path(data))


def check_compute_and_places(compute: object, places: object) -> None:
    """Raise UserError for arguments of another type, such as ``compute="native"``."""
    instance("compute", compute, Compute, "a Compute, such as Compute(engine='native')")
    instance("places", places, Places, "a Places, such as Places(runs='runs')")


_ARGUMENTS = {
    **{name: f"compute=Compute({name}=…)" for name in ("engine", "device", "precision", "threads")},
    **{f"{name}_dir": f"places=Places({name}=…)" for name in ("runs", "benches", "data")},
    **dict.fromkeys(("gpu", "cuda"), "compute=Compute(device='cuda')"),
    **dict.fromkeys(("output", "output_dir", "out_dir", "save_dir"), "places=Places(runs=…)"),
    **dict.fromkeys(("data", "dataset", "data_path", "root"), "places=Places(data=…)"),
    **dict.fromkeys(("workers", "num_workers", "n_jobs"), "jobs=…, which bench and reproduce take"),
    "seeds": "bench(…, seeds=…) for several, or seed=…",
    "resume": 'existing="resume"',
    "overwrite": 'existing="replace"',
}


def check_settings(names: Collection[str]) -> None:
    """Raise InvalidValue for an option of the command line that Python takes as another argument."""
    for name in names:
        if name in _ARGUMENTS:
            raise InvalidValue(f"recipes have no setting {name!r}; use {_ARGUMENTS[name]}")
