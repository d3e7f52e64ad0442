"""The functions of ``under20k`` as a notebook calls them: the same ones, with progress shown in the cell.

Outside of a kernel, and with an ``on_event`` of the caller's, they do what they wrap and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from under20k.checking.check import check as _check
from under20k.checking.training.calls import bench as _bench
from under20k.checking.training.calls import reproduce as _reproduce
from under20k.checking.training.calls import train as _train
from under20k.data import load as _load
from under20k.data import load_test as _load_test
from under20k.deploy.evaluate import evaluate as _evaluate
from under20k.errors import UserError
from under20k.interactive.kernel import in_kernel, with_short_traceback
from under20k.interactive.python_words import in_python

if TYPE_CHECKING:
    from under20k.interactive.view import Viewed

P = ParamSpec("P")
R = TypeVar("R")


def live(
    function: Callable[P, R], shows: str, *, has_events: bool = True, name: str | None = None
) -> Callable[P, R]:
    """Return ``function`` with progress shown where a kernel calls it; signature and docstring are its own.

    An error advises arguments, not options of the command.

    Args:
        function: to call; it takes ``on_event`` if it ``has_events``.
        shows: name of the ``Viewed``: a key of ``_viewed``.
        has_events: whether the progress is told by events.
        name: its name in ``under20k``, if that is not its own.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return shown(*args, **kwargs)
        except UserError as error:
            error.args = (in_python(str(error)),)
            raise

    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        if "on_event" in kwargs or not in_kernel():
            return function(*args, **kwargs)
        from under20k.interactive.cell import Cell

        cell = Cell(_viewed(shows), _again(shows, kwargs))
        events = {"on_event": cell} if has_events else {}
        try:
            with cell:
                returned = cast(Callable[..., R], function)(*args, **kwargs, **events)
                cell.show_result(returned)
        except (KeyboardInterrupt, UserError) as error:
            raise with_short_traceback(error) from None
        return returned

    call.__module__ = "under20k"  # where pickle finds it
    if name is not None:
        call.__name__ = call.__qualname__ = name
    return call


def _viewed(shows: str) -> Viewed:
    """Return a new ``Viewed``. What it needs to draw loads only in a kernel."""
    match shows:
        case "training":
            from under20k.interactive.training_view import TrainingView

            return TrainingView()
        case "bench":
            from under20k.interactive.bench_view import BenchView

            return BenchView()
        case "check":
            from under20k.interactive.check_view import CheckView

            return CheckView()
    from under20k.interactive.download_view import DownloadView

    return DownloadView()


def _again(shows: str, arguments: Mapping[str, Any]) -> str:
    """Return how a call that is interrupted goes on."""
    if shows == "training" and arguments.get("existing") in ("refuse", "replace"):
        return 'call it with existing="resume" to continue'
    return "run the cell again" if shows == "check" else "run the cell again to continue"


train = live(_train, "training")
bench = live(_bench, "bench")
reproduce = live(_reproduce, "bench")
check = live(_check, "check", has_events=False)
evaluate = live(_evaluate, "download")
load_mnist = live(_load, "download", name="load_mnist")
load_mnist_test = live(_load_test, "download", name="load_mnist_test")
