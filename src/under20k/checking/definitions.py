"""What has to run for a model to be made: its definitions, one by one, without the training.

``definitions`` reads a source's top-level statements backwards from the model: what its class, its methods and
their functions read, and which statements bind or change those names. No code runs here.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType

from under20k.checking.notebook import IMPORTS, PARSE_ERRORS, WRITEFILE, Piece, is_constant
from under20k.checking.scopes import (
    FUNCTIONS,
    Names,
    body_of,
    changed,
    imported,
    outside_functions,
    root_of,
    scan,
)

ANNOTATIONS_FLAG = 0x1000000  # of __future__.annotations
"""The compiler flag of ``from __future__ import annotations``, the only such import that still has one."""
# Of nn.Module, called without the model naming them.
CALLED_METHODS = frozenset(
    "forward train eval extra_repr parameters named_parameters modules named_modules children named_children"
    " buffers named_buffers to apply _apply state_dict load_state_dict requires_grad_".split()
)
TRAINING_METHODS = frozenset("backward zero_grad fit fit_one_cycle".split())
STEPPING = re.compile(r"(?i)optim|^opt\w?$|sched|scaler")
TRAINING_FUNCTIONS = re.compile(
    r"(?i)^_?(do_|run_|start_|model_)?(train(er|ing)?|fit|test|eval(uate)?|valid(ate)?|main|experiment|run|learn)"
    r"(_?(model|net|network|epochs?|one_epoch|loop|and_\w+|all|fn|step))?s?\d?$"
)
LOADERS = re.compile(r"(?i)load(er)?s?$|_dl$|^dl_|dataset|^data$")


@dataclass(frozen=True)
class Step:
    """One top-level statement, to be run by itself."""

    place: str
    """Of its piece: the file, or ``work.ipynb In [3]``."""
    code: ast.Module
    defines: frozenset[str]
    """The names that it binds."""
    required: bool
    """Whether the model needs it; else it may fail."""
    line: int
    flags: int = 0
    """The compiler's, of ``from __future__`` imports that hold there."""

    def compile(self) -> CodeType:
        """The code, ready to run. Raises what ``compile`` does: SyntaxError, ValueError, RecursionError …"""
        code: CodeType = compile(self.code, self.place, "exec", self.flags, dont_inherit=True)
        return code


@dataclass
class Unit:
    """A top-level statement and what is known about it."""

    place: str
    node: ast.stmt
    flags: int
    guarded: bool
    """Below ``if __name__ == "__main__"``."""
    names: Names
    binds: set[str]
    changes: set[str]
    """Names whose objects it changes, or that a function it calls binds."""
    trains: bool = False
    needed: set[str] = field(default_factory=set)
    """The names for which the model needs it."""

    @property
    def kept(self) -> bool:
        """Whether it is kept even if nothing is known to need it."""
        node = self.node
        return not self.guarded and (
            isinstance(node, (*IMPORTS, *FUNCTIONS, ast.ClassDef))
            or is_constant(node)
            or tries_imports(node)
            or (isinstance(node, ast.Expr) and "sys" in self.changes)  # sys.path.append
        )

    @property
    def replaces(self) -> bool:
        """Whether what it binds has nothing of its value before."""
        plain = isinstance(self.node, (*IMPORTS, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign))
        return plain and not self.binds & self.names.now


