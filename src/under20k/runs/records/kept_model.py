"""The model that a record keeps: the trained weights of its first seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from under20k.errors import UserError
from under20k.files import is_present
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.model_files import INPUT_ENTRIES, floats_of
from under20k.runs.records.record import Record
from under20k.runs.records.record_files import MODEL
from under20k.runs.tensors import read_tensors


def weights_sha256(weights: Tensors) -> str:
    """Return the SHA-256 of a model's tensors: names, shapes and float32 values, little-endian."""
    checksum = hashlib.sha256()
    for name in sorted(weights):
        checksum.update(f"{name} {weights[name].shape}\n".encode())
        checksum.update(weights[name].astype("<f4").tobytes())
    return checksum.hexdigest()


def kept_model(path: Path, record: Record) -> Tensors:
    """Return the weights of the record's first seed, from its folder ``path``.

    Raises UserError if they are missing, damaged, of another recipe or seed, or if their checksum is not the
    one in ``record.json``.
    """
    file, seed = path / MODEL, record.bench.seeds[0].seed
    if not is_present(file):
        raise UserError(f"{MODEL} is missing")
    tensors, metadata = read_tensors(file, ("recipe", "seed", *INPUT_ENTRIES))
    tensors = floats_of(record.bench.recipe, tensors)
    try:
        found = Recipe.from_json(metadata.get("recipe", "")), metadata.get("seed")
        check_weights(record.bench.recipe.architecture, tensors)
    except UserError as error:
        raise UserError(f"{MODEL}: {error}") from error
    if found != (record.bench.recipe, str(seed)):
        raise UserError(f"{MODEL} belongs to another recipe or seed; the record's first seed is {seed}")
    if weights_sha256(tensors) != record.weights[seed]:
        raise UserError(f"{MODEL} does not match the weights checksum of seed {seed} in record.json")
    return tensors
