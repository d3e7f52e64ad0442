"""Calls in a notebook with a real kernel: what its cells show, and what running them again does."""

import os
import pickle
import re
from pathlib import Path

import pytest

import under20k
from tests.support.notebooks import TIMEOUT_S, Notebook, notebook
from under20k.interactive import calls
from under20k.interactive.calls import live
from under20k.interactive.kernel import Output
from under20k.runs.events import Note, OnEvent

SMALL = 'architecture="1p,4p|l", batch_size=1000'


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Notebook:
    """One kernel for all tests of this file: its start and the first training in it take seconds."""
    path = tmp_path_factory.mktemp("notebook")
    with notebook(path) as opened:
        opened.run("import under20k")
        yield opened


def texts(outputs: list) -> list[str]:
    """The outputs' plain texts; each must be one line, and have HTML beside it."""
    for output in outputs:
        assert output.output_type in ("display_data", "execute_result"), output
        assert output.data["text/html"].startswith("<div>")
        assert "\n" not in output.data["text/plain"]
    return [output.data["text/plain"] for output in outputs]


def test_outside_of_a_kernel_a_call_is_passed_on_as_it_is():
    given = {}
    live(lambda *args, **kwargs: given.update(args=args, kwargs=kwargs), "training")("minimal", seed=1)
    assert given == {"args": ("minimal",), "kwargs": {"seed": 1}}
    for name in ("train", "bench", "reproduce", "check", "evaluate", "load_mnist", "load_mnist_test"):
        assert pickle.loads(pickle.dumps(getattr(under20k, name))) is getattr(under20k, name)  # noqa: S301


def test_a_call_that_would_replace_its_run_says_how_to_keep_it(monkeypatch):
    shown = []
    monkeypatch.setattr(calls, "in_kernel", lambda: True)
    monkeypatch.setattr(Output, "show", lambda self, html, text: shown.append(text))

    def train(*, existing: str, on_event: OnEvent) -> None:
        on_event(Note("begun"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live(train, "training")(existing="replace")
    assert shown[-1].endswith(
        'interrupted before the first epoch; call it with existing="resume" to continue'
    )


def test_a_training_is_one_output_and_again_shows_what_is_there(cells):
    call = f'run = under20k.train("minimal", seed=1, epochs=2, {SMALL})'
    (output,) = cells.run(call)
    (text,) = texts([output])
    accuracy = r"\d\d\.\d\d%"
    assert re.fullmatch(
        rf"minimal\+\S+, seed 1 ✗ {accuracy} validation accuracy at the last of 2 epochs, "
        r"below the target of 99\.40%",
        text,
    )
    rows = re.findall(r"<tr .*?</tr>", output.data["text/html"])
    assert len(rows) == 2
    model = next(cells.path.glob("runs/*-1/model.safetensors"))
    written = model.stat().st_mtime_ns
    (again,) = cells.run(call)
    assert "already finished" in again.data["text/html"]
    assert text.split("✗")[1] == texts([again])[0].split("✗")[1]
    assert model.stat().st_mtime_ns == written


def test_a_running_training_shows_a_bar(cells):
    # The outputs as they come: an output that is updated keeps its last content only.
    (_, printed) = cells.run(
        "from under20k.interactive import kernel\n"
        "shown, show = [], kernel.Output.show\n"
        "def noted(self, html, text): shown.append((html, text)); show(self, html, text)\n"
        "kernel.Output.show = noted\n"
        f'under20k.train("minimal", seed=2, epochs=3, {SMALL})\n'
        "kernel.Output.show = show\n"
        "print(*[text for html, text in shown if 'role=\"progressbar\"' in html], sep='\\n')"
    )
    bars = printed.text.splitlines()
    assert any(re.search(r"seed 2; epoch 1 of 3 · \d+%", bar) for bar in bars)
    assert any(re.search(r"seed 2; epoch 3 of 3 · 67%", bar) for bar in bars)


def test_values_draw_themselves_and_print_in_a_line(cells):
    cells.run(f'run = under20k.train("minimal", seed=1, epochs=2, {SMALL})')
    values = {
        "run.recipe": r"Recipe\(minimal\+\S+: 110 parameters, 2 epochs\)",
        "run.recipe.architecture": r"Architecture\(1p,4p\|l: 110 parameters\)",
        "run": r"Run\(minimal\+\S+, seed 1, 2 of 2 epochs, validation \S+%, runs/\S+-1\)",
        "under20k.evaluate(run)": r"Evaluation\(validation: [\d,]+ of 10,000 images correct, \S+%\)",
        "under20k.compare([run.path])": r"Leaderboard\(minimal.*, seed 1 \S+%\)",
        "under20k.compare([run.path])[0]": r"Entry\(minimal.*: run, 110 parameters, validation \S+%\)",
        "under20k.check(run)[0]": r"Finding\(parameters passed: 110.*\)",
    }
    for source, expected in values.items():
        *_, output = cells.run(source)
        assert re.fullmatch(expected, *texts([output])), source
        assert "<table" in output.data["text/html"]
    (output,) = cells.run("run")
    assert 'src="data:image/png;base64,' in output.data["text/html"]


def test_a_check_shows_its_verdict_and_its_findings(cells):
    verdict, findings = texts(cells.run('under20k.check("regularized")'))
    assert verdict == "Checked: ✓ meets every requirement"
    assert re.fullmatch(r"Findings\((\d+) of \1 rules passed\)", findings)
    verdict, findings = texts(cells.run('under20k.check("minimal")'))
    assert verdict == "Checked: ✗ misses dropout"
    assert re.fullmatch(r"Findings\(\d+ of \d+ rules passed; failed: dropout\)", findings)


def test_a_model_of_a_cell_is_checked_and_its_lines_named_by_the_cell(cells):
    cells.run(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self): super().__init__(); self.conv = nn.Conv2d(1, 10, 28)\n"
        "    def forward(self, x): return nn.functional.dropout(self.conv(x).flatten(1))\n"
    )
    number = cells.client.nb.cells[-1].execution_count
    verdict, findings = cells.run("under20k.check(Net)")
    assert texts([verdict])[0].startswith("Checked: ✗ misses ")
    assert f"still drops: dropout (In [{number}]:4)" in findings.data["text/html"]


def test_a_bench_trains_in_processes_that_do_not_run_the_notebook(cells):
    shown, result = cells.run(
        f'open("times-run", "a").write("."); under20k.bench("minimal", range(2), jobs=2, epochs=1, {SMALL})'
    )
    texts([shown, result])
    assert (cells.path / "times-run").read_text() == "."
    assert shown.data["text/plain"].startswith("Finished 2 of 2 trainings")
    assert result.data["text/plain"].startswith("BenchResult(Bench(minimal+")
    assert 'src="data:image/png;base64,' in result.data["text/html"]


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=4)
        self.head = nn.Linear(4 * 6 * 6, 10)
    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).flatten(1))