def definitions(pieces: Iterable[Piece], name: str, known_missing: Sequence[str] = ()) -> list[Step]:
    """The statements to run for ``name``, in source order; one of them is moved only where a statement before
    it could not run otherwise.

    Imports (each name by itself), functions, classes and constants are kept, and what else the judged class,
    function or instance needs: globals made by a call, under ``if``, ``try``, ``with`` or ``for``, changes of
    those, replaced methods. Without a name, all that any class or function needs. Imports of the packages ``known_missing`` are left out unless required. Never
    raises: pieces that do not parse are left out.
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
            node: ast.stmt | None = reduced(unit.node, unit.needed) if _is_block(unit) else unit.node
        else:
            node = None if not unit.kept or replaced or missing else unit.node
        if node is not None:
            module = ast.fix_missing_locations(ast.Module([node], []))
            required = unit.needed - {"*"} != set() or "*" in unit.needed
            steps.append(
                Step(unit.place, module, frozenset(unit.binds), required, unit.node.lineno, unit.flags)
            )
    return _in_order(steps)


def units(pieces: Iterable[Piece]) -> list[Unit]:
    """The top-level statements of all pieces, in order, those below the main guard among them."""
    pieces = list(pieces)
    written = {match[1] for _, text in pieces if (match := written_module(text))}
    found: list[Unit] = []
    flags = 0
    for place, text in pieces:
        try:
            tree = ast.parse(text)
        except PARSE_ERRORS:
            continue
        for node, guarded in _statements(tree.body, False):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                if any(alias.name == "annotations" for alias in node.names):
                    flags |= ANNOTATIONS_FLAG
                continue
            for part in _split(node, written):
                names = scan([part], lazy_annotations=bool(flags))
                changes = set(changed(part))
                found.append(Unit(place, part, flags, guarded, names, set(names.binds), changes))
    _mark_calls(found)
    return found


def written_module(text: str) -> re.Match[str] | None:
    """The match whose group 1 is the module's name, for a piece that a notebook writes to a file."""
    return re.match(re.escape(WRITEFILE) + r"(?:.*/)?(\w+)\.py\s*\n", text)


def is_main_guard(node: ast.stmt) -> bool:
    """``if __name__ == "__main__":``"""
    test = node.test if isinstance(node, ast.If) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    has_name = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return has_name and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def tries_imports(node: ast.stmt) -> bool:
    """``try: import a`` and nothing else in the block."""
    return isinstance(node, ast.Try) and all(isinstance(part, IMPORTS) for part in node.body)


def trains(node: ast.AST, training: Iterable[str] = (), known: Iterable[str] = ()) -> bool:
    """Whether what runs with ``node`` trains or goes through a data set, as far as its calls tell.

    ``training``: the local functions that do; ``known``: all local functions, whose names say nothing then.
    """
    for part in outside_functions(node):
        if isinstance(part, ast.For) and any(
            isinstance(inner, ast.Name) and LOADERS.search(inner.id) for inner in ast.walk(part.iter)
        ):
            return True
        if not isinstance(part, ast.Call):
            continue
        function = part.func
        if isinstance(function, ast.Attribute):
            if function.attr in TRAINING_METHODS:
                return True
            if function.attr == "step" and STEPPING.search(root_of(function.value) or "optim"):
                return True
        elif isinstance(function, ast.Name):
            if function.id in training:
                return True
            if function.id not in known and TRAINING_FUNCTIONS.match(function.id):
                return True
    return False


