"""Models given to the command: loading, hostile ones, and every form of output."""

import csv
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.submissions import GOOD, PARAMETERS
from under20k.checking.judgement import Judgement
from under20k.checking.profiles import RULES, load_profile
from under20k.checking.sandbox import sandbox
from under20k.checking.sandbox.sandbox import Sandbox, judge_all, judge_apart
from under20k.checking.source.target import parse
from under20k.cli.main import main
from under20k.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    return tmp_path


def check(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["check", *arguments, "--trust", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_an_unknown_name_is_refused_before_anything_runs():
    with pytest.raises(UserError, match=r"defines no 'Nett'; did you mean 'Net'"):
        parse("good.py:Nett")
    Path("imports.py").write_text("from good import Net as Student\n")
    assert parse("imports.py:Student").name == "Student"
    with pytest.raises(UserError, match=r"defines no 'Other'"):
        parse("imports.py:Other")
    Path("star.py").write_text("from good import *\n")
    assert parse("star.py:Net").name == "Net"


def test_without_trust_nothing_runs(capsys):
    Path("evil.py").write_text("open('ran', 'w')\n" + GOOD)
    assert main(["check", "evil.py:Net"]) == 2
    out, err = capsys.readouterr()
    assert out == (
        "evil.py:Net: would run evil.py, 16 lines, and call Net\n"
        "  imports torch, torch.nn.functional\n"
        "  runs evil.py:1: open('ran', 'w')\n"
    )
    assert "--trust" in err
    assert not Path("ran").exists()


def test_a_class_with_arguments(capsys):
    code, result = check(capsys, "good.py:Net", "--arg", "width=8")
    assert (code, result["parameters"]) == (0, 8 * 37 + 16 + 8 * 1440 + 10)
    batch_norm = next(row for row in result["layers"] if row["type"] == "batch_norm")
    assert batch_norm["source"] == "good.py:14"


@pytest.mark.parametrize("name", ["make", "instance"])
def test_a_factory_and_an_instance(capsys, name):
    Path("more.py").write_text(GOOD + "\ndef make():\n    return Net()\n\n\ninstance = Net()\n")
    assert check(capsys, f"more.py:{name}")[1]["parameters"] == PARAMETERS


def test_a_module_by_its_dotted_name(capsys):
    Path("package").mkdir()
    Path("package/part.py").write_text(GOOD)
    assert check(capsys, "package.part:Net")[1]["parameters"] == PARAMETERS


def test_a_module_of_a_package_may_import_from_it(capsys):
    Path("package/inner").mkdir(parents=True)
    Path("package/__init__.py").write_text("WIDTH = 8\n")
    Path("package/inner/base.py").write_text(GOOD)
    Path("package/inner/part.py").write_text(
        "from .. import WIDTH\nfrom .base import Net\ndef make(): return Net(WIDTH)\n"
    )
    Path("package/inner/__init__.py").write_text("from .part import make\n")
    parameters = 8 * 37 + 16 + 8 * 1440 + 10
    assert check(capsys, "package.inner.part:make")[1]["parameters"] == parameters
    assert check(capsys, "package.inner:make")[1]["parameters"] == parameters


def test_a_file_that_reads_its_arguments_sees_none_of_ours(capsys):
    Path("script.py").write_text("\ufeffimport argparse\nargparse.ArgumentParser().parse_args()\n" + GOOD)
    assert check(capsys, "script.py:Net")[1]["parameters"] == PARAMETERS
    # Names in annotations are looked up as in a file of its own, not as in ours.
    Path("script.py").write_text(GOOD + "def f(x: NotYet): ...\n")
    assert "NameError" in " ".join(check(capsys, "script.py:Net")[1]["notes"])


def test_a_file_that_plots_is_judged_without_a_font_cache(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "none_yet"))
    Path("plots.py").write_text(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('loss')\nplt.show()\n" + GOOD
    )
    assert check(capsys, "plots.py:Net")[1].get("parameters") == PARAMETERS


def test_files_in_the_current_folder_do_not_shadow_our_modules(capsys):
    Path("random.py").write_text("open('ran', 'w')\n")
    assert check(capsys, "good.py:Net")[0] == 0
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["good.py:Net", "--max-parameters", "-1"], "--max-parameters is -1; give 1 or more"),
        (["minimal", "--max-epochs", "0"], "--max-epochs is 0"),
        (["minimal", "--min-receptive-field", "-3"], "--min-receptive-field is -3"),
        (["good.py:Net", "--time-limit", "inf"], "--time-limit is inf"),
        (["good.py:Net", "--time-limit", "1e10"], "--time-limit is 1e+10"),
        (["good.py:Net", "--time-limit", "nan"], "--time-limit is nan"),
        (["specless:Net"], "no module 'specless'"),
        (["sys:Net"], "no module 'sys'"),
    ],
)
def test_bad_usage_is_refused(capsys, monkeypatch, arguments, words):
    # As __main__ is where a script is run.
    monkeypatch.setitem(sys.modules, "specless", types.ModuleType("specless"))
    assert main(["check", *arguments, "--trust"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_class_may_hold_files_that_runs_have(capsys):
    Path("class").mkdir()
    for name in ("report.md", "curves.png", "model.safetensors"):
        Path("class", name).touch()
    Path("class/a.py").write_text(GOOD)
    assert check(capsys, "class")[1]["results"][0]["parameters"] == PARAMETERS


def test_a_notebooks_definitions_run_and_its_training_does_not(capsys):
    cells = ["%matplotlib inline\n!pip install x\nimport not_installed_anywhere", GOOD, "train(Net())\n1/0"]
    notebook = {"cells": [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells]}
    Path("work.ipynb").write_text(json.dumps(notebook))
    assert check(capsys, "work.ipynb:Net")[1]["parameters"] == PARAMETERS


def test_a_folder_gives_a_table_and_files(capsys):
    Path("class").mkdir()
    bad = GOOD.replace("0.1, self.training", "0.0, self.training")
    texts = {"a": GOOD, "b": bad, "c": "class Net(nn.Module:", "d": "x = 1", "e": GOOD + "\n1/0\n"}
    for name, text in texts.items():
        Path(f"class/{name}.py").write_text(text)
    Path("class/f").mkdir()
    Path("class/f/train.py").write_text("x = 1")
    files = ("--csv", "t.csv", "--junit", "t.xml", "--markdown", "t.md", "--badge", "t.svg")
    code, result = check(capsys, "class", "--jobs", "2", *files)
    assert code == 1
    assert [row["result"] for row in result["results"]] == [
        "passed",
        "failed",
        "broken",
        "passed",
        "no model",
    ]
    tally = "2 of 5 passed; missed: dropout 1; broken: 1; no model: 1; 2 files without a model left out"
    assert (result["tally"], result["without_model"]) == (tally, ["class/d.py", "class/f/train.py"])
    rows = list(csv.DictReader(Path("t.csv").read_text().splitlines()))
    assert [row["dropout"] for row in rows] == ["passed", "failed", "", "passed", ""]
    assert rows[1]["dropout_evidence"].startswith("nothing is dropped in training")
    assert rows[1]["dropout_fix"]
    assert rows[0]["total_parameters"] == str(PARAMETERS)
    assert [row["model"] for row in rows] == ["Net", "Net", "", "Net", ""]
    assert "c.py is not Python" in rows[2]["reason"]
    assert "e.py:17 raises ZeroDivisionError" in rows[3]["notes"]
    suites = list(ElementTree.parse("t.xml").getroot())
    counts = [tuple(suite.get(name) for name in ("failures", "errors", "skipped")) for suite in suites]
    assert counts == [("0", "0", "0"), ("1", "0", "0"), ("0", "1", "0"), ("0", "0", "0"), ("0", "0", "1")]
    (failure,) = suites[1].iter("failure")
    assert failure.get("message") == rows[1]["dropout_evidence"]
    assert rows[1]["dropout_fix"] in failure.text
    notes = [each.get("value") for each in suites[3].iter("property") if each.get("name") == "note"]
    assert rows[3]["notes"] == "; ".join(notes)
    page = Path("t.md").read_text()
    assert page.startswith("class: 5 submissions")
    (row,) = (line for line in page.splitlines() if line.startswith("| b.py "))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["failed", "Net"]
    assert page.index(tally) < page.index(row) < page.index("### class/a.py:Net: passed")
    assert page.count("### ") == 5
    assert "2 of 5 passed" in "".join(ElementTree.parse("t.svg").getroot().itertext())


def test_a_folder_on_the_screen(capsys):
    """What it was taken for, the table, why models are broken, the tally; few models also in full."""
    for name, text in {
        "amy/v1": GOOD,
        "amy/v2": GOOD + "\n\nclass Later(Net):\n    size = 2\n",
        "ben/a": "",
    }.items():
        Path(f"class/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        Path(f"class/{name}.py").write_text(text)
    Path("class/ben/net.py").write_text(
        "import not_installed_anywhere as n\n" + GOOD.replace("nn.Conv2d(1", "n.C(1")
    )
    assert main(["check", "class", "--trust"]) == 1
    out, err = capsys.readouterr()
    assert err == "1/2 amy: passed\n2/2 ben: broken\n"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "class: 2 submissions (a subfolder each; --project judges it as one)"
    assert lines[1] == "1 of 2 passed; broken: 1; 1 file without a model left out"
    assert lines[3:8] == [
        "Submission Result Model Parameters Missed",
        lines[4],
        f"amy ✓ passed v2.py:Later {PARAMETERS:,}",
        f"✓ passed └ v1.py:Net {PARAMETERS:,}",
        "ben ✗ broken net.py:Net",
    ]
    reason = "needs the package not_installed_anywhere, which is not installed here"
    assert lines[9:11] == ["Broken:", f"- ben/net.py:1: {reason}"]
    assert "class/amy/v1.py:Net: ✓ passed, meets every requirement" in lines
    assert "others in this file: Net (--all judges them too)" in lines
    for name in "cd":
        Path(f"class/{name}").mkdir()
        Path(f"class/{name}/net.py").write_text(GOOD)
    assert main(["check", "class", "--trust"]) == 1
    out = capsys.readouterr().out
    assert "meets every" not in out
    assert out.endswith("\nthe verdicts on one model: under20k check FILE:NAME --trust\n")


def test_one_model_on_the_screen(capsys):
    """The verdicts, what is claimed, what to change; the file's name once."""
    cells = [
        GOOD.replace("0.1, self", "0.0, self"),
        "EPOCHS = 25\nmodel = Net()\nfor epoch in range(EPOCHS):\n    train(model)",
    ]
    outputs = [[], [{"text": ["Test set: Average loss: 0.02, Accuracy: 9941/10000 (99.41%)\n"]}]]
    notebook = [
        {"cell_type": "code", "execution_count": number, "source": cell, "outputs": output}
        for number, (cell, output) in enumerate(zip(cells, outputs, strict=True), 1)
    ]
    Path("work.ipynb").write_text(json.dumps({"cells": notebook}))
    assert main(["check", "work.ipynb", "--trust"]) == 1
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "work.ipynb:Net: ✗ failed, misses 1 of 9 requirements: dropout"
    assert out.count("work.ipynb") == 1
    rows = {line.partition(" ")[0]: line for line in lines[3:]}
    assert rows["epochs"] == "epochs claimed 25 (In [2]:3); the limit is 20"
    assert rows["accuracy"] == "accuracy claimed test 99.41% (In [2], output)"
    assert lines[lines.index("To change:") + 1].startswith("- dropout: ")
    Path("plain.py").write_text(GOOD)
    assert main(["check", "plain.py", "--trust"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "epochs – nothing found in the source" in lines


def test_a_file_that_breaks_the_parser_does_not_stop_the_others(monkeypatch):
    def parse_or_fail(text: str):
        if "deep" in text:
            raise RecursionError("too deep")
        return parse(text)

    monkeypatch.setattr(sandbox, "parse", parse_or_fail)
    results = dict(judge_all(["deep.py", "good.py"], Sandbox(load_profile("brief")), jobs=2))
    assert results["deep.py"] == Judgement(error="cannot be parsed: RecursionError: too deep")
    assert results["good.py"].parameters == PARAMETERS


def test_text_that_cannot_be_encoded_is_printed(capsys):
    Path("half.py").write_text(GOOD.replace("super().__init__()", r"raise ValueError('\ud800')"))
    assert main(["check", "half.py:Net", "--trust", "--junit", "half.xml"]) == 1
    assert capsys.readouterr().out == "half.py:Net: ✗ broken: ValueError: \\ud800 (line 9)\n"
    assert ElementTree.parse("half.xml").getroot()[0].get("errors") == "1"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_signal_ends_a_class_without_waiting_for_its_models():
    Path("class").mkdir()
    Path("class/a.py").write_text(GOOD)
    for name in ("b", "c"):
        Path(f"class/{name}.py").write_text("while True: pass\n" + GOOD)
    command = [sys.executable, "-m", "under20k", "check", "class", "--trust", "--jobs", "1"]
    with subprocess.Popen(
        [*command, "--time-limit", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr.readline() == "1/3 a.py: passed\n"  # b runs, or is about to
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=100)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (143, "", "terminated; run the command again\n")


def test_profiles_and_overrides(capsys):
    assert check(capsys, "good.py:Net", "--max-parameters", str(PARAMETERS))[0] == 0
    assert check(capsys, "good.py:Net", "--max-parameters", str(PARAMETERS - 1))[0] == 1
    Path("own.toml").write_text(
        "[limits]\nparameters = 100\n[rules]\nparameters = 'advised'\nsoftmax = 'off'\n"
    )
    code, result = check(capsys, "good.py:Net", "--profile", "own.toml")
    status = {f["rule"]: f["status"] for f in result["findings"]}
    assert (code, status["parameters"], "softmax" in status) == (0, "warning", False)
    limits = [load_profile(name).limits for name in ("brief", "under-10k", "under-8k")]
    assert [(limit["parameters"], limit["epochs"]) for limit in limits] == [
        (20_000, 20),
        (10_000, 16),
        (8_000, 16),
    ]


@pytest.mark.parametrize(
    "text",
    ["parameters = 1", "[limits]\nlayers = 3", "[limits]\nparameters = true", "[rules]\nhead = 'no'", "["],
)
def test_a_wrong_profile_is_refused(text):
    Path("own.toml").write_text(text)
    with pytest.raises(UserError, match=r"own\.toml"):
        load_profile("own.toml")


@pytest.mark.parametrize(
    ("loss", "end", "status"),
    [
        ("F.cross_entropy", "x", "passed"),
        ("F.cross_entropy", "F.log_softmax(x, 1)", "warning"),
        ("nn.NLLLoss", "F.log_softmax(x, 1)", "passed"),
        ("nn.NLLLoss", "x", "warning"),
        ("F.nll_loss", "F.softmax(x, 1)", "warning"),
        ("F.nll_loss", "F.softmax(x, 1).log()", "passed"),
    ],
)
def test_softmax_must_fit_the_loss(loss, end, status):
    code = GOOD.replace("return self.b(x).mean((2, 3))", f"x = self.b(x).mean((2, 3))\n        return {end}")
    Path("net.py").write_text(code + f"\n\ndef train(out, labels):\n    return {loss}(out, labels)\n")
    result = judge_apart(parse("net.py:Net"), Sandbox(load_profile("brief")))
    assert {f.rule: f.status for f in result.findings}["softmax"] == status


def run_pytest(*options: str) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own, with warnings as errors, in the current folder."""
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-p", "under20k.checking.pytest_plugin", *options, "."],
        capture_output=True, text=True, env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip


def test_pytest_takes_a_model():
    Path("bad.py").write_text(GOOD.replace("0.1, self.training", "0.0, self.training"))
    done = run_pytest("--under20k", "good.py:Net", "--under20k", "bad.py:Net")
    assert done.returncode == 1, done.stdout + done.stderr
    rules = len(set(RULES) - {"epochs"})
    assert f"1 failed, {2 * rules - 1} passed" in done.stdout
    assert "requirement: dropout with p above 0; found: nothing is dropped" in done.stdout


def test_pytest_warns_of_missed_advice_even_under_w_error():
    Path("own.toml").write_text("[limits]\nparameters = 100\n[rules]\nparameters = 'advised'\n")
    options = ("--under20k", "good.py", "--under20k-profile", "own.toml", "--under20k-arg", "width=8", "-v")
    done = run_pytest(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good.py:Net::parameters PASSED" in done.stdout
    parameters = 8 * 37 + 16 + 8 * 1440 + 10
    warned = "AdvisedRuleWarning: parameters is advised, and missed: requirement: at most 99"
    assert f"{warned}; found: {parameters:,}" in done.stdout


def test_pytest_refuses_files_without_a_model():
    done = run_pytest("--under20k", "none.py:Net")
    assert (done.returncode, "none.py is not a file" in done.stderr) == (4, True)
