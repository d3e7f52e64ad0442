"""The statements that have to run for a model to be made: its definitions, without the training.

``definitions`` reads a source's top-level statements backwards from the model: what its class, its methods
and their functions read, and which statements bind or change those names. No code runs here.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import CodeType

from under20k.checking.source.names import Names, body_of, scan
from under20k.checking.source.reduce_block import reduced
from under20k.checking.source.syntax import FUNCTIONS, IMPORTS, Piece, around, outside_functions
from under20k.checking.source.top_level import Unit, units

# Methods of nn.Module that are called without the model naming them.
CALLED_METHODS = frozenset(
    (
        *("forward", "train", "eval", "extra_repr", "parameters", "named_parameters", "modules"),
        *("named_modules", "children", "named_children", "buffers", "named_buffers", "to", "apply"),
        *("_apply", "state_dict", "load_state_dict", "requires_grad_"),
    )
)


@dataclass(frozen=True)
class Step:
    """One top-level statement, to be run by itself."""

    place: str
    """Place of its piece: the file, or ``work.ipynb In [3]``."""
    code: ast.Module
    defines: frozenset[str]
    """The names that it binds."""
    required: bool
    """Whether the model needs it; else it may fail."""
    line: int
    flags: int = 0
    """The compiler's, of ``from __future__`` imports that hold there."""

    def compile(self) -> CodeType:
        """Compile the statement. Raises SyntaxError, ValueError, RecursionError … as ``compile`` does."""
        code: CodeType = compile(self.code, self.place, "exec", self.flags, dont_inherit=True)
        return code


def definitions(pieces: Iterable[Piece], name: str, known_missing: Sequence[str] = ()) -> list[Step]:
    """Return the statements to run for ``name``, in source order. Never raises.

    Imports (each name by itself), functions, classes and constants are kept, and everything else that the
    class, function or instance needs: globals made by a call, under ``if``, ``try``, ``with`` or ``for``,
    changes of those, replaced methods. A statement moves only if one before it could not run otherwise.

    Args:
        pieces: of the source; those that do not parse are left out.
        name: of the model; empty for everything that any class or function needs.
        known_missing: packages whose imports are left out unless required.
    """
    found = units(pieces)
    defined = [u.node.name for u in found if isinstance(u.node, (*FUNCTIONS, ast.ClassDef))]
    for wanted in [name] if name else defined:
        _Needs(found, wanted).find()
    last = {n: index for index, unit in enumerate(found) for n in unit.needed & unit.binds}
    steps = []
    for index, unit in enumerate(found):
        replaced = any(index > last.get(n, index) for n in unit.binds)
        missing = isinstance(unit.node, IMPORTS) and _package(unit.node) in known_missing
        if unit.needed:
            node: ast.stmt | None = reduced(unit.node, unit.needed) if unit.sliced else unit.node
        else:
            node = None if not unit.kept or replaced or missing else unit.node
        if node is not None:
            module = ast.Module([node], [])
            steps.append(
                Step(
                    unit.place, module, frozenset(unit.binds), bool(unit.needed), unit.node.lineno, unit.flags
                )
            )
    return _in_order(steps)


