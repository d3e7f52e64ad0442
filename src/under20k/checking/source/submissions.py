"""A folder of submissions: the authors of its files, the files with models, and identical models.

Files are parsed and nothing of them runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from under20k.checking.source.claims import claims
from under20k.checking.source.submission_files import File, Files, folders_up
from under20k.checking.source.target import SUFFIXES, NoModel, Target, parse, parse_all
from under20k.errors import UserError

SKIPPED = frozenset({"venv", "env", "node_modules", "site-packages", "lightning_logs", "wandb", "mlruns"})
"""Folders without the author's work, in addition to those whose name begins with ``.`` or ``__``."""
PROJECT_FILES = (
    *(".git", ".gitignore", ".github", "pyproject.toml", "setup.py", "setup.cfg"),
    *("requirements.txt", "environment.yml", "Pipfile", "__init__.py"),
)
"""Files typical of the top of one author's project, but not of a class's folder."""


@dataclass(frozen=True)
class Model:
    """A model of a submission, parsed, or the reason why its file cannot be."""

    text: str
    """The file as the user would name it, with the class if several of the file are judged."""
    path: Path
    target: Target | None
    error: str = ""


@dataclass(frozen=True)
class Submission:
    """The work of one author."""

    name: str
    """Relative to the folder that is checked."""
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Found:
    """The submissions of a folder."""

    folder: Path
    is_project: bool
    """Whether the folder is one submission; otherwise each subfolder and each file at its top is one."""
    why: str
    """Reason for that; empty if it was given."""
    submissions: tuple[Submission, ...]
    without_model: tuple[str, ...]
    """Files that hold no model of their own."""
    without_code: tuple[str, ...]
    """Subfolders without a Python file or notebook; never those of a project."""


def find(folder: Path, is_project: bool | None = None, *, every: bool = False) -> Found:
    """Find the submissions below ``folder``, in the order of their names (2 before 10).

    Args:
        folder: to check.
        is_project: whether the folder is one submission; None decides by its files.
        every: whether to take all model classes of a file.

    Raises:
        UserError: the folder has no Python file and no notebook.
    """
    paths = list(_code(folder))
    if not paths:
        raise UserError(f"{folder} holds no .py or .ipynb file")
    files = Files(paths, folder)
    why = ""
    if is_project is None:
        is_project, why = _looks_like_a_project(folder, files)
    if is_project:
        name = folder.resolve().name or str(folder)
        submission, without = _submission(name, folder, files, every)
        return Found(folder, True, why, (submission,) if submission.models else (), tuple(without), ())
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(folder / path.relative_to(folder).parts[0], []).append(path)
    submissions, without_model = [], []
    for top, members in groups.items():
        loose = top.is_file()
        submission, without = _submission(
            top.name, folder if loose else top, Files(members, folder if loose else top, files), every
        )
        without_model += without
        if submission.models or not loose:
            submissions.append(submission)
    empty = [
        entry.name
        for entry in sorted(folder.iterdir(), key=_natural)
        if entry.is_dir() and not _is_skipped(entry) and entry not in groups
    ]
    submissions.sort(key=lambda submission: _natural(Path(submission.name)))
    return Found(folder, False, why, tuple(submissions), tuple(without_model), tuple(empty))


def holds_code(folder: Path) -> bool:
    """Return whether a Python file or a notebook lies below a folder."""
    return next(_code(folder), None) is not None


def _code(folder: Path, at_top: bool = True) -> Iterator[Path]:
    """Yield the Python files and notebooks below a folder, its own first; follow links only at its top."""
    entries = sorted(folder.iterdir(), key=_natural)
    for entry in entries:
        if entry.suffix in SUFFIXES and not entry.name.startswith(".") and entry.is_file():
            yield entry
    for entry in entries:
        if not entry.is_dir() or _is_skipped(entry) or not os.access(entry, os.R_OK | os.X_OK):
            continue
        above = entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve())
        if not above and (at_top or not entry.is_symlink()):
            yield from _code(entry, at_top=False)


def _is_skipped(folder: Path) -> bool:
    name = folder.name
    return name.startswith((".", "__")) or name in SKIPPED or (folder / "pyvenv.cfg").exists()


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _looks_like_a_project(folder: Path, files: Files) -> tuple[bool, str]:
    """Return whether a folder is one author's, and why."""
    tops = {folder / path.relative_to(folder).parts[0] for path in files}
    loose, below = [top for top in tops if top.is_file()], [top for top in tops if not top.is_file()]
    if len(below) > 1 and sum((top / ".git").exists() for top in below) * 2 > len(below):
        return False, "its subfolders are repositories"
    for name in PROJECT_FILES:
        if (folder / name).exists():
            return True, f"it has {name}"
    for path in sorted(loose):
        for other in files[path].imports():
            if other.path.parent != folder:
                return True, f"{path.name} imports {other.path.relative_to(folder)}"
    imported = {other.path for path in loose for other in files[path].imports()}
    modules = [path for path in loose if files[path].has_model_class]
    if modules and sum(path in imported for path in modules) * 2 > len(modules):
        return True, "its files import each other"
    kinds = ["subfolder"] * bool(below) + ["file"] * bool(loose)
    return False, f"a {' or '.join(kinds)} each"


