from pathlib import Path

from under20k.data.events import FetchWarning
from under20k.interactive.quiet import Quiet
from under20k.recipe.named import MINIMAL
from under20k.runs.events import Failed, Finished, Note, Started


def test_only_failures_and_warnings_are_printed(capsys):
    run = Path("runs/minimal-0")
    with Quiet() as quiet:
        quiet.line("a note")
        quiet(Note("another"))
        quiet(Started(run, MINIMAL, 0, {}))
        quiet(Finished(run, MINIMAL, 0.99, 1.0, reused=True))
        quiet(Finished(run, MINIMAL, 0.99, 1.0, reused=True, differing="engine torch, now native"))
        quiet(Failed(run, "worker process died", retry=True))
        quiet(Failed(run, "worker process died twice"))
        quiet(FetchWarning("the mirror is slow"))
    assert capsys.readouterr() == (
        "",
        "warning: runs/minimal-0 was trained differently (engine torch, now native); "
        "--overwrite retrains it\n"
        "minimal-0: worker process died; retrying\nminimal-0 failed: worker process died twice\n"
        "warning: the mirror is slow\n",
    )
