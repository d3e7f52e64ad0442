"""Which model a source is about: the one that it makes and trains, else its last class that can be one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from under20k.checking.locals import Found, find_local
from under20k.checking.scopes import FUNCTIONS, Function, outside_functions
from under20k.checking.training import TRAINING_FUNCTIONS, training_functions
from under20k.checking.units import Unit

MODULES = ("Module", "Sequential", "LightningModule", "ScriptModule")
NO_MODELS = re.compile(
    r"(Dataset|DataModule|Callback|Transform|Sampler|Exception|Error|Warning|Enum|Optimizer|Scheduler|TestCase"
    r"|Thread|ABC|NamedTuple|Protocol|TypedDict|^object|^dict|^list|^tuple|^str|^int|^float|Logger|Trainer|Metric"
    r"|Loss|Function|Action|Formatter|Handler|Visitor|Generic)$"
)
LOSSES = re.compile(r"(?i)(loss|criterion)(es)?\d*$")
TARGETS = re.compile(r"(?i)^(targets?|labels?|y|y_?true|gt|ground_truth|actual)$")
INSTANCES = re.compile(r"(?i)^(my_?)?(net|model|network|cnn|classifier)(_?\w{1,3}|\d+)?$")
WRAPPERS = ("DataParallel", "compile", "script", "DistributedDataParallel", "prepare", "summary")
MOVES = ("to", "cuda", "cpu", "float", "double", "half", "train", "eval", "requires_grad_", "apply")


@dataclass(frozen=True)
class Choice:
    """A model of a source, by the name that it is judged under."""

    name: str
    kind: str
    """class, factory or instance"""
    node: ast.ClassDef | Function | None = None
    """What it is defined by, if that is known."""
    file: Path | None = None
    """Where that stands, if it is imported from a file beside the source."""


@dataclass
class _Making:
    """A call that makes a model."""

    choice: Choice
    call: ast.Call
    variable: str
    trained: bool = False


@dataclass
class Models:
    """The models of a source, and how it makes them."""

    units: list[Unit]
    path: Path
    roots: tuple[Path, ...] = ()
    """Folders that its imports are looked up in."""
    classes: dict[str, ast.ClassDef] = field(init=False)
    functions: dict[str, Function] = field(init=False)

    def __post_init__(self) -> None:
        top = [part for unit in self.units for part in _definitions(unit.node)]
        self.classes = {node.name: node for node in top if isinstance(node, ast.ClassDef)}
        self.functions = {node.name: node for node in top if isinstance(node, FUNCTIONS)}
        self.imports = {
            name: node
            for unit in self.units
            for part in outside_functions(unit.node)
            if isinstance(part, ast.ImportFrom)
            for name, node in _by_name(part)
        }
        self.bound = {name for unit in self.units for name in unit.binds}
        self.training = training_functions(self.functions)
        self.models = [name for name in self.classes if self._is_model(name)]
        self.losses = {name for name in self.classes if self._is_loss(name)}
        self.blocks = self._blocks()
        self.found: dict[str, Found | None] = {}
        self.makings = self._makings()

    def chosen(self) -> Choice | None:
        """The model that the source is about; None if it has none."""
        made = [m for m in self.makings if m.choice.kind != "instance" or m.choice.node is None]
        strong = [m for m in made if not _unknown(m, self)]
        free = [m for m in strong if m.choice.name not in self.blocks]
        for group in ([m for m in strong if m.trained], [m for m in free if m.variable], free):
            if group:
                return group[-1].choice
        for names in self._tiers():
            if names:
                return Choice(names[-1], "class", self.classes[names[-1]])
        weak = [m for m in made if _unknown(m, self)]
        return weak[-1].choice if weak else None

    def all(self) -> list[Choice]:
        """Every model, in the order of the source, the chosen one among them."""
        chosen = self.chosen()
        names = [n for n in self.models if n not in self.losses and n not in self.blocks and self._runs(n)]
        found = [Choice(name, "class", self.classes[name]) for name in names]
        if chosen and chosen.name not in names:
            at = next(
                (
                    i
                    for i, c in enumerate(found)
                    if c.node and chosen.node and c.node.lineno > chosen.node.lineno
                ),
                len(found),
            )
            found.insert(at if chosen.kind == "class" and chosen.file is None else len(found), chosen)
        return found

    def choices(self) -> list[str]:
        """The names to suggest: models, and what makes one."""
        names = [choice.name for choice in self.all()]
        names += [making.choice.name for making in self.makings]
        names += [n for n in self.functions if self._returns(n)]
        return list(dict.fromkeys(names))

    def calls(self, name: str) -> list[tuple[ast.Call, ast.AST]]:
        """The calls of ``name`` outside the class itself, each with the scope that it stands in."""
        own = self.classes.get(name)
        found = []
        for unit in self.units:
            for scope in _scopes(unit.node):
                if scope is own:
                    continue
                for part in _inside(scope):
                    if (
                        isinstance(part, ast.Call)
                        and isinstance(part.func, ast.Name)
                        and part.func.id == name
                    ):
                        found.append((part, scope))
        return found

    def node_of(self, name: str) -> ast.ClassDef | Function | None:
        """The class or function of this name, here or in a file beside the source that it comes from."""
        if node := self.classes.get(name) or self.functions.get(name):
            return node
        local = self._local(name)
        return local.node if local else None

    def constructor(self, name: str) -> ast.arguments | None:
        """The parameters of a class's constructor or of a factory, ``self`` first for a class's."""
        if node := self.functions.get(name):
            return node.args
        if name in self.classes:
            return _constructor(name, self.classes)
        local = self._local(name)
        if local is None:
            return None
        return (
            local.node.args
            if isinstance(local.node, FUNCTIONS)
            else _constructor(local.node.name, local.classes)
        )

    # Classes

    def _is_model(self, name: str) -> bool:
        return is_model(name, self.classes)

    def _is_loss(self, name: str) -> bool:
        node = self.classes[name]
        if LOSSES.search(name) or any(LOSSES.search(_last(base)) for base in node.bases):
            return True
        forward = _method(name, "forward", self.classes)
        required = _required(forward.args)[1:] if forward else []
        return len(required) == 2 and bool(TARGETS.match(required[1]))

    def _blocks(self) -> set[str]:
        """Model classes that another model class uses, itself or through functions, but not as its base."""
        reads = {
            name: {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            for name, node in [*self.classes.items(), *self.functions.items()]
        }
        blocks: set[str] = set()
        for name in self.models:
            if name in self.losses:
                continue
            bases = {_last(base) for base in self.classes[name].bases}
            inside = [*self.classes[name].body, *self.classes[name].decorator_list]
            seen, left = (
                {name},
                [part.id for node in inside for part in ast.walk(node) if isinstance(part, ast.Name)],
            )
            while left:
                if (used := left.pop()) in seen or (used in bases and used not in blocks and used in seen):
                    continue
                seen.add(used)
                if used in self.models:
                    blocks.add(used)
                if used in self.functions or used in self.models:
                    left += reads[used]
            blocks.discard(name) if name not in seen - {name} else None
        return blocks

    def _tiers(self) -> Iterator[list[str]]:
        usable = [name for name in self.models if name not in self.losses]
        tops = [name for name in usable if name not in self.blocks]
        yield [name for name in tops if self._runs(name) and self._takes_one(name)]
        yield [name for name in usable if self._runs(name) and self._takes_one(name)]
        yield tops
        yield usable
        unknown = [
            name
            for name, node in self.classes.items()
            if name not in self.losses
            and node.bases
            and not any(NO_MODELS.search(_last(base)) or _last(base) in self.classes for base in node.bases)
        ]
        yield [name for name in unknown if _method(name, "forward", self.classes)]
        # Not what iterates, loads or transforms data.
        data = ("__getitem__", "__len__", "__iter__", "__call__", "setup", "train_dataloader")
        yield [name for name in unknown if not any(_method(name, method, self.classes) for method in data)]

    def _runs(self, name: str) -> bool:
        """Whether it has a ``forward`` that does something, as far as its bases are known."""
        forward = _method(name, "forward", self.classes)
        if forward is None:
            return "Sequential" in _bases(name, self.classes) or not _bases(name, self.classes) <= {
                "Module",
                *self.classes,
            }
        body = [
            s for s in forward.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        ]
        return any(not isinstance(s, ast.Pass | ast.Raise) for s in body)

    def _takes_one(self, name: str) -> bool:
        forward = _method(name, "forward", self.classes)
        return forward is None or takes_one(forward.args)

    # Makings

    def _makings(self) -> list[_Making]:
        found: list[_Making] = []
        top: list[_Making] = []
        for unit in self.units:
            for scope in _scopes(unit.node):
                if isinstance(scope, ast.ClassDef) and scope.name in self.models:
                    continue
                made = self._made_in(scope)
                top_level = scope is unit.node and not isinstance(scope, (*FUNCTIONS, ast.ClassDef))
                if top_level:
                    self._mark(scope, top + made)
                    top += made
                else:
                    self._mark(scope, made + [m for m in top if m.variable not in {x.variable for x in made}])
                found += [m for m in made if m.choice.kind != "instance" or top_level]
        return found

    def _mark(self, scope: ast.AST, makings: list[_Making]) -> None:
        """Which of these the scope trains: the last one of the variable that it trains."""
        for line, variable in self._trained(scope):
            before = [m for m in makings if m.variable == variable]
            here = [m for m in before if m.call.lineno <= line] or before
            if here:
                here[-1].trained = True

    def _trained(self, scope: ast.AST) -> Iterator[tuple[int, str]]:
        for part in _inside(scope):
            if not isinstance(part, ast.Call):
                continue
            function = part.func
            if isinstance(function, ast.Attribute):
                if isinstance(function.value, ast.Name) and function.attr in (
                    "parameters",
                    "train",
                    "fit",
                    "named_parameters",
                ):
                    yield part.lineno, function.value.id
                if function.attr not in ("fit", "train"):
                    continue
            elif not (isinstance(function, ast.Name) and self._is_training(function.id)):
                continue
            for given in [*part.args, *(keyword.value for keyword in part.keywords)]:
                if isinstance(given, ast.Name):
                    yield part.lineno, given.id

    def _is_training(self, name: str) -> bool:
        return name in self.training or (name not in self.functions and bool(TRAINING_FUNCTIONS.match(name)))

    def _made_in(self, scope: ast.AST) -> list[_Making]:
        variables: dict[ast.Call, str] = {}
        calls: list[ast.Call] = []
        for part in _inside(scope):
            if isinstance(part, ast.Assign):
                for target in part.targets:
                    variables.update(_pairs(target, part.value))
            elif isinstance(part, ast.AnnAssign | ast.NamedExpr) and part.value:
                variables.update(_pairs(part.target, part.value))
            elif isinstance(part, ast.Call):
                calls.append(part)
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
        found = []
        for call in calls:
            if choice := self._choice(call, variables.get(call, "")):
                found.append(_Making(choice, call, variables.get(call, "")))
        return found

    def _choice(self, call: ast.Call, variable: str) -> Choice | None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in self.classes:
            if name in self.losses or not (self._is_model(name) or self._foreign(name)):
                return None
            return Choice(name, "class", self.classes[name])
        if name in self.functions:
            made = self._returns(name)
            if made is None or not variable:
                return None
            return (
                made
                if made.kind == "class"
                else Choice(name, "factory", self.functions[name])
                if not _required(self.functions[name].args)
                else Choice(variable, "instance")
            )
        if _last(call.func) == "Sequential":
            return (
                Choice(variable, "instance")
                if variable and not re.search(r"(?i)transf|augm", variable)
                else None
            )
        if name and variable and (local := self._local(name)):
            if isinstance(local.node, ast.ClassDef):
                return Choice(name, "class", local.node, local.file) if local.is_model else None
            if _required(local.node.args):
                return Choice(variable, "instance")
            return Choice(name, "factory", local.node, local.file) if INSTANCES.match(variable) else None
        root = call.func
        while isinstance(root, ast.Attribute | ast.Call):
            root = root.value if isinstance(root, ast.Attribute) else root.func
        known = isinstance(root, ast.Name) and (root.id in self.bound or "*" in self.bound)
        if (
            INSTANCES.match(variable)
            and known
            and "load" not in _last(call.func)
            and _last(call.func) not in MOVES
        ):
            return Choice(variable, "instance")
        return None

    def _foreign(self, name: str) -> bool:
        """Whether it has a ``forward`` and a base from elsewhere."""
        return self.classes[name].bases != [] and _method(name, "forward", self.classes) is not None

    def _local(self, name: str) -> Found | None:
        if name not in self.found:
            node = self.imports.get(name)
            self.found[name] = find_local(node, name, self.path, self.roots) if node else None
        return self.found[name]

    def _returns(self, name: str, seen: tuple[str, ...] = ()) -> Choice | None:
        """What a local function makes: a class of the source without arguments, else a model of its own."""
        node = self.functions[name]
        made: list[ast.Call] = []
        variables: dict[str, ast.Call] = {}
        for part in _inside(node):
            if isinstance(part, ast.Assign):
                for target in part.targets:
                    variables.update(
                        {variable: call for call, variable in _pairs(target, part.value).items()}
                    )
        for part in _inside(node):
            if isinstance(part, ast.Return) and part.value is not None:
                value = _stripped(part.value)
                if isinstance(value, ast.Name):
                    value = variables.get(value.id, value)
                if isinstance(value, ast.Call):
                    made.append(value)
        choices = set()
        for call in made:
            callee = call.func.id if isinstance(call.func, ast.Name) else ""
            if callee in self.models and callee not in self.losses:
                needs = _required(_constructor(callee, self.classes))[1:]
                plain = not call.args and not call.keywords
                choices.add(callee if plain or needs else "")
            elif callee in self.functions and callee not in (*seen, name):
                inner = self._returns(callee, (*seen, name))
                if inner:
                    choices.add(inner.name if inner.kind == "class" else "")
            elif _last(call.func) == "Sequential":
                choices.add("")
        if not choices:
            return None
        only = choices.pop() if len(choices) == 1 else ""
        return Choice(only, "class", self.classes[only]) if only else Choice(name, "factory", node)


def takes_one(args: ast.arguments) -> bool:
    """Whether a ``forward`` with these parameters takes one tensor, ``self`` aside."""
    required = _required(args)[1:]
    return len(required) == 1 or (
        not required and len([*args.posonlyargs, *args.args]) + bool(args.vararg) > 1
    )


def is_model(name: str, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class of ``classes`` is one of nn.Module."""
    return bool(_bases(name, classes) & {*MODULES})


