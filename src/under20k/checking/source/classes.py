"""The kind of a class, by its source and that of its bases in the same file."""

from __future__ import annotations

import ast
import re

from under20k.checking.source.syntax import FUNCTIONS, Function, last_name

Classes = dict[str, ast.ClassDef]
"""By name, all of one source."""
MODULES = ("Module", "Sequential", "LightningModule", "ScriptModule")
NO_MODELS = re.compile(
    r"(Dataset|DataModule|Callback|Transform|Sampler|Exception|Error|Warning|Enum|Optimizer|Scheduler|TestCase"
    r"|Thread|ABC|NamedTuple|Protocol|TypedDict|^object|^dict|^list|^tuple|^str|^int|^float|Logger|Trainer|Metric"
    r"|Loss|Function|Action|Formatter|Handler|Visitor|Generic)$"
)
LOSS_FUNCTIONS = frozenset({"nll_loss", "NLLLoss", "cross_entropy", "CrossEntropyLoss"})
"""Names of the losses that a softmax has to fit."""
LOSSES = re.compile(r"(?i)(loss|criterion)(es)?\d*$")
TARGETS = re.compile(r"(?i)^(targets?|labels?|y|y_?true|gt|ground_truth|actual)$")


def takes_one(args: ast.arguments) -> bool:
    """Return whether a ``forward`` with these parameters takes one tensor, ``self`` aside."""
    names = required(args)[1:]
    return len(names) == 1 or (not names and len([*args.posonlyargs, *args.args]) + bool(args.vararg) > 1)


def is_model(name: str, classes: Classes) -> bool:
    """Return whether a class of ``classes`` derives from nn.Module."""
    return bool(bases_of(name, classes) & {*MODULES})


def bases_of(name: str, classes: Classes) -> set[str]:
    """Return the names of all bases, those of local bases included."""
    found: set[str] = set()
    left = [name]
    while left:
        for base in classes[left.pop()].bases:
            if (last := last_name(base)) not in found:
                found.add(last)
                if last in classes and last != name:
                    left.append(last)
    return found


def method_of(name: str, method: str, classes: Classes) -> Function | None:
    """Return a method of a class or of its local bases."""
    seen: set[str] = set()
    left = [name]
    while left:
        if (at := left.pop(0)) in seen or at not in classes:
            continue
        seen.add(at)
        for node in reversed(classes[at].body):
            if isinstance(node, FUNCTIONS) and node.name == method:
                return node
        left += [last_name(base) for base in classes[at].bases]
    return None


def constructor_of(name: str, classes: Classes) -> ast.arguments | None:
    """Return the parameters of ``__init__``, own or of a local base."""
    init = method_of(name, "__init__", classes)
    return init.args if init else None


def required(args: ast.arguments | None) -> list[str]:
    """Return the parameters without a default, ``self`` included."""
    if args is None:
        return []
    positional = [*args.posonlyargs, *args.args]
    names = [a.arg for a in positional[: len(positional) - len(args.defaults)]]
    return names + [a.arg for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is None]


def is_loss(name: str, classes: Classes) -> bool:
    """Return whether it is a loss: by its name, its base, or a ``forward`` that also takes the target."""
    node = classes[name]
    if LOSSES.search(name) or any(LOSSES.search(last_name(base)) for base in node.bases):
        return True
    forward = method_of(name, "forward", classes)
    names = required(forward.args)[1:] if forward else []
    return len(names) == 2 and bool(TARGETS.match(names[1]))


def runs(name: str, classes: Classes) -> bool:
    """Return whether it has a ``forward`` that does something, as far as its bases are known."""
    forward = method_of(name, "forward", classes)
    if forward is None:
        return "Sequential" in bases_of(name, classes) or not bases_of(name, classes) <= {
            "Module",
            *classes,
        }
    body = [s for s in forward.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return any(not isinstance(s, ast.Pass | ast.Raise) for s in body)