def reduced(node: ast.stmt, wanted: Iterable[str]) -> ast.stmt | None:
    """Of a block that trains (or the like) the statements that bind or change ``wanted`` and what those need
    from the block; a loop whose variable they do not read becomes its body, once. None if nothing is left.
    """
    try:
        body = _reduced([node], _closed(node, set(wanted)))
    except RecursionError:
        return None
    if not body:
        return None
    if len(body) == 1:
        return body[0]
    # One statement, for one step.
    block = ast.If(ast.Constant(True), body, [])
    return ast.copy_location(block, node)


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
        self.done: set[tuple[int, int, str]] = set()

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
            if isinstance(unit.node, ast.Import) and unit.needed and not unit.node.names[0].asname:
                if not set(unit.node.names[0].name.split(".")[1:]) <= self.attributes:
                    unit.needed.clear()

    def _use(self) -> int:
        """Where the source first has all that the class needs: after it is made last, or at the end."""
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
        """The units that give ``name`` the value that it has before unit ``at``."""
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
        if not bound:  # cells run in another order than they stand in
            later = (i for i in makers if i >= at and name in self.units[i].binds)
            found += [i for i in later if self._usable(self.units[i], name)][:1]
        return found

    def _usable(self, unit: Unit, name: str) -> bool:
        if name == self.name and name in unit.binds & unit.names.now:
            return False  # model = train(model), model = model.to(device)
        if not unit.trains:
            return True
        return _is_block(unit) and reduced(unit.node, {name}) is not None

    def _need(self, index: int, name: str, at: int) -> None:
        unit = self.units[index]
        unit.needed.add(name)
        if isinstance(unit.node, FUNCTIONS):
            inner = body_of(unit.node, bool(unit.flags))
            self.attributes |= inner.attributes
            self.work += [(n, index) for n in unit.names.now]
            self.work += [(n, at) for n in inner.now]
        elif isinstance(unit.node, ast.ClassDef):
            self.work += [(n, index) for n in unit.names.now]
            self.classes.add((index, at))
        elif _is_block(unit):
            part = reduced(unit.node, unit.needed)
            names = scan([part], lazy_annotations=bool(unit.flags)) if part else Names()
            self.attributes |= names.attributes
            inside = names.binds - set(self.makers) | (names.binds & names.now)
            self.work += [(n, index) for n in names.now | names.later if n not in inside or n in self.makers]
        else:
            self.attributes |= unit.names.attributes
            self.work += [(n, index) for n in unit.names.now | unit.names.later]
            for part in unit.changes & set(self.makers):
                if part != name and part not in self.imported:
                    self.work.append((part, index))

    def _methods(self) -> bool:
        """Put the needs of methods on the list that have become reachable. Whether there were any."""
        for index, at in list(self.classes):
            node = self.units[index].node
            assert isinstance(node, ast.ClassDef)
            for statement in node.body:
                method = statement.name if isinstance(statement, FUNCTIONS) else ""
                key = (index, at, method or str(statement.lineno))
                if key in self.done or not self._reachable(statement):
                    continue
                self.done.add(key)
                if isinstance(statement, FUNCTIONS):
                    inner = body_of(statement, bool(self.units[index].flags))
                    self.work += [(n, at) for n in inner.now]
                else:
                    inner = scan([statement], lazy_annotations=bool(self.units[index].flags))
                    self.work += [(n, at) for n in inner.later]
                self.attributes |= inner.attributes
        return bool(self.work)

    def _reachable(self, statement: ast.stmt) -> bool:
        if not isinstance(statement, FUNCTIONS):
            return True
        name, args = statement.name, statement.args
        if name in ("train", "eval", "test") and len(args.posonlyargs + args.args) > 2:
            return False  # one that trains
        return (name.startswith("__") and name.endswith("__")) or name in self.attributes


def _statements(body: Iterable[ast.stmt], guarded: bool) -> Iterable[tuple[ast.stmt, bool]]:
    for node in body:
        if isinstance(node, ast.If) and is_main_guard(node):
            yield from ((part, True) for part in node.body)
        else:
            yield node, guarded


def _split(node: ast.stmt, written: set[str]) -> Iterable[ast.stmt]:
    """An import of several names as several; those of modules that the notebook writes, as names of its own."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        yield node
        return
    for alias in node.names:
        if isinstance(node, ast.Import):
            part: ast.stmt = ast.Import([alias])
            if alias.name.rpartition(".")[2] in written:
                text = f"{alias.asname or alias.name} = __import__('sys').modules[__name__]"
                part = ast.parse(text).body[0]
        elif (node.module or "").rpartition(".")[2] in written:
            if alias.name == "*" or alias.asname in (None, alias.name):
                continue
            part = ast.parse(f"{alias.asname} = {alias.name}").body[0]
        else:
            part = ast.ImportFrom(node.module, [alias], node.level)
        for inner in ast.walk(part):
            ast.copy_location(inner, node)
        yield part


def _mark_calls(found: list[Unit]) -> None:
    """Which units train, and which bind names through a function's ``global``."""
    functions = {unit.node.name: unit.node for unit in found if isinstance(unit.node, FUNCTIONS)}
    bodies = {name: ast.Module(list(node.body), []) for name, node in functions.items()}
    training: set[str] = set()
    while more := {
        n for n, body in bodies.items() if n not in training and trains(body, training, functions)
    }:
        training |= more
    binding = {name: body_of(node).globals for name, node in functions.items()}
    for unit in found:
        if isinstance(unit.node, (*IMPORTS, *FUNCTIONS, ast.ClassDef)):
            continue
        unit.trains = trains(unit.node, training, functions)
        for part in outside_functions(unit.node):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
                unit.binds |= binding.get(part.func.id, set())


