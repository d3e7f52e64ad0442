"""The parameters of a model's constructor, and the arguments that the source itself gives it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from under20k.checking.source.declarations import Declarations
from under20k.checking.source.makings import Choice
from under20k.checking.source.syntax import FUNCTIONS

OPTIONS = ("args", "opt", "opts", "config", "cfg", "hparams", "params", "flags", "FLAGS")
"""Usual names of the parsed command line."""
MAX_VALUES = 6
"""Values of one parameter that are shown."""


@dataclass(frozen=True)
class Constructor:
    """The parameters of a class or factory, and the calls of it."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    """Distinct calls in order, as text with literals filled in: ``Net('BN')``."""
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The arguments for each parameter, as text."""

    def missing(self, given: Iterable[str] = ()) -> str:
        """Describe the missing required parameters, how to give them, and the values in the source.

        Empty if none is missing.
        """
        given = set(given)
        names = [name for name in self.required if name not in given]
        if not names:
            return ""
        options = " ".join(f"--arg {name}=…" for name in names)
        text = f"needs {_and(names)}: give {options}"
        known = dict(self.values)
        if len(names) == 1:
            if values := known.get(names[0], ()):
                text += f"; this file calls it with {', '.join(values)}"
        elif self.calls:
            text += f"; this file calls {', '.join(self.calls[:MAX_VALUES])}"
        return text


NOTHING = Constructor()


def constructor(declared: Declarations, choice: Choice) -> Constructor:
    """Return the constructor of a class or factory; for an instance, an empty one."""
    args = declared.constructor(choice.name) if choice.kind != "instance" else None
    if choice.kind == "instance":
        return Constructor()
    positional = [*args.posonlyargs, *args.args] if args else []
    of_class = isinstance(choice.node, ast.ClassDef) or choice.kind == "class"
    names = [arg.arg for arg in positional][1 if of_class else 0 :]
    count = len(args.defaults) if args else 0
    required = names[: max(0, len(names) - count)]
    optional = names[len(required) :]
    if args:
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            (required if default is None else optional).append(arg.arg)
    calls: list[str] = []
    values: dict[str, list[str]] = {}
    known = _Literals(declared)
    for call, scope in declared.calls(choice.name):
        pairs = [(names[i] if i < len(names) else "", value) for i, value in enumerate(call.args)]
        pairs += [(keyword.arg or "", keyword.value) for keyword in call.keywords]
        options = [(name, known.values(value, scope)) for name, value in pairs]
        widest = max((len(found) for _, found in options), default=1)
        for index in range(min(widest, MAX_VALUES)):
            filled = [found[min(index, len(found) - 1)] for _, found in options]
            calls.append(_call(call, filled))
        for name, found in options:
            values.setdefault(name, []).extend(text for text, literal in found if literal)
    distinct = {name: tuple(dict.fromkeys(texts))[:MAX_VALUES] for name, texts in values.items() if name}
    return Constructor(tuple(required), tuple(optional), tuple(dict.fromkeys(calls)), tuple(distinct.items()))


class _Literals:
    """The literal values of expressions, as far as the source determines them."""

    def __init__(self, declared: Declarations) -> None:
        self.top: dict[str, list[ast.expr]] = {}
        self.arguments: dict[str, ast.expr] = {}
        for unit in declared.units:
            _assigned(unit.node, self.top)
        for _, scope in declared.scopes:
            for part in scope.parts:
                if isinstance(part, ast.Call) and getattr(part.func, "attr", "") == "add_argument":
                    self._option(part)

    def _option(self, call: ast.Call) -> None:
        options = [str(a.value) for a in call.args if isinstance(a, ast.Constant)]
        name = next((o for o in options if o.startswith("--")), options[0] if options else "")
        found = {k.arg: k.value for k in call.keywords}
        destination = found.get("dest")
        if isinstance(destination, ast.Constant):
            name = str(destination.value)
        if "default" in found:
            self.arguments[name.lstrip("-").replace("-", "_")] = found["default"]

    def values(self, node: ast.expr, scope: ast.AST) -> list[tuple[str, bool]]:
        """Return its texts, at least one, each with whether it is a literal."""
        if isinstance(node, ast.Constant) or _is_literal(node):
            return [(_text(node), True)]
        found: list[ast.expr] = []
        if isinstance(node, ast.Name):
            local: dict[str, list[ast.expr]] = {}
            if isinstance(scope, FUNCTIONS):
                _assigned(scope, local)
            found = local.get(node.id) or self.top.get(node.id, [])
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in OPTIONS:
            found = [self.arguments[node.attr]] if node.attr in self.arguments else []
        if found and all(map(_is_literal, found)):
            return [(_text(value), True) for value in found]
        return [(_text(node), False)]


def _assigned(node: ast.AST, found: dict[str, list[ast.expr]]) -> None:
    """Collect the values of each name, for a loop over a list its items; bodies of functions are left out."""
    stack: list[ast.AST] = list(node.body) if isinstance(node, FUNCTIONS) else [node]
    while stack:
        part = stack.pop(0)
        if isinstance(part, ast.Assign | ast.AnnAssign) and part.value is not None:
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(part.value)
        elif isinstance(part, ast.For | ast.AsyncFor) and isinstance(part.target, ast.Name):
            items = part.iter.elts if isinstance(part.iter, ast.List | ast.Tuple) else [ast.Name("?")]
            found.setdefault(part.target.id, []).extend(items)
        if not isinstance(part, (*FUNCTIONS, ast.ClassDef, ast.expr)):
            stack = [
                p for p in ast.iter_child_nodes(part) if isinstance(p, ast.stmt | ast.ExceptHandler)
            ] + stack


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _call(call: ast.Call, filled: list[tuple[str, bool]]) -> str:
    texts = [text for text, _ in filled]
    for index, keyword in enumerate(call.keywords, len(call.args)):
        texts[index] = f"{keyword.arg}={texts[index]}" if keyword.arg else f"**{texts[index]}"
    return f"{_text(call.func)}({', '.join(texts)})"


def _text(node: ast.expr) -> str:
    try:
        text = ast.unparse(node)
    except RecursionError:
        return "…"
    return text if len(text) <= 60 else text[:59] + "…"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