def _submission(name: str, top: Path, files: Files, every: bool) -> tuple[Submission, list[str]]:
    """Return a submission's models, no class twice, and its files without a model of their own."""
    made, parts = files.used()
    parsed = {path: list(_models(file, top, every)) for path, file in files.items()}
    found = {
        path: list(_own(models, files[path], made.get(path, {}), parts.get(path, {}), every))
        for path, models in parsed.items()
    }
    _lend(found, parsed, files)
    distinct = _distinct([model for path in found for model in found[path]], files)
    return Submission(name, tuple(distinct)), [str(path) for path in found if not found[path]]


def _models(file: File, top: Path, every: bool) -> Iterator[Model]:
    text = str(file.path)
    folders = list(map(str, folders_up(file.path.absolute().parent, top.absolute())))
    try:
        for target in parse_all(text, folders) if every else [parse(text, folders)]:
            yield Model(f"{text}:{target.name}" if every else text, file.path, target)
    except NoModel:
        return
    except UserError as error:
        if file.may_hold_model:
            yield Model(text, file.path, None, str(error))
    except Exception as error:  # whatever a file holds, the others are judged
        yield Model(text, file.path, None, f"cannot be parsed: {type(error).__name__}: {error}")


def _own(
    models: Iterable[Model], file: File, made: Iterable[str], parts: Container[str], every: bool
) -> Iterator[Model]:
    """Yield the models that a file is judged by.

    There are none if its model is another file's, or if all that it holds are parts.

    Args:
        models: of the file.
        file: the file itself.
        made: names that other files make of it.
        parts: names that are parts of other files' models.
        every: whether to take all model classes.
    """
    for model in models:
        target = model.target
        if target is None:
            yield model
            continue
        if file.is_borrowed(target.name):
            continue
        known = (target.name, *target.others)
        wanted = [name for name in made if name in known]
        if not wanted and target.name in parts:
            wanted = [name for name in known if name not in parts][-1:]
            if not wanted:
                continue
        if every or not wanted or wanted == [target.name]:
            yield model
            continue
        for name in wanted:
            named = parse(f"{file.path}:{name}", target.folders)
            yield Model(f"{file.path}:{name}" if len(wanted) > 1 else model.text, file.path, named)


Models = dict[Path, list[Model]]


def _lend(found: Models, parsed: Models, files: Files) -> None:
    """Add to each model the losses, claims and calls from the files that create it."""
    for path, models in found.items():
        if models:
            continue
        file = files[path]
        lenders = [file, *(other for other in file.reached() if not found[other.path])]
        made = {(other, name) for other, name, _ in file.calls}
        for other in {other for other, _ in made}:
            for index, model in enumerate(found[other]):
                target = model.target
                if target is not None and (other, target.name) in made:
                    for lender in lenders:
                        target = _with(target, lender, parsed[lender.path])
                    found[other][index] = replace(model, target=target)


def _with(target: Target, file: File, models: Iterable[Model] = ()) -> Target:
    """Return the target with another file's losses, claims and calls for its class."""
    calls, claimed = dict.fromkeys(target.calls), claims(file.source)
    for model in models:
        if model.target is not None and model.target.name == target.name:
            calls |= dict.fromkeys(model.target.calls)
            claimed = model.target.claims
    return replace(
        target,
        losses=tuple(sorted({*target.losses, *file.losses})),
        calls=tuple(calls),
        claims=type(claimed)(
            **{
                each.name: getattr(target.claims, each.name) or getattr(claimed, each.name)
                for each in fields(claimed)
            }
        ),
    )


def _distinct(models: list[Model], files: Files) -> list[Model]:
    """Drop copies of a class in several files, unless the files name different losses."""
    imported = {other.path for file in files.values() for other in file.imports()}
    kept: dict[str, tuple[Model, str]] = {}
    # A module that others import takes precedence over copies of its classes.
    for model in sorted(models, key=lambda model: model.target is None or model.target.path not in imported):
        target = model.target
        if target is None:
            kept[model.text] = (model, "")
            continue
        file = files[target.path]
        code = file.code_of(target.name)
        for text, (other, its_code) in kept.items():
            first = other.target
            if (
                first
                and its_code == code
                and (not target.losses or not first.losses or target.losses == first.losses)
            ):
                note = f"{file.name} has the same class"
                merged = replace(_with(first, file), notes=(*first.notes, note))
                kept[text] = (replace(other, target=merged), code)
                break
        else:
            kept[model.text] = (model, code)
    return [kept[model.text][0] for model in models if model.text in kept]
