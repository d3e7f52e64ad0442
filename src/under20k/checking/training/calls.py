"""``under20k.train``, ``bench`` and ``reproduce``: those of ``runs``, of any PyTorch model too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack

from under20k.checking.training.load import load_model
from under20k.checking.training.words import lines
from under20k.engine.base import Compute
from under20k.engine.select import fitting
from under20k.errors import InvalidValue, UserError
from under20k.recipe.changes import RecipeChanges, lists_changes
from under20k.recipe.named import as_recipe
from under20k.recipe.own_model import is_target
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed, check_seeds
from under20k.runs.bench.bench import Benches
from under20k.runs.bench.reproduce import reproduce as reproduce_trainings
from under20k.runs.bench.run_bench import BenchResult
from under20k.runs.bench.run_bench import bench as bench_training
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.own_start import OwnTraining, training_of
from under20k.runs.places import Places, check_settings
from under20k.runs.run import Existing, Run
from under20k.runs.train import train as train_training

if TYPE_CHECKING:
    from torch import nn

    Model = Recipe | str | nn.Module | Callable[[], nn.Module] | OwnTraining

EXPECTED = "a Recipe, the name of one, a PyTorch model or what makes one, or 'model.py:Net'"


@dataclass(frozen=True)
class Making:
    """How a model of the user's is made and trained."""

    trust: bool
    like: Recipe | str
    arguments: Mapping[str, object] | None
    compute: Compute
    on_event: OnEvent


@lists_changes
def train(
    model: Model,
    seed: int = 0,
    *,
    trust: bool = False,
    arguments: Mapping[str, object] | None = None,
    like: Recipe | str = "minimal",
    compute: Compute = Compute(),
    places: Places = Places(),
    name: str | None = None,
    existing: Existing = "resume",
    on_event: OnEvent = ignore,
    command_line: str | None = None,
    snapshots: bool = False,
    **changes: Unpack[RecipeChanges],
) -> Run:
    """Train a recipe or a PyTorch model and return the run; an exception leaves one that can be resumed.

    Args:
        model: a Recipe, or the name of one; or a PyTorch model of your own: a module, which stays as it is,
            a class or function that makes one, or ``"model.py:Net"``.
        seed: determines all random choices: initial weights, shuffling, augmentation, dropout. A module
            begins with the weights that it has.
        trust: run the code of ``"model.py:Net"``.
        arguments: of its constructor.
        like: the recipe by whose settings a model of your own is trained.
        compute: engine, device, precision and threads; by default all cores.
        places: ``runs`` will hold the run folder; ``data`` holds MNIST.
        name: of the run folder; by default the recipe's or model's name and the seed.
        existing: what to do with a run of this recipe and seed that is there. ``resume`` it with the engine,
            precision and threads of before, or return it if it is finished; ``replace`` it; ``refuse`` it.
        on_event: called with every event of ``runs.events``.
        command_line: recorded in the run; by default this process's own.
        snapshots: keep the weights of every epoch in the run folder; a resumed run that has some goes on.
        **changes: settings that replace the recipe's own.

    Raises:
        UserError: for any invalid argument or damaged file, a model that cannot be trained, and a run of
            another recipe or seed in that folder, unless it is replaced.
    """
    check_settings(changes)
    making = Making(trust, like, arguments, compute, on_event)
    return train_training(
        trained("model", model, [check_seed(seed)], making),
        seed,
        compute=compute,
        places=places,
        name=name,
        existing=existing,
        on_event=on_event,
        command_line=command_line,
        snapshots=snapshots,
        **changes,
    )


@lists_changes
def bench(
    model: Model,
    seeds: Sequence[int] = range(30),
    *,
    versus: Model | None = None,
    trust: bool = False,
    arguments: Mapping[str, object] | None = None,
    like: Recipe | str = "minimal",
    compute: Compute = Compute(),
    places: Places = Places(),
    jobs: int | None = None,
    cluster: str | None = None,
    existing: Literal["resume", "replace", "reuse"] = "resume",
    on_event: OnEvent = ignore,
    **changes: Unpack[RecipeChanges],
) -> BenchResult:
    """Train a recipe or a PyTorch model once for each of many seeds, and collect the results.

    A seed whose training fails is named in ``Bench.failures``.

    Args:
        model: a Recipe, or the name of one; or a PyTorch model of your own: a class or function that makes
            it, such as ``lambda: Net(0.05)``, or ``"model.py:Net"``.
        seeds: different ones, in any order; a claim needs consecutive ones from 0.
        versus: another recipe, or a model that is trained by the same settings, on the same seeds.
        trust: run the code of ``"model.py:Net"``.
        arguments: of the constructor of ``model``.
        like: the recipe by whose settings a model of your own is trained.
        compute: what to train on; ``threads`` are those of each training.
        places: of the runs, the benches, and MNIST.
        jobs: trainings in parallel on this machine; by default what is measured to be fastest.
        cluster: the address of a Dask scheduler, whose workers train instead.
        existing: runs that the same engine and numerics have finished are reused, unfinished ones resumed.
            Those that others have trained are an error (``resume``), trained again (``replace``), or reused
            as well (``reuse``).
        on_event: called with every event of ``runs.events``.
        **changes: settings that replace the recipe's own.

    Raises:
        UserError: for any invalid argument, a model that cannot be trained, and if no seed succeeds.
    """
    check_settings(changes)
    seeds = check_seeds(seeds)
    making = Making(trust, like, arguments, compute, on_event)
    other: Any = None
    if versus is not None:
        other = trained("versus", versus, seeds, Making(trust, like, None, compute, on_event), several=True)
        other = other if _is_recipe(versus) else other.with_changes(**changes)
    return bench_training(
        trained("model", model, seeds, making, several=True),
        seeds,
        versus=other,
        compute=compute,
        places=places,
        jobs=jobs,
        cluster=cluster,
        existing=existing,
        on_event=on_event,
        **changes,
    )