"""
ODD = """
class Odd(Net):
    def forward(self, x):
        return super().forward(torch.fft.ifft2(torch.fft.fft2(x)).real)
"""


def test_a_model_of_a_cell_is_benched_and_more_seeds_train_only_those(cells):
    cells.run(NET)
    cell = f"In_{cells.client.nb.cells[-1].execution_count}.py"
    shown, result = cells.run("under20k.bench(Net, range(2), jobs=2, epochs=1, batch_size=1000)")
    assert shown.data["text/plain"].startswith("Finished 2 of 2 trainings; Net is a graph of ")
    assert result.data["text/plain"].startswith(
        "BenchResult(Bench(Net+epochs=1+batch_size=1000, 2 seeds 0–1,"
    )
    first = cells.path / "runs" / "Net+epochs=1+batch_size=1000-0"
    assert (first / "model" / cell).read_text() == NET.lstrip("\n")
    trained = (first / "model.safetensors").stat().st_mtime_ns
    cells.run(NET)  # a cell that runs again makes another class, but the same model
    *_, result = cells.run("under20k.bench(Net, range(3), jobs=2, epochs=1, batch_size=1000).bench")
    assert "3 seeds 0–2" in result.data["text/plain"]
    assert (first / "model.safetensors").stat().st_mtime_ns == trained
    weights = f"load_file('{first}/model.safetensors')"
    loaded = cells.run(f"from safetensors.torch import load_file\nNet().load_state_dict({weights})")
    assert loaded[0].data["text/plain"] == "<All keys matched successfully>"


@pytest.mark.slow
def test_a_model_of_a_cell_without_a_graph_trains_in_the_kernel_and_continues(cells):
    cells.run(NET + ODD)
    call = "under20k.bench(lambda: Odd(), range(2), epochs=3, batch_size=1000).bench"

    def begun() -> bool:
        return any(path.read_text().count("\n") for path in cells.path.glob("runs/Odd*/metrics.jsonl"))

    (output,), error = cells.interrupted(call, begun)
    assert "run the cell again to continue" in output.data["text/plain"]
    assert error.traceback == ["KeyboardInterrupt"]
    (path,) = cells.path.glob("runs/Odd*-0/metrics.jsonl")
    done = path.read_text()
    shown, result = cells.run(call)
    assert "uses torch.fft.fft2" in shown.data["text/plain"]
    assert "trained by PyTorch" in shown.data["text/plain"]
    assert "in this process: what makes Odd" in shown.data["text/html"]
    assert "cannot be sent to others (they cannot import it)" in shown.data["text/html"]
    assert "2 seeds 0–1" in result.data["text/plain"]
    assert path.read_text().startswith(done)


def test_reproduce_shows_each_recipe_and_returns_benches_that_draw_themselves(cells):
    shown, result = cells.run(
        f"small = under20k.RECIPES['minimal'].with_changes(epochs=1, {SMALL})\n"
        "under20k.reproduce(recipes=[small, small.with_changes(learning_rate=0.2)])"
    )
    texts([shown, result])
    assert shown.data["text/plain"] == "Finished 2 of 2 trainings"
    assert shown.data["text/html"].count("1 of 1") == 2
    assert re.fullmatch(r"Benches\(minimal\+\S+ \S+%, minimal\+\S+ \S+%\)", result.data["text/plain"])


@pytest.mark.slow
def test_an_interrupted_bench_leaves_no_process_and_continues(cells):
    call = f'under20k.bench("minimal", range(20, 23), jobs=2, epochs=12, {SMALL}).bench.last'

    def begun() -> bool:
        return any(
            path.read_text().count("\n") > 1 for path in cells.path.glob("runs/*-2[0-2]/metrics.jsonl")
        )

    (output,), error = cells.interrupted(call, begun)
    hint = r"interrupted after 0 of 3 trainings; run the cell again to continue"
    assert re.search(hint, output.data["text/plain"])
    assert error.traceback == ["KeyboardInterrupt"]
    children = cells.run("import multiprocessing; multiprocessing.active_children()")
    assert children[0].data["text/plain"] == "[]"
    done = {path: path.read_text() for path in cells.path.glob("runs/*-2[0-2]/metrics.jsonl")}
    *_, finished = cells.run(call)
    assert finished.data["text/plain"].count(",") == 2
    assert done
    assert all(path.read_text().startswith(text) for path, text in done.items())


def test_an_interrupt_says_how_to_continue_and_the_same_cell_does(cells):
    call = f'under20k.train("minimal", seed=3, epochs=6, {SMALL}).finished'

    def begun() -> bool:
        return any(path.read_text().count("\n") > 1 for path in cells.path.glob("runs/*-3/metrics.jsonl"))

    (output,), error = cells.interrupted(call, begun)
    assert re.search(
        r"interrupted after epoch \d+ of 6; run the cell again to continue", output.data["text/plain"]
    )
    assert "progressbar" not in output.data["text/html"]
    assert error.ename == "KeyboardInterrupt"
    assert error.traceback == ["KeyboardInterrupt"]
    (folder,) = cells.path.glob("runs/*-3")
    done = (folder / "metrics.jsonl").read_text().splitlines()
    assert 1 < len(done) < 6
    assert not (folder / "model.safetensors").exists()

    *_, finished = cells.run(call)
    assert finished.data["text/plain"] == "True"
    assert (folder / "metrics.jsonl").read_text().splitlines()[: len(done)] == done


def test_a_mistake_is_told_without_the_frames_of_the_package(cells):
    outputs, error = cells.failing('under20k.train("minimla")')
    assert outputs == []
    assert (error.ename, error.evalue) == (
        "UserError",
        "there is no recipe 'minimla'; did you mean 'minimal'?",
    )
    assert str(Path(os.sep, "under20k", "")) not in "\n".join(error.traceback)


def test_a_thread_in_the_background_trains_too(cells):
    outputs = cells.run(
        "import threading\n"
        f"arguments = dict(seed=4, epochs=1, {SMALL})\n"
        'thread = threading.Thread(target=lambda: under20k.train("minimal", **arguments))\n'
        "thread.start(); thread.join()"
    )
    assert "validation accuracy at the last of 1 epoch" in texts(outputs)[0]


def test_a_caller_with_events_of_its_own_sees_nothing_else(cells):
    outputs = cells.run(
        "events = []\n"
        f'under20k.train("minimal", seed=5, epochs=1, on_event=events.append, {SMALL})\n'
        "len(events) > 2"
    )
    assert [output.data["text/plain"] for output in outputs] == ["True"]


def test_the_kernel_completes_settings(cells):
    for typed, completed in {
        'under20k.train("minimal", rot': "rotation_deg=",
        'under20k.bench("minimal", range(2), sched': "schedule=",
        'under20k.RECIPES["minimal"].with_changes(lear': "learning_rate=",
        "under20k.rep": "reproduce",
    }.items():
        reply = cells.client.kc.complete(typed, reply=True, timeout=TIMEOUT_S)
        assert completed in reply["content"]["matches"], typed
