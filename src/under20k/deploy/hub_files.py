"""The files of a folder for the Hugging Face Hub from which a model is loaded.

::

    config.json        what is neither recipe nor weights: temperature, threshold, origin
    recipe.json        the recipe, as ``under20k train`` takes it
    model.safetensors  the weights, under the names of the PyTorch module in model.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from under20k import __version__
from under20k.deploy.origin import Origin
from under20k.deploy.plain_names import plain_names
from under20k.errors import InvalidValue, UserError, in_words
from under20k.files import check_format, is_present, read_json, read_text
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.model_files import INPUT_ENTRIES
from under20k.runs.tensors import read_tensors, safetensors_bytes

FORMAT = 1
CONFIG, RECIPE, WEIGHTS = "config.json", "recipe.json", "model.safetensors"
LIBRARY = "under20k"


@dataclass(frozen=True)
class HubFiles:
    """What the files hold; ``deploy.model`` makes a model of it."""

    name: str
    recipe: Recipe
    weights: Tensors
    temperature: float
    threshold: float
    origin: Origin | None

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` holds."""
        return {
            "format": FORMAT,
            "library_name": LIBRARY,
            "library_version": __version__,
            "name": self.name,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "origin": None if self.origin is None else self.origin.to_dict(),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write the three files, and return them."""
        config = json.dumps(self.config(), indent=2, allow_nan=False) + "\n"
        (folder / CONFIG).write_text(config, encoding="utf-8", newline="\n")
        (folder / RECIPE).write_text(self.recipe.to_json(), encoding="utf-8", newline="\n")
        (folder / WEIGHTS).write_bytes(plain_safetensors(self.recipe, self.weights))
        return [folder / CONFIG, folder / RECIPE, folder / WEIGHTS]


def plain_safetensors(recipe: Recipe, weights: Tensors) -> bytes:
    """Return weights as a safetensors file with the names of the exported PyTorch module."""
    names = plain_names(recipe.architecture)
    # "pt" is what PyTorch's users of safetensors write.
    metadata = {"format": "pt", "recipe": recipe.to_json(), **INPUT_ENTRIES}
    return safetensors_bytes({names[name]: value for name, value in weights.items()}, metadata)


def is_hub_folder(path: Path) -> bool:
    """Tell whether a folder may be one that ``HubFiles.write`` wrote."""
    return is_present(path / CONFIG) and (is_present(path / WEIGHTS) or is_present(path / RECIPE))


def read_hub_files(path: Path) -> HubFiles:
    """Return what the files in a folder hold. Raises UserError if they are damaged or not under20k's."""
    file = path / CONFIG
    config = read_json(file)
    if not isinstance(config, dict) or config.get("library_name") != LIBRARY:
        raise UserError(f"{file} is not under20k's; name a folder of 'under20k export --to hub-folder'")
    check_format(config, (FORMAT,), f"{file} is a model's configuration")
    try:
        recipe = Recipe.from_json(read_text(path / RECIPE))
    except InvalidValue as error:
        raise UserError(f"{path / RECIPE} is not a recipe: {error}") from error
    try:
        return HubFiles(
            _text(config, "name"),
            recipe,
            _weights(path / WEIGHTS, recipe),
            _number(config, "temperature", 1e-3, 1e3),
            _number(config, "threshold", 0, 1),
            None if config["origin"] is None else Origin.from_dict(config["origin"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file} is damaged: {in_words(error)}") from error


def _weights(path: Path, recipe: Recipe) -> Tensors:
    tensors, _ = read_tensors(path, ("format", "recipe", *INPUT_ENTRIES))
    own = {plain: name for name, plain in plain_names(recipe.architecture).items()}
    weights = {own.get(name, name): value for name, value in tensors.items()}
    try:
        check_weights(recipe.architecture, weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return weights


def _text(config: Mapping[str, Any], name: str) -> str:
    if not isinstance(value := config[name], str):
        raise ValueError(f"{name} is {value!r}; expected a text")
    return value


def _number(config: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")
    return float(value)
