"""The source of a model: ``file.py:Name``, ``package.module:Name``, ``file.ipynb:Name``. Only parsed."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from under20k.checking.source.choice import Models
from under20k.checking.source.claims import NONE, Claims, claims
from under20k.checking.source.classes import LOSS_FUNCTIONS
from under20k.checking.source.constructors import NOTHING, Constructor, constructor
from under20k.checking.source.definitions import definitions
from under20k.checking.source.makings import Choice
from under20k.checking.source.read_source import Source, read_source
from under20k.checking.source.summary import running
from under20k.checking.source.syntax import Piece, last_name, tree_of
from under20k.checking.source.top_level import units
from under20k.errors import UserError, nearest

SUFFIXES = (".py", ".ipynb")


class NoModel(UserError):
    """The file has no model, such as one that only trains."""


@dataclass(frozen=True)
class Target:
    """A model's source, parsed and not run."""

    text: str
    """As the user gave it."""
    path: Path
    pieces: tuple[Piece, ...]
    """The code, for a notebook that of its cells."""
    name: str
    """Of the class, factory or instance."""
    losses: tuple[str, ...]
    """Loss functions that the source names."""
    root: Path
    """Folder in which its imports are looked up first."""
    folders: tuple[str, ...] = ()
    """Folders to look in next; in a folder of submissions, those up to the file's submission."""
    package: str = ""
    """Package of a file next to an ``__init__.py`` or of a dotted name, for its relative imports."""
    is_notebook: bool = False
    """Whether only its definitions run."""
    others: tuple[str, ...] = ()
    """The other model classes of the file."""
    calls: tuple[str, ...] = ()
    """Calls of the constructor in the source, literals filled in: ``Net('BN')``."""
    claims: Claims = NONE
    """Figures that stand in the source or in stored outputs."""
    notes: tuple[str, ...] = ()
    """Parts that were left out or changed."""
    constructor: Constructor = NOTHING
    """The parameters of the class or factory."""

    def missing_arguments(self, given: Iterable[str] = ()) -> str:
        """Return "needs norm_type: give ``--arg norm_type=…``; this file calls it with 'BN', 'GN'".

        Empty if all required parameters are among ``given``.
        """
        return self.constructor.missing(given)

    def summary(self) -> list[str]:
        """Return the code that would run before the model is called: imports and every other statement."""
        imports, runs = [], []
        parts: list[tuple[str, ast.Module]] = []
        if self.is_notebook:
            parts = [(step.place, step.code) for step in definitions(self.pieces, self.name)]
        else:
            parts = [(place, tree_of(source)) for place, source in self.pieces]
        for place, tree in parts:
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    imports += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    imports.append(node.module or ".")
            for part in running(tree.body):
                runs.append(f"runs {Path(place).name}:{part.lineno}: {_first_line(part)}")
        return [f"imports {', '.join(dict.fromkeys(imports)) or 'nothing'}", *runs]


def parse(text: str, folders: Sequence[str] = ()) -> Target:
    """Parse the target that ``text`` names; nothing of it runs.

    Its imports are looked up in ``folders`` too. Raises NoModel if the file has no model, and UserError if
    the file or the name does not exist.
    """
    target, models, choice, source = _parsed(text, folders)
    return _about(target, models, choice, source)


def parse_all(text: str, folders: Sequence[str] = ()) -> list[Target]:
    """Parse the targets of all models of a file, in its order; for a named one, that alone.

    Raises as ``parse`` does.
    """
    target, models, choice, source = _parsed(text, folders)
    if _split(text)[1]:
        return [_about(target, models, choice, source)]
    return [_about(target, models, one, source) for one in models.all()]


def _parsed(text: str, folders: Sequence[str]) -> tuple[Target, Models, Choice, Source]:
    place, name = _split(text)
    path, package = _file(place)
    above = package.split(".") if package else []
    root = path.absolute().parents[len(above)]
    source = read_source(path)
    parts = units(source.pieces)
    models = Models(parts, path, (root, *map(Path, folders), Path.cwd()))
    if name:
        choice = _named(name, models, source)
    elif not (found := models.chosen()):
        raise _no_model(path, source)
    else:
        choice = found
    nodes = [node for _, scope in models.declared.scopes for node in scope.parts]
    words = {last_name(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    losses = sorted(words & LOSS_FUNCTIONS)
    target = Target(
        text,
        path,
        tuple(source.pieces),
        choice.name,
        tuple(losses),
        root,
        tuple(folders),
        package,
        is_notebook=source.is_notebook,
        notes=tuple(source.notes),
    )
    return target, models, choice, source


def _about(target: Target, models: Models, choice: Choice, source: Source) -> Target:
    made = constructor(models.declared, choice)
    others = tuple(other.name for other in models.all() if other.name not in models.made_by(choice))
    return replace(
        target,
        name=choice.name,
        others=others,
        calls=made.calls,
        constructor=made,
        # With several models, only the cells from the one that makes this to the next that makes another.
        claims=claims(source, models.places(choice)),
    )


def _named(name: str, models: Models, source: Source) -> Choice:
    # After a star import any name may exist.
    if name in models.declared.bound or "*" in models.declared.bound:
        node = models.declared.node_of(name)
        kind = "class" if isinstance(node, ast.ClassDef) else "factory" if node else "instance"
        return Choice(name, kind, node)
    choices = models.choices()
    hint = f"; {nearest(name, choices)}" if choices else ", and no model"
    raise UserError(f"{models.declared.path} defines no {name!r}{hint}{_broken(source)}")


def _no_model(path: Path, source: Source) -> UserError:
    lost = [what for what, text in source.broken if re.search(r"\bclass\s+\w|\bnn\b", text)]
    if lost:
        return UserError(f"{path}: {'; '.join(lost)}; the other cells define no model")
    return NoModel(f"{path} defines no model{_broken(source)}; name one if it does, such as {path.name}:Net")


def _broken(source: Source) -> str:
    return "".join(f"; left out: {what}" for what, _ in source.broken)


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
    """Return the file, and the package that a module by its dotted name belongs to."""
    if place.endswith(SUFFIXES):
        path = Path(place)
        if not path.is_file():
            raise UserError(f"{place} is not a file")
        return path, _package(path)
    if not all(part.isidentifier() for part in place.split(".")):
        raise UserError(
            f"{place!r} is not a recipe, a run, a folder, a .py or .ipynb file, or package.module:Name"
        )
    # Found without importing, since a package's __init__ is code too.
    relative = Path(*place.split("."))
    if relative.with_suffix(".py").is_file():
        return relative.with_suffix(".py"), place.rpartition(".")[0]
    if (relative / "__init__.py").is_file():
        return relative / "__init__.py", place
    if "." not in place and (installed := _installed(place)):
        return installed, place if installed.name == "__init__.py" else ""
    raise UserError(f"there is no module {place!r} below the current folder")


def _package(path: Path) -> str:
    """Return the package of a file next to an ``__init__.py``; a notebook has none."""
    folder, parts = path.absolute().parent, list[str]()
    while path.suffix == ".py" and folder.name.isidentifier() and (folder / "__init__.py").is_file():
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts))


def _installed(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # raised for __main__
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def argument(text: str) -> tuple[str, object]:
    """Read ``key=value`` of ``--arg``; the value is JSON (or True, False, None) if it reads so, else text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise UserError(f"--arg {text!r} is not key=value")
    try:
        return key, json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
    except ValueError:
        return key, value
