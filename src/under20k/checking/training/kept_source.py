"""A model's source as a worker takes it: the code itself, run there as far as the model needs it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.checking.ownership import Ownership
from under20k.checking.source.syntax import Piece
from under20k.errors import UserError

if TYPE_CHECKING:
    from torch import nn

LOADING_LIMIT_S = 60.0


@dataclass(frozen=True)
class KeptSource:
    """A ``ModuleSource`` of a file and the author's modules that it imports. It can be pickled."""

    path: str
    """Of the file among ``files``."""
    files: Mapping[str, bytes] = field(repr=False)
    """The file and the modules, by their paths below the folder that imports are looked up in."""
    pieces: Sequence[Piece] = field(repr=False)
    """The code of the file."""
    name: str
    """Of the class, factory or instance."""
    arguments: Mapping[str, Any]
    package: str
    layout: str
    whole: bool
    """Whether the file runs as it stands, not its definitions alone."""

    def load(self) -> nn.Module:
        """Return the model, newly made, in this process. Raises UserError if its code fails."""
        from under20k.checking.sandbox.cpu_only import CpuOnly, keep_on_cpu
        from under20k.checking.sandbox.explain_error import Explainer
        from under20k.checking.sandbox.load_model import Loader

        with self._written() as folder:
            explain = Explainer(Ownership([str(folder)], (place for place, _ in self.pieces)), [folder])
            arguments = dict(self.arguments)
            path = str(folder / self.path)
            loader = Loader(path, self.name, self.pieces, self.package, arguments, "", explain)
            try:
                with CpuOnly(explain.running_line):
                    return keep_on_cpu(loader.load(self.whole, LOADING_LIMIT_S))
            except Exception as error:
                raise UserError(f"{self.name} of {self.path}: {explain.why_broken(error)}") from error

    @contextlib.contextmanager
    def _written(self) -> Iterator[Path]:
        """Give the block a folder with the files, in which imports are looked up first."""
        path, finders = list(sys.path), list(sys.meta_path)
        with tempfile.TemporaryDirectory(prefix="under20k-model-") as scratch:
            folder = Path(scratch).resolve()
            for name, data in self.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            sys.path.insert(0, str(folder))
            try:
                yield folder
            finally:
                sys.path[:], sys.meta_path[:] = path, finders
                for module in [n for n, m in sys.modules.items() if _is_below(m, folder)]:
                    del sys.modules[module]  # another model may have modules of the same names


def _is_below(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file).is_relative_to(folder)