def _is_block(unit: Unit) -> bool:
    blocks = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)
    return unit.trains and isinstance(unit.node, blocks)


def _closed(node: ast.stmt, wanted: set[str]) -> set[str]:
    """``wanted``, and the names from inside the block that making them reads."""
    parts = [part for part in outside_functions(node) if isinstance(part, ast.stmt) and not _bodies(part)]
    known = [(scan([part]), set(changed(part))) for part in parts]
    while True:
        more = set(wanted)
        for part, (names, changes) in zip(parts, known, strict=True):
            if (names.binds | changes) & wanted and not trains(part):
                more |= names.now | names.later
        if more == wanted:
            return wanted
        wanted = more


def _bodies(node: ast.AST) -> list[str]:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return []
    return [
        n
        for n in ("body", "orelse", "finalbody", "handlers", "cases")
        if isinstance(getattr(node, n, None), list)
    ]


def _reduced(body: Iterable[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for node in body:
        if not _bodies(node):
            names = scan([node])
            if ((names.binds | set(changed(node))) & wanted and not trains(node)) or isinstance(
                node, ast.Pass
            ):
                kept.append(node)
            continue
        inner = {n: _reduced(getattr(node, n, []), wanted) for n in ("body", "orelse", "finalbody")}
        if isinstance(node, ast.While):
            kept += inner["body"]
        elif isinstance(node, ast.For | ast.AsyncFor):
            targets = scan([node.target]).binds
            reads = scan(inner["body"])
            if not inner["body"] or (targets & wanted and not targets & reads.now):
                continue
            if targets & (reads.now | reads.later):
                kept.append(_with(node, body=inner["body"], orelse=[]))
            else:
                kept += inner["body"]
        elif isinstance(node, ast.Try):
            handlers = [_with(h, body=_reduced(h.body, wanted) or [_pass(h)]) for h in node.handlers]
            imports = [part for part in node.body if isinstance(part, IMPORTS)]
            inside = [part for part in node.body if part in imports or part in inner["body"]] or inner["body"]
            if inside or any(not isinstance(h.body[0], ast.Pass) for h in handlers) or inner["orelse"]:
                parts = {"body": inside or [_pass(node)], "orelse": inner["orelse"]}
                kept.append(
                    _with(
                        node,
                        **parts,
                        handlers=handlers,
                        finalbody=inner["finalbody"] or ([] if handlers else [_pass(node)]),
                    )
                )
        elif isinstance(node, ast.Match):
            cases = [_with(case, body=_reduced(case.body, wanted) or [_pass(node)]) for case in node.cases]
            if any(not isinstance(case.body[0], ast.Pass) for case in cases):
                kept.append(_with(node, cases=cases))
        elif isinstance(node, ast.With | ast.AsyncWith):
            bound = scan([item.optional_vars for item in node.items if item.optional_vars]).binds
            if any(not isinstance(part, ast.Pass) for part in inner["body"]) or bound & wanted:
                kept.append(_with(node, body=inner["body"] or [_pass(node)]))
        elif isinstance(node, ast.If):
            if any(not isinstance(part, ast.Pass) for part in inner["body"] + inner["orelse"]):
                kept.append(_with(node, body=inner["body"] or [_pass(node)], orelse=inner["orelse"]))
    return kept if any(not isinstance(part, ast.Pass) for part in kept) else []


def _with(node, **parts):  # type: ignore[no-untyped-def]
    fields = {n: getattr(node, n) for n in node._fields if hasattr(node, n)} | parts
    return ast.copy_location(type(node)(**fields), node) if hasattr(node, "lineno") else type(node)(**fields)


def _pass(node: ast.AST) -> ast.Pass:
    return ast.copy_location(ast.Pass(), node)


def _package(node: ast.stmt) -> str:
    if isinstance(node, ast.Import):
        return node.names[0].name.partition(".")[0]
    return (
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) and not node.level else ""
    )


def _in_order(steps: list[Step]) -> list[Step]:
    """With a required step that stands after the one that needs it (cells run in another order) put before."""
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


__all__ = ["ANNOTATIONS_FLAG", "Step", "Unit", "definitions", "imported", "is_main_guard", "replace", "units"]
