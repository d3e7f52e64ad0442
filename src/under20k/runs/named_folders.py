"""The benches or runs of a recipe or of a user's own model, found by its name."""

from __future__ import annotations

from pathlib import Path

from under20k.errors import UserError
from under20k.files import is_present
from under20k.recipe.named import RECIPES
from under20k.recipe.own_model import is_target
from under20k.recipe.recipe import Recipe
from under20k.runs.bench.bench import FILE, Bench
from under20k.runs.run import Run


def is_name(text: str) -> bool:
    """Return whether a text names a recipe or a user's own model, and no folder."""
    return (text in RECIPES or is_target(text)) and not Path(text).is_dir()


def folders_named(text: str) -> list[Path]:
    """Return the benches of a recipe or a user's own model in ./benches, or else its finished runs in ./runs.

    Those of a model are of any arguments and settings, as its name in a table says, and of any version of its
    file. Damaged ones are left out. Raises UserError if there are none.
    """
    benches = [path for path in _inside(Path("benches"), FILE) if _is_of(path, text)]
    found = benches or [path for path in _inside(Path("runs"), "model.safetensors") if _is_of(path, text)]
    if not found:
        trust = " --trust" if is_target(text) else ""
        raise UserError(
            f"there is no bench of {text} in ./benches, and no finished run in ./runs; make one: "
            f"under20k bench {text}{trust} --seeds 0-9"
        )
    return found


def one_folder(path: Path | str) -> Path:
    """Return a folder, or the only one of what a text names. Raises UserError for none, or several."""
    if not is_name(str(path)):
        return Path(path)
    found = folders_named(str(path))
    if len(found) > 1:
        raise UserError(f"{path} has {len(found)}: {', '.join(map(str, found))}; name one of these folders")
    return found[0]


def _inside(parent: Path, file: str) -> list[Path]:
    """Return the folders in another that have a file, by name."""
    return [path for path in sorted(parent.iterdir()) if is_present(path / file)] if parent.is_dir() else []


def _is_of(path: Path, text: str) -> bool:
    try:
        recipe: Recipe = (Bench if is_present(path / FILE) else Run).open(path).recipe
    except UserError:
        return False
    return recipe.own.target == text if recipe.own else recipe.name == text
