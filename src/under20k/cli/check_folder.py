"""A folder of submissions for ``under20k check``: judged, with progress on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any

from under20k.checking.judgement import Judgement
from under20k.checking.results import Result, submitted
from under20k.checking.sandbox.sandbox import Sandbox, judge_all
from under20k.checking.source.submissions import Found, Submission


def judge(found: Found, sandbox: Sandbox, jobs: int, *, every: bool, quiet: bool = False) -> list[Result]:
    """Judge all models of a folder, submission by submission.

    Args:
        found: the folder's submissions; one without a model gets a result that says so.
        sandbox: limits and profile.
        jobs: models at a time.
        every: whether all models of a submission have to pass; otherwise one is enough.
        quiet: show no progress.
    """
    results: list[Result] = []
    with (
        contextlib.closing(_Progress(found.submissions, quiet)) as progress,
        contextlib.closing(_judged(found, sandbox, jobs, progress)) as judged,
    ):
        for submission, models in judged:
            if not models:
                nothing = Judgement(no_model="none of its files has one")
                models = [Result(str(found.folder / submission.name), nothing, sandbox.profile.limits)]
            marked = submitted(submission.name, models, every=every)
            results += marked
            progress.submission(marked[0])
    return results


def _judged(
    found: Found, sandbox: Sandbox, jobs: int, progress: _Progress
) -> Generator[tuple[Submission, list[Result]], None, None]:
    models = [model for submission in found.submissions for model in submission.models]
    targets = [model.target for model in models if model.target]
    with contextlib.closing(judge_all(targets, sandbox, jobs)) as judged:
        for submission in found.submissions:
            top = found.folder if found.is_project else found.folder / submission.name
            results = []
            for model in submission.models:
                judgement = Judgement(error=model.error) if model.target is None else next(judged)[1]
                file = model.path.relative_to(top).as_posix() if model.path != top else ""
                results.append(Result(model.text, judgement, sandbox.profile.limits, file))
                progress.model()
            yield submission, results


class _Progress:
    """A bar over the models on a terminal, otherwise a line for each submission; nothing if ``quiet``."""

    def __init__(self, submissions: tuple[Submission, ...], quiet: bool) -> None:
        self.count, self.done, self.quiet = len(submissions), 0, quiet
        self.bar: Any = None
        if sys.stderr.isatty() and not quiet:
            from tqdm import tqdm

            total = sum(len(submission.models) for submission in submissions)
            self.bar = tqdm(total=total, unit="model", leave=False, dynamic_ncols=True)

    def model(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def submission(self, result: Result) -> None:
        self.done += 1
        if self.bar is None and not self.quiet:
            missed = ", ".join(result.judgement.missed_rules)
            words = result.judgement.word + (f", misses {missed}" if missed else "")
            print(f"{self.done}/{self.count} {result.submission}: {words}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
