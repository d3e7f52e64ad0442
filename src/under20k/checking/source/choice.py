"""Which model a source is about: the one that it makes and trains, else its last class that can be one."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from under20k.checking.source.classes import (
    NO_MODELS,
    Classes,
    bases_of,
    constructor_of,
    is_loss,
    is_model,
    method_of,
    required,
    runs,
    takes_one,
)
from under20k.checking.source.imported_definitions import Found, find_local
from under20k.checking.source.scopes import MOVES, Scope, definitions_in, named_calls, scopes_in, stripped
from under20k.checking.source.syntax import (
    FUNCTIONS,
    Function,
    imported,
    last_name,
    outside_functions,
    root_of,
)
from under20k.checking.source.top_level import Unit
from under20k.checking.source.training_calls import TRAINING_FUNCTIONS, training_functions

INSTANCES = re.compile(r"(?i)^(my_?)?(net|model|network|cnn|classifier)(_?\w{1,3}|\d+)?$")
OF_TORCH = (
    "torch",
    "torchvision",
    "torchaudio",
    "lightning",
    "pytorch_lightning",
    "timm",
    "fastai",
    "ignite",
)
NOT_MAKING = ("isinstance", "issubclass", "super", "type", "print", "hasattr", "getattr", "setattr")
TRAINED_BY = ("parameters", "named_parameters", "train", "fit")
DEPTH = 8
"""Of functions that return what another makes."""


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
    classes: Classes = field(init=False)
    functions: dict[str, Function] = field(init=False)

    def __post_init__(self) -> None:
        top = [part for unit in self.units for part in definitions_in(unit.node)]
        self.classes = {node.name: node for node in top if isinstance(node, ast.ClassDef)}
        self.functions = {node.name: node for node in top if isinstance(node, FUNCTIONS)}
        nodes = [part for unit in self.units for part in outside_functions(unit.node)]
        froms = [part for part in nodes if isinstance(part, ast.ImportFrom)]
        named = [(alias.asname or alias.name, node) for node in froms for alias in node.names]
        self.imports = {name: node for name, node in named if name != "*"}
        self.stars = [node for name, node in named if name == "*"]
        self.packages = {n: (node.module or "").partition(".")[0] for n, node in named if not node.level}
        for part in nodes:
            if isinstance(part, ast.Import):
                self.packages |= {name: part.names[0].name.partition(".")[0] for name in imported(part)}
        self.found: dict[str, Found | None] = {}
        self.bound = {name for unit in self.units for name in unit.binds}
        self.aliases = {
            last_name(target): node.value.id
            for node in (unit.node for unit in self.units)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
            for target in node.targets
        }
        self.training = training_functions(self.functions)
        self.models = [name for name in self.classes if self._is_model(name)]
        self.losses = {name for name in self.classes if is_loss(name, self.classes)}
        self.blocks = self._blocks()
        self.returned: dict[str, Choice | None] = {}
        self.scopes = [(unit, scope) for unit in self.units for scope in scopes_in(unit.node)]
        self.makings = self._makings()

    def chosen(self) -> Choice | None:
        """The model that the source is about; None if it has none."""
        strong = [m for m in self.makings if not _unknown(m)]
        free = [m for m in strong if m.choice.name not in self.blocks]
        for group in ([m for m in strong if m.trained], [m for m in free if m.variable], free):
            if group:
                return group[-1].choice
        for names in self._tiers():
            if names:
                return Choice(names[-1], "class", self.classes[names[-1]])
        weak = [m for m in self.makings if _unknown(m)]
        return weak[-1].choice if weak else None

    def all(self) -> list[Choice]:
        """Every model, in the order of the source, the chosen one among them."""
        chosen = self.chosen()
        left_out = self.losses | self.blocks
        names = {n for n in self.models if n not in left_out and runs(n, self.classes)}
        if chosen and chosen.kind == "class" and chosen.file is None:
            names.add(chosen.name)
        found = [Choice(name, "class", node) for name, node in self.classes.items() if name in names]
        return [*found, chosen] if chosen and chosen.name not in names else found

    def choices(self) -> list[str]:
        """The names to suggest: models, and what makes one."""
        names = [choice.name for choice in self.all()]
        names += [making.choice.name for making in self.makings]
        names += [n for n in self.functions if self._returns(n)]
        return list(dict.fromkeys(names))

    def made_by(self, choice: Choice) -> set[str]:
        """The name of a model, and of an instance also the class that it is made of."""
        makings = self.makings if choice.kind == "instance" else []
        return {choice.name, *[m.choice.name for m in makings if m.variable == choice.name][-1:]}

    def places(self, choice: Choice) -> set[str] | None:
        """The pieces from the one that makes a model last to the next that makes another; None: any piece."""
        names = self.made_by(choice)
        order = {place: at for at, place in enumerate(dict.fromkeys(unit.place for unit in self.units))}
        own, others = list[int](), list[int]()
        for unit in self.units:
            for making in self.by_unit.get(id(unit), ()):
                (own if making.choice.name in names else others).append(order[unit.place])
        if not others and (own or len(self.all()) <= 1):
            return None
        if not own:
            return set()
        end = min((at for at in others if at > own[-1]), default=len(order))
        return {place for place, at in order.items() if own[-1] <= at < end}

    def calls(self, name: str) -> list[tuple[ast.Call, ast.AST]]:
        """The calls of ``name`` outside the class itself, each with the scope that it stands in."""
        own = self.classes.get(name)
        found = []
        for scope in (scope for _, scope in self.scopes if scope.node is not own):
            for part in scope.parts:
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == name:
                    found.append((part, scope.node))
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
            return constructor_of(name, self.classes)
        local = self._local(name)
        if local is None:
            return None
        return (
            local.node.args
            if isinstance(local.node, FUNCTIONS)
            else constructor_of(local.node.name, local.classes)
        )

    # Classes

    def _is_model(self, name: str) -> bool:
        """Whether it is a class of nn.Module, by its bases here and in files beside the source."""
        if is_model(name, self.classes):
            return True
        elsewhere = (base for base in bases_of(name, self.classes) if base in self.imports)
        return any(local.is_model for local in map(self._local, elsewhere) if local)

    def _blocks(self) -> set[str]:
        """Model classes that another model class uses, itself or through functions, but not as its base."""
        if len(self.models) < 2:
            return set()
        parts: dict[str, list[ast.AST]] = {name: [node] for name, node in self.functions.items()}
        parts |= {
            name: [*self.classes[name].body, *self.classes[name].decorator_list] for name in self.models
        }
        reads = {
            name: {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
            for name, nodes in parts.items()
        }
        blocks: set[str] = set()
        for name in self.models:
            seen = {name}
            left = [] if name in self.losses else list(reads[name])
            while left:
                if (used := left.pop()) not in seen and used in reads:
                    seen.add(used)
                    left += reads[used]
            blocks |= seen & set(self.models) - {name}
        return blocks

    def _tiers(self) -> Iterator[list[str]]:
        usable = [name for name in self.models if name not in self.losses]
        tops = [name for name in usable if name not in self.blocks]
        yield [name for name in tops if runs(name, self.classes) and self._takes_one(name)]
        yield [name for name in usable if runs(name, self.classes) and self._takes_one(name)]
        yield tops
        yield usable
        unknown = [
            name
            for name, node in self.classes.items()
            if name not in self.losses
            and node.bases
            and not any(
                NO_MODELS.search(last_name(base)) or last_name(base) in self.classes for base in node.bases
            )
            and all(self._may_be_of_torch(base) for base in node.bases)
        ]
        yield [name for name in unknown if method_of(name, "forward", self.classes)]
        # Not what iterates, loads or transforms data.
        data = ("__getitem__", "__len__", "__iter__", "__call__", "setup", "train_dataloader")
        yield [name for name in unknown if not any(method_of(name, method, self.classes) for method in data)]

    def _may_be_of_torch(self, base: ast.expr) -> bool:
        """Whether a base from elsewhere can be an nn.Module: none of Python's or a package without torch."""
        root = root_of(base)
        if hasattr(builtins, root):
            return False
        if local := self._local(root):
            return local.is_model
        package = self.packages.get(root, "")
        if package in sys.stdlib_module_names:
            return False
        return package in OF_TORCH or not package or not _is_installed(package)

    def _takes_one(self, name: str) -> bool:
        forward = method_of(name, "forward", self.classes)
        return forward is None or takes_one(forward.args)

    # Makings

    def _makings(self) -> list[_Making]:
        found: list[_Making] = []
        top: list[_Making] = []
        self.by_unit: dict[int, list[_Making]] = {}
        for unit, scope in self.scopes:
            if scope.in_class in self.models:
                continue  # its parts
            made = self._made_in(scope)
            self._mark(scope, made, top)
            self.by_unit.setdefault(id(unit), []).extend(m for m in made if not _unknown(m))
            if scope.is_top:
                top += made
            found += [m for m in made if m.choice.kind != "instance" or scope.is_top]
        return found

    def _mark(self, scope: Scope, made: list[_Making], above: list[_Making]) -> None:
        """Which makings the scope trains: of each variable that it trains the last before that."""
        for line, variable in self._trained(scope):
            own = [m for m in made if m.variable == variable]
            before = [m for m in own if m.call.lineno <= line]
            if not scope.is_top and own:
                before = before or own
            elif not before:
                before = [m for m in above if m.variable == variable]
            if before:
                before[-1].trained = True

    def _trained(self, scope: Scope) -> Iterator[tuple[int, str]]:
        for part in scope.parts:
            if not isinstance(part, ast.Call):
                continue
            function = part.func
            if isinstance(function, ast.Attribute):
                if isinstance(function.value, ast.Name) and function.attr in TRAINED_BY:
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

    def _made_in(self, scope: Scope) -> list[_Making]:
        variables: dict[ast.Call, str] = {}
        calls: list[ast.Call] = []
        for part in scope.parts:
            if isinstance(part, ast.Assign):
                for target in part.targets:
                    variables.update(named_calls(target, part.value))
            elif isinstance(part, ast.AnnAssign | ast.NamedExpr) and part.value:
                variables.update(named_calls(part.target, part.value))
            elif isinstance(part, ast.Call):
                calls.append(part)
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
        found = []
        for call in calls:
            variable = variables.get(call, "")
            choice = self._choice(call, variable) or self._given(call)
            if choice:
                found.append(_Making(choice, call, variable))
        return found

    def _given(self, call: ast.Call) -> Choice | None:
        """The class that a call is given, to make a model of: ``prepare(Net, lr=0.1)``."""
        if last_name(call.func) in NOT_MAKING:
            return None
        for given in call.args:
            name = given.id if isinstance(given, ast.Name) else ""
            if name in self.models and name not in self.losses:
                return Choice(name, "class", self.classes[name])
            local = self._local(name) if name in self.imports else None
            if local and local.is_model and isinstance(local.node, ast.ClassDef):
                return Choice(name, "class", local.node, local.file)
        return None

    def _choice(self, call: ast.Call, variable: str) -> Choice | None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        name = self.aliases.get(name, name)
        if name in self.classes:
            if name in self.losses or not (name in self.models or self._foreign(name)):
                return None
            return Choice(name, "class", self.classes[name])
        if name in self.functions:
            made = self._returns(name) if variable else None
            if made is None:
                return None
            return (
                made
                if made.kind == "class"
                else Choice(name, "factory", self.functions[name])
                if not required(self.functions[name].args)
                else Choice(variable, "instance")
            )
        if last_name(call.func) == "Sequential":
            return (
                Choice(variable, "instance")
                if variable and not re.search(r"(?i)transf|augm", variable)
                else None
            )
        if name and variable and (local := self._local(name)):
            if isinstance(local.node, ast.ClassDef):
                return Choice(name, "class", local.node, local.file) if local.is_model else None
            if not INSTANCES.match(variable):
                return None
            if required(local.node.args):
                return Choice(variable, "instance")
            return Choice(name, "factory", local.node, local.file)
        root = call.func
        while isinstance(root, ast.Attribute | ast.Call):
            root = root.value if isinstance(root, ast.Attribute) else root.func
        known = isinstance(root, ast.Name) and (root.id in self.bound or "*" in self.bound)
        if (
            INSTANCES.match(variable)
            and known
            and "load" not in last_name(call.func)
            and last_name(call.func) not in MOVES
        ):
            return Choice(variable, "instance")
        return None

    def _foreign(self, name: str) -> bool:
        """Whether it has a ``forward`` and a base from elsewhere."""
        return self.classes[name].bases != [] and method_of(name, "forward", self.classes) is not None

    def _local(self, name: str) -> Found | None:
        if name not in self.found:
            nodes = [self.imports[name]] if name in self.imports else self.stars
            found = (find_local(node, name, self.path, self.roots) for node in nodes)
            self.found[name] = next(filter(None, found), None)
        return self.found[name]

    def _returns(self, name: str, depth: int = DEPTH) -> Choice | None:
        """What a local function makes: a class of the source without arguments, else a model of its own."""
        if name in self.returned or depth == 0:
            return self.returned.get(name)
        self.returned[name] = None  # for functions that return each other's
        choices = set()
        for call in self._returned_calls(name):
            callee = last_name(call.func)
            if callee in self.models and callee not in self.losses:
                needs = required(constructor_of(callee, self.classes))[1:]
                choices.add(callee if needs or not (call.args or call.keywords) else "")
            elif callee in self.functions and (inner := self._returns(callee, depth - 1)):
                choices.add(inner.name if inner.kind == "class" else "")
            elif callee == "Sequential":
                choices.add("")
        if choices:
            only = choices.pop() if len(choices) == 1 else ""
            made = Choice(only, "class", self.classes[only]) if only else None
            self.returned[name] = made or Choice(name, "factory", self.functions[name])
        return self.returned[name]

    def _returned_calls(self, name: str) -> Iterator[ast.Call]:
        (scope, *_) = scopes_in(self.functions[name])
        variables: dict[str, ast.Call] = {}
        for part in scope.parts:
            if isinstance(part, ast.Assign):
                for target in part.targets:
                    variables |= {
                        variable: call for call, variable in named_calls(target, part.value).items()
                    }
        for part in scope.parts:
            if isinstance(part, ast.Return) and part.value is not None:
                value = stripped(part.value)
                value = variables.get(value.id, value) if isinstance(value, ast.Name) else value
                if isinstance(value, ast.Call):
                    yield value


def _unknown(making: _Making) -> bool:
    """Whether nothing but a variable's name says that it is a model."""
    return making.choice.kind == "instance" and last_name(making.call.func) != "Sequential"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
