"""A folder of submissions for ``under20k check``: judged, with progress on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any

from under20k.checking import formats
from under20k.checking.sandbox.sandbox import Sandbox, judge_all
from under20k.checking.source.submissions import Found, Submission

Results = list[tuple[str, dict[str, Any]]]


def judge(found: Found, sandbox: Sandbox, jobs: int, *, every: bool) -> Results:
    """The results of all models, submission by submission; of one without a model, that it has none."""
    results: Results = []
    with (
        contextlib.closing(_Progress(found.submissions)) as progress,
        contextlib.closing(_judged(found, sandbox, jobs, progress)) as judged,
    ):
        for submission, models in judged:
            models = models or [
                (str(found.folder / submission.name), {"no_model": "none of its files has one"})
            ]
            marked = formats.submitted(submission.name, models, every=every)
            results += marked
            progress.submission(marked)
    return results


def _judged(
    found: Found, sandbox: Sandbox, jobs: int, progress: _Progress
) -> Generator[tuple[Submission, Results], None, None]:
    targets = [
        model.target for submission in found.submissions for model in submission.models if model.target
    ]
    with contextlib.closing(judge_all(targets, sandbox, jobs)) as judged:
        for submission in found.submissions:
            top = found.folder if found.is_project else found.folder / submission.name
            results: Results = []
            for model in submission.models:
                result = {"error": model.error} if model.target is None else next(judged)[1]
                file = model.path.relative_to(top).as_posix() if model.path != top else ""
                results.append((model.text, {**result, "file": file}))
                progress.model()
            yield submission, results


class _Progress:
    """A bar over the models on a terminal, else a line a submission."""

    def __init__(self, submissions: tuple[Submission, ...]) -> None:
        self.count, self.done = len(submissions), 0
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            total = sum(len(submission.models) for submission in submissions)
            self.bar = tqdm(total=total, unit="model", leave=False, dynamic_ncols=True)

    def model(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def submission(self, results: Results) -> None:
        self.done += 1
        result = results[0][1]
        if self.bar is None:
            missed = ", ".join(formats.missed_rules(result))
            words = formats.word(result) + (f", misses {missed}" if missed else "")
            print(f"{self.done}/{self.count} {result['submission']}: {words}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
