"""Choose a source's model: the one that it creates and trains, else its last class that can be one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.checking.source.classes import runs
from under20k.checking.source.declarations import Declarations
from under20k.checking.source.makings import Choice, Makings
from under20k.checking.source.top_level import Unit


class Models:
    """The models of a source, and how it creates them."""

    def __init__(self, units: Sequence[Unit], path: Path, roots: Sequence[Path] = ()) -> None:
        """Read the top-level statements of the source at ``path``; imports are looked up in ``roots``."""
        self.declared = Declarations(units, path, roots)
        self.makings = Makings(self.declared)

    def chosen(self) -> Choice | None:
        """Return the model that the source is about, None if it has none."""
        strong = [m for m in self.makings.all if not m.is_guess]
        free = [m for m in strong if m.choice.name not in self.declared.blocks]
        for group in ([m for m in strong if m.trained], [m for m in free if m.variable], free):
            if group:
                return group[-1].choice
        for names in self.declared.tiers():
            if names:
                return Choice(names[-1], "class", self.declared.classes[names[-1]])
        weak = [m for m in self.makings.all if m.is_guess]
        return weak[-1].choice if weak else None

    def all(self) -> list[Choice]:
        """Return every model, in the order of the source, the chosen one among them."""
        chosen = self.chosen()
        left_out = self.declared.losses | self.declared.blocks
        names = {n for n in self.declared.models if n not in left_out and runs(n, self.declared.classes)}
        if chosen and chosen.kind == "class" and chosen.file is None:
            names.add(chosen.name)
        found = [Choice(name, "class", node) for name, node in self.declared.classes.items() if name in names]
        return [*found, chosen] if chosen and chosen.name not in names else found

    def choices(self) -> list[str]:
        """Return the names to suggest: models, and functions and variables that make one."""
        names = [choice.name for choice in self.all()]
        names += [making.choice.name for making in self.makings.all]
        names += [n for n in self.declared.functions if self.makings.returns(n)]
        return list(dict.fromkeys(names))

    def made_by(self, choice: Choice) -> set[str]:
        """Return the name of a model, for an instance also that of its class."""
        makings = self.makings.all if choice.kind == "instance" else []
        return {choice.name, *[m.choice.name for m in makings if m.variable == choice.name][-1:]}

    def places(self, choice: Choice) -> set[str] | None:
        """Return the pieces from the last that creates the model to the next that creates another."""
        names = self.made_by(choice)
        order = {
            place: at for at, place in enumerate(dict.fromkeys(unit.place for unit in self.declared.units))
        }
        own, others = list[int](), list[int]()
        for unit in self.declared.units:
            for making in self.makings.by_unit.get(id(unit), ()):
                (own if making.choice.name in names else others).append(order[unit.place])
        if not others and (own or len(self.all()) <= 1):
            return None
        if not own:
            return set()
        end = min((at for at in others if at > own[-1]), default=len(order))
        return {place for place, at in order.items() if own[-1] <= at < end}
