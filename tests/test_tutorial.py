"""docs/tutorial.ipynb shows what its cells give, and docs/tutorial.md what the notebook shows."""

import re
from typing import Any

import pytest

from tools.tutorial import PAGE, PICTURES, executed, read_notebook, rendered

POINTS = 2.0
"""By how much accuracies after two epochs differ where the processor rounds differently."""


@pytest.fixture(scope="module")
def committed() -> Any:
    return read_notebook()


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def text_of(output: Any) -> str:
    """What one reads of an output, without pictures."""
    if output.output_type == "stream":
        return output.text
    html = re.sub(r"<style>.*?</style>|<[^>]*>", " ", output.data.get("text/html", ""), flags=re.DOTALL)
    return f"{output.data['text/plain']}\n{html}"


def shape(output: Any) -> tuple[str, list[str], int, str]:
    """An output without what differs from one execution to the next, and between machines."""
    text = re.sub(r"(native|torch) engine[^\n]*", "engine", text_of(output))
    text = re.sub(r"[\d.,]*\d( ± [\d.,]+)?( ?(?:%|µs|ms|s\b))?|·|[✓✗]|Matplotlib.*", "#", text)
    text = re.sub(r"at or above|below", "beside", text)
    kinds = sorted(output.get("data", {}))
    return output.output_type, kinds, str(output).count("<img "), re.sub(r"[\s#%]+", " ", text)


def test_the_page_is_the_notebook(committed):
    page, pictures = rendered(committed)
    assert PAGE.read_text(encoding="utf-8") == page
    assert {path.name: path.read_bytes() for path in PICTURES.glob("*")} == pictures


def test_the_notebook_holds_nothing_of_the_machine_that_ran_it(committed):
    assert [cell.get("execution_count") for cell in committed.cells if cell.cell_type == "code"] == [
        *range(1, 1 + sum(cell.cell_type == "code" for cell in committed.cells))
    ]
    assert all(not cell.metadata for cell in committed.cells)
    for output in outputs(committed):
        assert output.output_type in ("display_data", "execute_result", "stream")
        assert output.get("name") != "stderr"
        assert not re.search(r"(?<![\w.])/(home|root|tmp|Users|work)/|ipykernel", text_of(output))


@pytest.mark.slow
def test_its_cells_give_what_it_shows(committed, mnist):
    again = executed(committed)
    assert [*map(shape, outputs(again))] == [*map(shape, outputs(committed))]
    shown, found = (
        [
            float(value)
            for output in outputs(of)
            for value in re.findall(r"\b(9\d\.\d+) ?[%±]", output.get("data", {}).get("text/plain", ""))
        ]
        for of in (committed, again)
    )
    assert len(shown) >= 4
    assert found == pytest.approx(shown, abs=POINTS)
