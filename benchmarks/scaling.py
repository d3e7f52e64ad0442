"""The gain from a second core: two threads against one, and two trainings at once against one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.amount import Amount, cores_used
from benchmarks.native import WARM_UP, engine, epoch, epoch_timer
from benchmarks.turns import in_turns, seconds
from under20k.data import load
from under20k.errors import UserError
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.named import MINIMAL

STOP_S = 30


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values, turn by turn: seconds of an epoch by threads, and of one epoch in each of some processes.

    An epoch among the processes is what a seed takes: training, then the logits of the validation images.
    """
    cores, data = cores_used(), load().train
    threads = {str(n): epoch_timer(MINIMAL, data, amount, n) for n in (1, cores)}
    threads_s = in_turns(threads, amount.rounds, lambda text: tell(f"threads: {text}"))
    scale = TRAIN_IMAGES / amount.images
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(amount)) for _ in range(cores)]

        def together(count: int) -> Callable[[], float]:
            return lambda: scale * seconds(lambda: one_epoch_each(workers[:count]))

        processes = {str(n): together(n) for n in (1, cores)}
        processes_s = in_turns(processes, amount.rounds, lambda text: tell(f"processes: {text}"))
    return {
        "recipe": MINIMAL.name,
        "epochs": MINIMAL.epochs,
        "threads_s": threads_s,
        "processes_s": processes_s,
    }


class Worker:
    """A process with an engine of one thread, ready to train; it ends with the block."""

    def __init__(self, amount: Amount) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, amount), daemon=True)
        self.process.start()
        other.close()  # so that a worker that died is an end of file here

    def __enter__(self) -> Worker:
        self.wait()  # until it is warm
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipe.close()
        self.process.join(STOP_S)
        self.process.kill()

    def wait(self) -> None:
        """Wait until the process has trained. Raises UserError if it died."""
        try:
            self.pipe.recv()
        except EOFError:
            raise UserError("a process that was to be measured has ended; its message stands above") from None


def one_epoch_each(workers: list[Worker]) -> None:
    """Have all train at once, and wait for the last."""
    for worker in workers:
        worker.pipe.send("train")
    for worker in workers:
        worker.wait()


def work(pipe: Connection, amount: Amount) -> None:
    """Run a worker: train an epoch for each message from the pipe, and answer after each."""
    data = load()
    trained = engine(MINIMAL, 1)
    images = min(WARM_UP, amount.images)
    while True:
        epoch(trained, MINIMAL, data.train, images)
        trained.logits(data.validation.images[: amount.evaluated])
        images = amount.images
        try:
            pipe.send("done")
            pipe.recv()
        except (EOFError, OSError):
            return
