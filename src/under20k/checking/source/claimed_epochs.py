"""Read from a source for how many epochs it trains."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from under20k.checking.source.syntax import FUNCTIONS, PARSE_ERRORS, Function, Piece, tree_of

EPOCHS = re.compile(
    r"(?i)^(n|num|no|number|max|total|nb|train|training|max_num)?_?(of_)?epochs(_?num|_?count|_total)?$"
)
OPTION = re.compile(r"(?i)^(n|num|max)?_?epochs?$")
EPOCH = re.compile(r"(?i)^_?(e|ep|epochs?(_?\w{1,5})?|\w*_epoch)$")
COUNTER = re.compile(r"^(i|j|_|t|n)$")
TRAINING = re.compile(r"(?i)^(train|fit)(_?(one_)?(model|net|epoch|step|loop))?$|^(one_)?epoch$")
WRAPPERS = ("tqdm", "notebook", "tqdm_notebook", "progress_bar", "master_bar", "enumerate", "track")
MAX_EPOCHS = 10_000
"""A larger number is not one of epochs."""


def epochs(pieces: Iterable[Piece]) -> tuple[int, str] | None:
    """Return the number of epochs and its location; None if there is none, or several that differ."""
    found = _Search()
    for place, text in pieces:
        try:
            found.take(Path(place).name, tree_of(text))
        except PARSE_ERRORS:
            continue
    return found.result()


class _Search:
    """The loops, values and calls of a source, gathered piece by piece."""

    def __init__(self) -> None:
        self.loops: list[tuple[ast.For | ast.AsyncFor, Function | None, str]] = []
        self.named: dict[str, list[tuple[ast.expr, str]]] = {}
        """Values by name: of assignments, keywords, defaults, options, keys of dicts."""
        self.calls: dict[str, list[ast.Call]] = {}
        self.functions: dict[str, Function] = {}
        self.looked_up = 0
        self.fits: list[tuple[ast.expr, str]] = []

    def take(self, file: str, tree: ast.Module) -> None:
        """Gather from one piece."""
        stack: list[tuple[ast.AST, Function | None]] = [(tree, None)]
        while stack:
            node, function = stack.pop()
            if isinstance(node, FUNCTIONS):
                self.functions[node.name] = function = node
                self._defaults(node, file)
            elif isinstance(node, ast.For | ast.AsyncFor):
                self.loops.append((node, function, file))
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._assign(target, node.value, file)
            elif isinstance(node, ast.Call):
                self._call(node, file)
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        self._name(key.value, value, file)
            stack += [(part, function) for part in reversed(list(ast.iter_child_nodes(node)))]

    def result(self) -> tuple[int, str] | None:
        """Decide by the training loops, else by the calls that train, else by the constants."""
        loops = [(loop, function, file) for loop, function, file in self.loops if self._is_epochs(loop)]
        counts = []
        for loop, function, file in loops:
            count = self._count(loop.iter, function)
            if count is None:
                return self._constants() if self._only_constant(loop) else None
            counts.append((count, f"{file}:{loop.lineno}"))
        if counts:
            return _only(counts)
        fits = [(self._number(value, None), place) for value, place in self.fits]
        if fits:
            return _only([(count, place) for count, place in fits if count is not None])
        return self._constants()

    def _constants(self) -> tuple[int, str] | None:
        found = [pair for name in self.named if EPOCHS.match(name) for pair in self.named[name]]
        numbers = [(self._number(value, None), place) for value, place in found]
        return _only([(number, place) for number, place in numbers if number is not None])

    def _only_constant(self, loop: ast.For | ast.AsyncFor) -> bool:
        """Return whether the loop counts to something that is called epochs."""
        return any(EPOCHS.match(_last(part)) for part in ast.walk(loop.iter) if isinstance(part, ast.expr))

    # Gathering

    def _name(self, name: str, value: ast.expr, file: str) -> None:
        self.named.setdefault(name, []).append((value, f"{file}:{value.lineno}"))

    def _assign(self, target: ast.expr, value: ast.expr, file: str) -> None:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for left, right in zip(target.elts, value.elts, strict=False):
                self._assign(left, right, file)
            return
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            self._name(str(target.slice.value), value, file)
        elif name := _last(target):
            self._name(name, value, file)

    def _defaults(self, node: Function, file: str) -> None:
        args = node.args
        positional = [*args.posonlyargs, *args.args]
        pairs = list(zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True))
        pairs += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
        for argument, default in pairs:
            if EPOCHS.match(argument.arg):
                self._name(f"{node.name}({argument.arg})", default, file)

    def _call(self, node: ast.Call, file: str) -> None:
        name = _last(node.func)
        self.calls.setdefault(name, []).append(node)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if name in ("add_argument", "option", "Option"):
            options = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
            long = [o.lstrip("-").replace("-", "_") for o in options if o.startswith("--")] or options
            if "default" in keywords and long and OPTION.match(long[0].lstrip("-")):
                self._name(long[0], keywords["default"], file)
            return
        trains = name in ("fit", "fit_one_cycle", "fine_tune", "Trainer") or TRAINING.match(name)
        for key, value in keywords.items():
            if EPOCHS.match(key):
                if trains:
                    self.fits.append((value, f"{file}:{value.lineno}"))
                elif not name.endswith("LR"):
                    self._name(key, value, file)
        if name in ("fit_one_cycle", "fine_tune") and node.args:
            self.fits.append((node.args[0], f"{file}:{node.lineno}"))

    # Deciding

    def _is_epochs(self, loop: ast.For | ast.AsyncFor) -> bool:
        target = loop.target.elts[-1] if isinstance(loop.target, ast.Tuple) else loop.target
        name = target.id if isinstance(target, ast.Name) else ""
        if not _range(loop.iter):
            return False
        calls = [part for part in ast.walk(ast.Module(loop.body, [])) if isinstance(part, ast.Call)]
        if EPOCH.match(name):
            # Not a loop that only plots records.
            return bool(calls) and not all(_last(call.func) in ("print", "append", "plot") for call in calls)
        if not COUNTER.match(name):
            return False
        for call in calls:
            function = self.functions.get(_last(call.func))
            if TRAINING.match(_last(call.func)) and isinstance(call.func, ast.Name):
                # That function may contain the loop over epochs itself.
                loops = [part for part in ast.walk(function) if isinstance(part, ast.For)] if function else []
                names = [part.target.id for part in loops if isinstance(part.target, ast.Name)]
                return not any(EPOCH.match(inner) for inner in names)
        return False

    def _count(self, node: ast.expr, function: Function | None) -> int | None:
        call = _range(node)
        if call is None or (call.keywords and _last(call.func) == "range"):
            return None
        arguments = call.args[: 1 if _last(call.func) == "trange" else 3]
        ends = [self._number(argument, function) for argument in arguments]
        if not ends or any(end is None for end in ends):
            return None
        try:
            count = len(range(*[end for end in ends if end is not None]))
        except (ValueError, OverflowError):
            return None
        return count if 0 < count <= MAX_EPOCHS else None

    def _number(self, node: ast.expr, function: Function | None, depth: int = 6) -> int | None:
        """Return the whole number that an expression has everywhere it is set, else None."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        self.looked_up += 1
        if depth == 0 or self.looked_up > MAX_EPOCHS:  # thousands of names defined by each other
            return None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._number(node.operand, function, depth - 1)
            return None if inner is None else -inner
        if isinstance(node, ast.BinOp):
            left = self._number(node.left, function, depth - 1)
            right = self._number(node.right, function, depth - 1)
            if left is None or right is None:
                return None
            made = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}.get(type(node.op))
            return made if made is not None and abs(made) <= MAX_EPOCHS**2 else None
        if isinstance(node, ast.Call) and _last(node.func) == "int" and len(node.args) == 1:
            return self._number(node.args[0], function, depth - 1)
        name = _last(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = str(node.slice.value)
        if not name:
            return None
        values = self._given(name, function) if isinstance(node, ast.Name) and function else None
        if values is None:
            values = [value for value, _ in self.named.get(name, []) if _last(value) != name or value is node]
        numbers = {self._number(value, None, depth - 1) for value in values}
        return numbers.pop() if len(numbers) == 1 else None

    def _given(self, name: str, function: Function) -> list[ast.expr] | None:
        """Return the values that calls give a function's parameter, its default included; None without it."""
        args = function.args
        positional = [a.arg for a in (*args.posonlyargs, *args.args)]
        if name not in [*positional, *(a.arg for a in args.kwonlyargs)]:
            return None
        default = [value for value, _ in self.named.get(f"{function.name}({name})", [])]
        calls = self.calls.get(function.name, [])
        values: list[ast.expr] = []
        for call in calls:
            at = positional.index(name) if name in positional else len(call.args)
            if positional[:1] == ["self"] and isinstance(call.func, ast.Attribute):
                at -= 1
            keyword = [k.value for k in call.keywords if k.arg == name]
            values += keyword or ([call.args[at]] if at < len(call.args) else default)
        return values or default


def _range(node: ast.expr) -> ast.Call | None:
    """Return the call of ``range(…)``, also inside ``tqdm(…)`` and the like."""
    while isinstance(node, ast.Call):
        if _last(node.func) in ("range", "trange"):
            return node
        if not node.args or _last(node.func) not in WRAPPERS:
            return None
        node = node.args[0]
    return None


def _only(found: list[tuple[int, str]]) -> tuple[int, str] | None:
    """Return the last of them if all give the same plausible number of epochs."""
    numbers = {number for number, _ in found}
    return found[-1] if len(numbers) == 1 and 0 < found[-1][0] <= MAX_EPOCHS else None


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