class _Needs:
    """Marks the units that a name needs."""

    def __init__(self, found: list[Unit], name: str) -> None:
        self.units, self.name = found, name
        self.makers: dict[str, list[int]] = {}
        for index, unit in enumerate(found):
            for n in unit.binds | unit.changes:
                self.makers.setdefault(n, []).append(index)
        self.stars = [index for index, unit in enumerate(found) if "*" in unit.binds]
        self.imported = {n for unit in found if isinstance(unit.node, IMPORTS) for n in unit.binds}
        self.seen: set[tuple[str, int]] = set()
        self.work: list[tuple[str, int]] = []
        self.attributes: set[str] = set(CALLED_METHODS)
        self.classes: set[tuple[int, int]] = set()
        self.done: set[tuple[int, int, int]] = set()

    def find(self) -> None:
        """Follow all needs to their end."""
        end = self._use()
        self.work = [(self.name, end)]
        while self.work or self._methods():
            name, at = self.work.pop()
            if (name, at) in self.seen:
                continue
            self.seen.add((name, at))
            reached = self._reaching(name, at)
            if not reached and not hasattr(builtins, name):
                reached = [index for index in self.stars if index < at]
                for index in reached:
                    self.units[index].needed.add("*")
            for index in reached:
                self._need(index, name, at)
        for unit in self.units:  # import a.b.c is needed where a.b.c is read
            alias = unit.node.names[0] if isinstance(unit.node, ast.Import) and unit.needed else None
            if alias and not alias.asname and not set(alias.name.split(".")[1:]) <= self.attributes:
                unit.needed.clear()

    def _use(self) -> int:
        """Return where the source has all that the class needs: after it is made last, or at the end."""
        made = [
            index
            for index, unit in enumerate(self.units)
            if any(
                isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == self.name
                for part in outside_functions(unit.node)
            )
        ]
        bound = max(
            (i for i in self.makers.get(self.name, ()) if self.name in self.units[i].binds), default=0
        )
        return max(made[-1] + 1, bound + 1) if made else len(self.units)

    def _reaching(self, name: str, at: int) -> list[int]:
        """Return the units that give ``name`` the value that it has before unit ``at``."""
        found: list[int] = []
        bound = False
        makers = self.makers.get(name, [])
        for index in reversed([i for i in makers if i < at]):
            unit = self.units[index]
            binds = name in unit.binds
            if not binds and name in self.imported:
                continue  # torch.backends.cudnn.benchmark = True
            if not self._usable(unit, name):
                continue
            found.append(index)
            bound = bound or binds
            if binds and unit.replaces:
                break
        if not bound:  # cells may have run in another order
            later = (i for i in makers if i >= at and name in self.units[i].binds)
            found += [i for i in later if self._usable(self.units[i], name)][:1]
        return found

    def _usable(self, unit: Unit, name: str) -> bool:
        names = unit.names
        if unit.sliced:
            part = reduced(unit.node, {name})
            if part is None:
                return False
            names = scan([part])
        elif unit.trains:
            return False
        # Not model = train(model), model = model.to(device).
        return name != self.name or name not in names.binds & names.now

    def _need(self, index: int, name: str, at: int) -> None:
        unit = self.units[index]
        unit.needed.add(name)
        if isinstance(unit.node, FUNCTIONS):
            inner = body_of(unit.node, bool(unit.flags))
            self.attributes |= inner.attributes
            self.work += [(n, index) for n in unit.names.now]
            self.work += [(n, at) for n in inner.now]
        elif isinstance(unit.node, ast.ClassDef):
            self.attributes |= scan(around(unit.node)).attributes
            self.work += [(n, index) for n in unit.names.now]
            self.classes.add((index, at))
        elif unit.sliced:
            part = reduced(unit.node, unit.needed)
            names = scan([part], lazy_annotations=bool(unit.flags)) if part else Names()
            self.attributes |= names.attributes
            self.work += [(n, index) for n in names.now | names.later]
        else:
            self.attributes |= unit.names.attributes
            self.work += [(n, index) for n in unit.names.now | unit.names.later]
            self.work += [(n, index) for n in unit.changes if n != name and n not in self.imported]

    def _methods(self) -> bool:
        """Add the needs of methods that have become reachable; return whether there are any."""
        while True:
            before = len(self.attributes), len(self.done)
            for index, at in list(self.classes):
                self._methods_of(index, at)
            if (len(self.attributes), len(self.done)) == before:
                return bool(self.work)

    def _methods_of(self, index: int, at: int) -> None:
        unit = self.units[index]
        assert isinstance(unit.node, ast.ClassDef)
        for number, statement in enumerate(unit.node.body):
            key = (index, at, number)
            if key in self.done or not self._reachable(statement):
                continue
            self.done.add(key)
            if isinstance(statement, FUNCTIONS):
                inner = body_of(statement, bool(unit.flags))
                self.work += [(n, at) for n in inner.now]
            else:
                inner = scan([statement], lazy_annotations=bool(unit.flags))
                self.work += [(n, at) for n in inner.later]
            self.attributes |= inner.attributes

    def _reachable(self, statement: ast.stmt) -> bool:
        if not isinstance(statement, FUNCTIONS):
            return True
        name, args = statement.name, statement.args
        if name in ("train", "eval", "test") and len(args.posonlyargs + args.args) > 2:
            return False  # it trains
        return (name.startswith("__") and name.endswith("__")) or name in self.attributes


def _package(node: ast.stmt) -> str:
    if isinstance(node, ast.Import):
        return node.names[0].name.partition(".")[0]
    return (
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) and not node.level else ""
    )


def _in_order(steps: list[Step]) -> list[Step]:
    """Move a required step's dependencies before it if they come after (cells run in another order)."""
    makers: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        for name in step.defines:
            makers.setdefault(name, []).append(index)
    order: list[int] = []
    placed: set[int] = set()
    for start in range(len(steps)):
        stack = [start]
        while stack:
            index = stack[-1]
            if index in placed:
                stack.pop()
                continue
            before = []
            if steps[index].required:
                for name in scan(steps[index].code.body, lazy_annotations=bool(steps[index].flags)).now:
                    made = makers.get(name, [])
                    if made and not any(i in placed or i < index for i in made):
                        before += [i for i in made[:1] if i not in stack and steps[i].required]
            if before:
                stack += before
            else:
                placed.add(index)
                order.append(index)
                stack.pop()
    return [steps[index] for index in order]
