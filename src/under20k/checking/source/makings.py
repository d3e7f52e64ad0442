"""Where a source creates models, and which of them it trains."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from under20k.checking.source.classes import constructor_of, required
from under20k.checking.source.declarations import Declarations
from under20k.checking.source.scopes import MOVES, Scope, named_calls, scopes_in, stripped
from under20k.checking.source.syntax import Function, last_name
from under20k.checking.source.training_calls import TRAINING_FUNCTIONS, training_functions

INSTANCES = re.compile(r"(?i)^(my_?)?(net|model|network|cnn|classifier)(_?\w{1,3}|\d+)?$")
NOT_MAKING = ("isinstance", "issubclass", "super", "type", "print", "hasattr", "getattr", "setattr")
TRAINED_BY = ("parameters", "named_parameters", "train", "fit")
DEPTH = 8
"""Depth of functions that return the result of another."""


@dataclass(frozen=True)
class Choice:
    """A model of a source, by the name that it is judged under."""

    name: str
    kind: str
    """class, factory or instance"""
    node: ast.ClassDef | Function | None = None
    """Its definition, if that is known."""
    file: Path | None = None
    """File of the definition, if it is imported from one next to the source."""


@dataclass
class Making:
    """A call that creates a model."""

    choice: Choice
    call: ast.Call
    variable: str
    trained: bool = False

    @property
    def is_guess(self) -> bool:
        """Whether only a variable's name suggests that it is a model."""
        return self.choice.kind == "instance" and last_name(self.call.func) != "Sequential"


class Makings:
    """The calls in a source that make models, in its order."""

    def __init__(self, declared: Declarations) -> None:
        self.declared = declared
        self.by_unit: dict[int, list[Making]] = {}
        """Makings that are not guesses, by the id of their top-level statement."""
        self._training = training_functions(declared.functions)
        self._returned: dict[str, Choice | None] = {}
        self.all = self._makings()

    def _makings(self) -> list[Making]:
        found: list[Making] = []
        top: list[Making] = []
        for unit, scope in self.declared.scopes:
            if scope.in_class in self.declared.models:
                continue  # its parts
            made = self._made_in(scope)
            self._mark(scope, made, top)
            self.by_unit.setdefault(id(unit), []).extend(m for m in made if not m.is_guess)
            if scope.is_top:
                top += made
            found += [m for m in made if m.choice.kind != "instance" or scope.is_top]
        return found

    def _mark(self, scope: Scope, made: list[Making], above: list[Making]) -> None:
        """Mark the makings that the scope trains: for each variable the last one before the training."""
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
        return name in self._training or (
            name not in self.declared.functions and bool(TRAINING_FUNCTIONS.match(name))
        )

    def _made_in(self, scope: Scope) -> list[Making]:
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
                found.append(Making(choice, call, variable))
        return found

    def _given(self, call: ast.Call) -> Choice | None:
        """Return the class that a call is given to make a model of: ``prepare(Net, lr=0.1)``."""
        if last_name(call.func) in NOT_MAKING:
            return None
        for given in call.args:
            name = given.id if isinstance(given, ast.Name) else ""
            if name in self.declared.models and name not in self.declared.losses:
                return Choice(name, "class", self.declared.classes[name])
            local = self.declared.local(name) if name in self.declared.imports else None
            if local and local.is_model and isinstance(local.node, ast.ClassDef):
                return Choice(name, "class", local.node, local.file)
        return None

    def _choice(self, call: ast.Call, variable: str) -> Choice | None:
        """Return the model that a call creates, None if it creates none."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        name = self.declared.aliases.get(name, name)
        if name in self.declared.classes:
            if name in self.declared.losses or not (
                name in self.declared.models or self.declared.is_foreign(name)
            ):
                return None
            return Choice(name, "class", self.declared.classes[name])
        if name in self.declared.functions:
            made = self.returns(name) if variable else None
            if made is None:
                return None
            return (
                made
                if made.kind == "class"
                else Choice(name, "factory", self.declared.functions[name])
                if not required(self.declared.functions[name].args)
                else Choice(variable, "instance")
            )
        if last_name(call.func) == "Sequential":
            return (
                Choice(variable, "instance")
                if variable and not re.search(r"(?i)transf|augm", variable)
                else None
            )
        if name and variable and (local := self.declared.local(name)):
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
        known = isinstance(root, ast.Name) and (root.id in self.declared.bound or "*" in self.declared.bound)
        if (
            INSTANCES.match(variable)
            and known
            and "load" not in last_name(call.func)
            and last_name(call.func) not in MOVES
        ):
            return Choice(variable, "instance")
        return None

    def returns(self, name: str, depth: int = DEPTH) -> Choice | None:
        """Return the model of a local function: a class without arguments, else the function itself."""
        if name in self._returned or depth == 0:
            return self._returned.get(name)
        self._returned[name] = None  # for functions that call each other
        choices = set()
        for call in self._returned_calls(name):
            callee = last_name(call.func)
            if callee in self.declared.models and callee not in self.declared.losses:
                needs = required(constructor_of(callee, self.declared.classes))[1:]
                choices.add(callee if needs or not (call.args or call.keywords) else "")
            elif callee in self.declared.functions and (inner := self.returns(callee, depth - 1)):
                choices.add(inner.name if inner.kind == "class" else "")
            elif callee == "Sequential":
                choices.add("")
        if choices:
            only = choices.pop() if len(choices) == 1 else ""
            made = Choice(only, "class", self.declared.classes[only]) if only else None
            self._returned[name] = made or Choice(name, "factory", self.declared.functions[name])
        return self._returned[name]

    def _returned_calls(self, name: str) -> Iterator[ast.Call]:
        (scope, *_) = scopes_in(self.declared.functions[name])
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