def _bases(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """The names of all bases, those of local bases among them."""
    found: set[str] = set()
    left = [name]
    while left:
        for base in classes[left.pop()].bases:
            if (last := _last(base)) not in found:
                found.add(last)
                if last in classes and last != name:
                    left.append(last)
    return found


def _method(name: str, method: str, classes: dict[str, ast.ClassDef]) -> Function | None:
    """A method of a class, or of its local bases."""
    seen: set[str] = set()
    left = [name]
    while left:
        if (at := left.pop(0)) in seen or at not in classes:
            continue
        seen.add(at)
        for node in reversed(classes[at].body):
            if isinstance(node, FUNCTIONS) and node.name == method:
                return node
        left += [_last(base) for base in classes[at].bases]
    return None


def _constructor(name: str, classes: dict[str, ast.ClassDef]) -> ast.arguments | None:
    init = _method(name, "__init__", classes)
    return init.args if init else None


def _required(args: ast.arguments | None) -> list[str]:
    """The parameters without a default, ``self`` among them."""
    if args is None:
        return []
    positional = [*args.posonlyargs, *args.args]
    names = [a.arg for a in positional[: len(positional) - len(args.defaults)]]
    return names + [a.arg for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is None]


def _definitions(node: ast.stmt) -> Iterator[ast.stmt]:
    """Classes and functions that a top-level statement defines, below ``if`` and ``try`` too."""
    stack: list[ast.AST] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            yield part
        elif isinstance(part, ast.stmt | ast.ExceptHandler):
            stack += reversed(
                [p for p in ast.iter_child_nodes(part) if isinstance(p, ast.stmt | ast.ExceptHandler)]
            )


def _scopes(node: ast.AST) -> Iterator[ast.AST]:
    """The node, and every function and class inside."""
    yield node
    for part in ast.walk(node):
        if part is not node and isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            yield part


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of functions and classes in it; in no special order."""
    stack = list(scope.body) if isinstance(scope, (*FUNCTIONS, ast.ClassDef)) else [scope]
    while stack:
        part = stack.pop()
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            continue
        yield part
        stack += ast.iter_child_nodes(part)


def _pairs(target: ast.expr, value: ast.expr) -> dict[ast.Call, str]:
    """The calls that an assignment gives names to."""
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        found: dict[ast.Call, str] = {}
        for left, right in zip(target.elts, value.elts, strict=False):
            found.update(_pairs(left, right))
        return found
    value = _stripped(value)
    name = (
        target.id
        if isinstance(target, ast.Name)
        else target.attr
        if isinstance(target, ast.Attribute)
        else ""
    )
    return {value: name} if isinstance(value, ast.Call) and name else {}


def _stripped(value: ast.expr) -> ast.expr:
    """``Net()`` of ``Net().to(device)`` and ``nn.DataParallel(Net())``."""
    while isinstance(value, ast.Call):
        if (
            isinstance(value.func, ast.Attribute)
            and value.func.attr in MOVES
            and isinstance(value.func.value, ast.Call)
        ):
            value = value.func.value
        elif _last(value.func) in WRAPPERS and value.args and isinstance(value.args[0], ast.Call):
            value = value.args[0]
        else:
            break
    return value


def _unknown(making: _Making, models: Models) -> bool:
    """Whether nothing but a variable's name says that it is a model."""
    return making.choice.kind == "instance" and _last(making.call.func) != "Sequential"


def _by_name(node: ast.ImportFrom) -> Iterable[tuple[str, ast.ImportFrom]]:
    for alias in node.names:
        yield alias.asname or alias.name, node


def _last(node: ast.expr) -> str:
    """``Conv2d`` of ``nn.Conv2d``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
