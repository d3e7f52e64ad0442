"""Judge a student's code in a process of its own, with limits. ``docs/check.md`` has the details."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

from under20k.checking.judgement import Judgement, Malformed
from under20k.checking.profiles import Profile
from under20k.checking.sandbox.messages import Answer, Request
from under20k.checking.sandbox.server import Server, Stopped, Unanswered
from under20k.checking.source.target import NoModel, Target, parse
from under20k.errors import UserError

TIME_LIMIT_S = 60.0
LOADING_LIMIT_S = 20.0
"""For a source to run whole, before its definitions are tried; at most a third of the time limit."""
MEMORY_LIMIT_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Sandbox:
    """The profile, the limits and the options that hold for every model judged."""

    profile: Profile
    time_limit_s: float = TIME_LIMIT_S
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES
    arguments: dict[str, object] = field(default_factory=dict)
    """For the constructors."""
    only_where_taken: bool = False
    """Whether a constructor gets only the arguments that it has a parameter for, as in a folder."""
    weights: Path | None = None
    """To measure the accuracy of, on ``split``; MNIST must be in ``data_dir``."""
    data_dir: Path | None = None
    """By default the cache folder."""
    split: str = "validation"
    jail: str = "auto"
    """Mechanism that keeps files from being written, ``auto`` or one of ``jail.MECHANISMS``."""
    normalisation: tuple[float, float] | None = None
    """Mean and standard deviation that x/255 was normalised with in training; None finds them."""

    def request(self, target: Target) -> Request:
        """Return the request to judge ``target``."""
        taken = (*target.constructor.required, *target.constructor.optional)
        given = {k: v for k, v in self.arguments.items() if not self.only_where_taken or k in taken}
        return Request(
            path=str(target.path.absolute()),
            root=str(target.root),
            folders=target.folders,
            current=os.getcwd(),
            package=target.package,
            pieces=target.pieces,
            name=target.name,
            missing=target.missing_arguments(self.arguments),
            losses=target.losses,
            arguments=given,
            profile=self.profile,
            time_limit_s=self.time_limit_s,
            loading_limit_s=min(LOADING_LIMIT_S, self.time_limit_s / 3),
            memory_limit_bytes=self.memory_limit_bytes,
            weights=str(self.weights) if self.weights else None,
            split=self.split,
            normalisation=self.normalisation,
            jail=self.jail,
            whole=not target.is_notebook,
        )

    def training_request(self, target: Target, seeds: Sequence[int]) -> Request:
        """Return the request to prepare the training of ``target`` with these seeds."""
        return replace(self.request(target), seeds=seeds)

    def server(self) -> Server:
        """Start a process that runs models."""
        return Server(self.jail, reads_mnist=self.weights is not None, data_dir=self.data_dir)


def judge_apart(target: Target, sandbox: Sandbox) -> Judgement:
    """Judge one target in a process of its own."""
    with contextlib.closing(sandbox.server()) as server:
        return _judge(server, target, sandbox)


def judge_all(
    targets: Sequence[str | Target], sandbox: Sandbox, jobs: int
) -> Generator[tuple[str, Judgement], None, None]:
    """Judge many targets and yield the text and the judgement of each, in their order.

    Args:
        targets: parsed, or the texts that name them; one that cannot be parsed is judged as broken.
        sandbox: profile and limits.
        jobs: models at a time.
    """
    servers: SimpleQueue[Server] = SimpleQueue()
    started = [sandbox.server() for _ in range(min(jobs, len(targets)))]
    for server in started:
        servers.put(server)

    def one(target: str | Target) -> tuple[str, Judgement]:
        text = target if isinstance(target, str) else target.text
        try:
            target = parse(target) if isinstance(target, str) else target
        except NoModel as error:
            return text, Judgement(no_model=str(error))
        except UserError as error:
            return text, Judgement(error=str(error))
        except Exception as error:  # whatever a file holds, the others are judged
            return text, Judgement(error=f"cannot be parsed: {type(error).__name__}: {error}")
        server = servers.get()
        try:
            return text, Judgement(error="not judged") if server.stopped else _judge(server, target, sandbox)
        finally:
            servers.put(server)

    try:
        with ThreadPoolExecutor(max(1, len(started))) as pool:
            try:
                yield from pool.map(one, targets)
            except BaseException:  # Ctrl-C: the pool would wait for the models
                for server in started:
                    server.stop()
                raise
    finally:
        for server in started:
            with contextlib.suppress(OSError):
                server.close()


def answered(server: Server, request: Request) -> Answer:
    """Ask about a source as a whole; if its process does not get through it, about its definitions.

    Raises Unanswered.
    """
    try:
        answer = server.ask(request)
    except Stopped:  # perhaps a package did on import: let the model's own process import it
        answer = server.ask(replace(request, preload=False))
    if request.whole and not answer.loaded:
        reason = _why_not_whole(answer, request)
        answer = server.ask(replace(request, whole=False, reason=reason))
    return answer


def _judge(server: Server, target: Target, sandbox: Sandbox) -> Judgement:
    request = sandbox.request(target)
    try:
        judgement = judgement_of(answered(server, request), sandbox.time_limit_s)
    except Unanswered as error:
        judgement = Judgement(error=str(error))
    return replace(
        judgement,
        model=target.name,
        others=target.others,
        calls=target.calls,
        claims=target.claims,
        notes=(*target.notes, *judgement.notes),
    )


def _why_not_whole(answer: Answer, request: Request) -> str:
    """Return why a process did not get through its source."""
    name = Path(request.path).name
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        error = json.loads(answer.report).get("error", "")
        if error.startswith("ended: it "):
            return f"{name} {error.removeprefix('ended: it ')}"
    if answer.full:
        return f"{name} writes without end when it is run"
    if not answer.ended:
        return f"{name} still ran after {request.loading_limit_s:g} s"
    return f"{name} ends its process when it is run (exit code {answer.code})"


def judgement_of(answer: Answer, time_limit_s: float) -> Judgement:
    """Return the judgement that a process reports, or why there is none."""
    if answer.full:
        return Judgement(error="ended: it fills the disk")
    if not answer.ended:
        return Judgement(error=f"ended after the time limit of {time_limit_s:g} s")
    try:
        return Judgement.from_report(json.loads(answer.report))
    except Malformed:
        return Judgement(error="its process gave no report")
    except (ValueError, RecursionError):
        return Judgement(error=f"its process ended without a report (exit code {answer.code})")
