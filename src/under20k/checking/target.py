"""Where a model comes from: ``file.py:Name``, ``package.module:Name``, ``file.ipynb:Name``. Only parsed."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from under20k.checking.notebook import PARSE_ERRORS, Piece, cells, definitions, needed
from under20k.checking.running import running
from under20k.errors import UserError, nearest
from under20k.files import read_text

SUFFIXES = (".py", ".ipynb")
INSTANCES = ("net", "model")
NOT_SUBMISSIONS = ("__init__.py", "conftest.py", "setup.py")


@dataclass(frozen=True)
class Target:
    """A model's source, parsed and not run."""

    text: str
    """As the user gave it."""
    path: Path
    pieces: tuple[Piece, ...]
    """The code: of a notebook, that of its cells."""
    name: str
    """Of the class, factory or instance."""
    losses: tuple[str, ...]
    """Loss functions that the source names."""
    root: Path
    """The folder that its imports are looked up in first."""
    package: str = ""
    """Of a module given by its dotted name, for its relative imports."""

    @property
    def is_notebook(self) -> bool:
        """Whether only its definitions run."""
        return self.path.suffix == ".ipynb"

    def summary(self) -> list[str]:
        """What would run before the model is called: what is imported, and every other statement."""
        imports, runs = [], []
        wanted = needed((source for _, source in self.pieces), self.name)
        for place, source in self.pieces:
            tree = definitions(source, wanted) if self.is_notebook else ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    imports += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    imports.append(node.module or ".")
            for part in running(tree.body):
                runs.append(f"runs {Path(place).name}:{part.lineno}: {_first_line(part)}")
        return [f"imports {', '.join(dict.fromkeys(imports)) or 'nothing'}", *runs]


def parse(text: str) -> Target:
    """The target that ``text`` names, nothing of it run. Raises UserError where there is none."""
    place, name = _split(text)
    path, package = _file(place)
    above = package.split(".") if package else []
    root = path.absolute().parents[len(above)]
    pieces = cells(path) if path.suffix == ".ipynb" else [(str(path), _source(path))]
    tree = ast.Module([], [])
    try:
        for _, source in pieces:
            tree.body += ast.parse(source, str(path)).body
    except PARSE_ERRORS as error:
        raise UserError(f"{path} is not Python: {error}") from error
    defined = _defined(tree)
    name = name or _model_class(tree, path)
    if name not in defined and "*" not in defined:  # where all of a module is imported, anything may be
        raise UserError(f"{path} defines no {name!r}; {nearest(name, defined)}")
    words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    words |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    losses = sorted(words & {"nll_loss", "NLLLoss", "cross_entropy", "CrossEntropyLoss"})
    return Target(text, path, tuple(pieces), name, tuple(losses), root, package)


def submissions(folder: Path) -> list[Path]:
    """The Python files and notebooks below a folder, sorted. Raises UserError where there are none."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and path.name not in NOT_SUBMISSIONS
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UserError(f"{folder} holds no .py or .ipynb file")
    return found


def _first_line(node: ast.AST) -> str:
    try:
        return ast.unparse(node).splitlines()[0][:80]
    except RecursionError:
        return "a statement nested too deep to be shown"


def _split(text: str) -> tuple[str, str]:
    place, colon, name = text.rpartition(":")
    if colon and name.isidentifier():
        return place, name
    return text, ""


def _file(place: str) -> tuple[Path, str]:
    """The file, and the package that a module by its dotted name belongs to."""
    if place.endswith(SUFFIXES):
        path = Path(place)
        if not path.is_file():
            raise UserError(f"{place} is not a file")
        return path, ""
    if not all(part.isidentifier() for part in place.split(".")):
        raise UserError(f"{place!r} is no recipe, run, folder, .py, .ipynb or package.module:Name")
    # Found without importing, since a package's __init__ is code too.
    relative = Path(*place.split("."))
    if relative.with_suffix(".py").is_file():
        return relative.with_suffix(".py"), place.rpartition(".")[0]
    if (relative / "__init__.py").is_file():
        return relative / "__init__.py", place
    if "." not in place and (installed := _installed(place)):
        return installed, place if installed.name == "__init__.py" else ""
    raise UserError(f"there is no module {place!r} below the current folder")


def _source(path: Path) -> str:
    return read_text(path).removeprefix("\ufeff")  # with which some editors begin


def _installed(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # of __main__
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _defined(tree: ast.Module) -> list[str]:
    """What the source defines or imports; ``*`` where it imports all that a module has."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.ImportFrom):
            names.extend(alias.asname or alias.name for alias in node.names)
    return names


def _model_class(tree: ast.Module, path: Path) -> str:
    """The class that is a model and that no other class here uses, the last of several; else an instance."""
    bases = {
        node.name: [getattr(base, "attr", getattr(base, "id", "")) for base in node.bases]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    models = [name for name, above in bases.items() if _is_model(above, bases, set())]
    uses = {
        part.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id != node.name
    }
    # Else one whose base comes from elsewhere, else what is called as a model is.
    models = models or [name for name, above in bases.items() if above]
    tops = [name for name in models if name not in uses] or models
    tops = tops or [name for name in INSTANCES if name in _defined(tree)]
    if not tops:
        raise UserError(f"{path} defines no class of nn.Module; name what to check, such as {path.name}:Net")
    return tops[-1]


def _is_model(above: Sequence[str], bases: dict[str, list[str]], seen: set[str]) -> bool:
    for base in above:
        if base in ("Module", "Sequential"):
            return True
        if base in bases and base not in seen and _is_model(bases[base], bases, seen | {base}):
            return True
    return False


def argument(text: str) -> tuple[str, object]:
    """``key=value`` of ``--arg``: a number, true, a list where it reads as one in JSON, else the text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise UserError(f"--arg {text!r} is not key=value")
    try:
        return key, json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
    except ValueError:
        return key, value