def reproduce(
    seeds: Sequence[int] = (0,),
    *,
    model: Model | None = None,
    trust: bool = False,
    arguments: Mapping[str, object] | None = None,
    like: Recipe | str = "minimal",
    recipes: Sequence[Recipe] | None = None,
    compute: Compute = Compute(),
    places: Places = Places(),
    jobs: int | None = None,
    existing: Literal["resume", "replace", "reuse"] = "reuse",
    on_event: OnEvent = ignore,
) -> Benches:
    """Train the assignment's recipes over seeds, all by one scheduler, and write a bench of each.

    Args:
        seeds: consecutive from 0, such as ``range(10)``; at most 1,000.
        model: trained, too, in front of the recipes: a Recipe, or the name of one; or a PyTorch model of your
            own: a class or function that makes it, or ``"model.py:Net"``.
        trust: run the code of ``"model.py:Net"``.
        arguments: of its constructor.
        like: the recipe by whose settings a model of your own is trained.
        recipes: by default the assignment's two, and the same networks trained better.
        compute: what to train on; ``threads`` are those of each training.
        places: of the runs, the benches, and MNIST.
        jobs: trainings in parallel; by default what is measured to be fastest.
        existing: treatment of runs that another engine or other numerics trained, as in ``bench``.
        on_event: called with every event of ``runs.events``.

    Returns:
        A bench per recipe, in their order; its ``bench.json`` is in ``places.benches``.

    Raises:
        UserError: a training failed, or an argument is wrong; finished runs are kept.
    """
    making = Making(trust, like, arguments, compute, on_event)
    given = None if model is None else trained("model", model, check_seeds(seeds), making, several=True)
    return reproduce_trainings(
        seeds,
        model=given,
        recipes=recipes,
        compute=compute,
        places=places,
        jobs=jobs,
        existing=existing,
        on_event=on_event,
    )


def trained(
    name: str, value: object, seeds: Sequence[int], making: Making, *, several: bool = False
) -> OwnTraining:
    """Return the training that an argument gives.

    Args:
        name: of the argument.
        value: a ``Model``.
        seeds: that will be trained.
        making: how a model of the user's is made and trained.
        several: whether each seed needs weights of its own.

    Raises:
        UserError: it gives none, or the model cannot be trained.
    """
    if _is_recipe(value):
        return training_of(name, value)
    like = as_recipe("like", making.like)
    notes: tuple[str, ...]
    if isinstance(value, str):
        if not making.trust:
            raise UserError(f"{value} is code, which runs to be trained; pass trust=True if you trust it")
        loaded = load_model(value, seeds, making.arguments)
        training, notes = loaded.training(like), loaded.notes
    else:
        training, notes = _of_object(name, value, seeds, like, several)
    model = training.recipe.own
    assert model is not None
    fitting(training.recipe, making.compute)  # raises where the engine cannot train it
    for line in (*notes, *lines(model)):
        making.on_event(Note(line))
    return training


def _is_recipe(value: object) -> bool:
    return isinstance(value, Recipe | OwnTraining) or (isinstance(value, str) and not is_target(value))


def _of_object(
    name: str, value: object, seeds: Sequence[int], like: Recipe, several: bool
) -> tuple[OwnTraining, tuple[str, ...]]:
    torch = sys.modules.get("torch")  # who has a module has imported it
    is_module = torch is not None and isinstance(value, torch.nn.Module)
    if not is_module and not callable(value):
        raise InvalidValue(f"{name}: {value!r:.80}; expected {EXPECTED}")
    from under20k.checking.training.objects import training_of_factory, training_of_object

    if not is_module:
        return training_of_factory(value, seeds, like)  # type: ignore[arg-type]
    if several:
        kind = type(value).__name__
        raise UserError(
            f"{name}: a module has the weights of one seed; give what makes it: {kind}, or lambda: {kind}(…)"
        )
    return training_of_object(value, like)  # type: ignore[arg-type]
