"""Messages between the check and the process that runs models."""

import io

import pytest

from tests.support.submissions import GOOD
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.messages import Answer, Request
from under20k.checking.sandbox.sandbox import Sandbox
from under20k.checking.source.target import parse


@pytest.mark.parametrize("normalisation", [None, (0.1307, 0.3081)])
def test_a_request_survives_its_line(tmp_path, normalisation):
    (tmp_path / "net.py").write_text(GOOD + "# é \u2028\n")
    sandbox = Sandbox(load_profile("brief"), arguments={"width": 4}, normalisation=normalisation)
    request = sandbox.request(parse(str(tmp_path / "net.py")))
    line = request.line()
    assert line.count(b"\n") == 1
    read = Request.read(line.decode())
    assert read.line() == line
    assert (read.profile, read.normalisation) == (request.profile, normalisation)


@pytest.mark.parametrize("report", [b"", b'{"error": "why"}\n', b"\x00\xff\n\nforged\r\n", b"[" * 10_000])
def test_an_answer_survives_whatever_its_report_holds(report):
    answer = Answer(loaded=True, ended=False, full=False, code=-9, report=report)
    lines = io.BytesIO(answer.lines())
    read = Answer.read(lines.readline(), lines.readline())
    assert not lines.read()
    assert (read.loaded, read.ended, read.full, read.code) == (True, False, False, -9)
    assert read.report == report.replace(b"\n", b" ") + b"\n"
