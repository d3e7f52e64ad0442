"""What docs/cluster.md says a cluster costs: by hand from measured figures, and measured once for real."""

import pytest

from tests.support.dask_cluster import TINY
from tools.cluster_cost import hours, measure, measured_section, section
from under20k.data import Mnist
from under20k.files import write_json

MEASURED = {
    "processor": "A processor",
    "cores": 2,
    "load": 0.2,
    "workers": 2,
    "distributed": "2026.1.0",
    "date": "2026-01-02",
    "recipe": "minimal",
    "engine": "native",
    "trainings": 4,
    "tasks": 2000,
    "training_s": 60.0,
    "result_bytes": 400_000.0,
    "adopting_s": 0.008,
    "empty_task": {"wall_s": 0.001, "scheduler_cpu_s": 0.0005, "client_cpu_s": 0.0004},
    "task_with_result": {"wall_s": 0.003, "scheduler_cpu_s": 0.002, "client_cpu_s": 0.002},
}


def test_what_ten_thousand_trainings_cost_by_hand(tmp_path):
    text = section(MEASURED)
    cells = {
        row[0]: row[1:]
        for line in text.splitlines()
        if line.startswith("| ") and (row := [cell.strip() for cell in line.strip("|").split("|")])
    }
    assert cells["a training, on one thread of a worker"] == ["60.0 s", "167 h"]
    assert cells["its result, the files of a run"] == ["400 kB", "4.0 GB"]
    assert cells["the scheduler's CPU time"] == ["2.00 ms", "20 s"]
    assert cells["of which for a task without a result"] == ["0.50 ms", "5 s"]
    assert cells["the client's writing of the run folder"] == ["8.0 ms", "80 s"]
    # Client: 2 + 8 ms a training of 60 s; scheduler: 2 ms.
    assert "10,000 trainings take 167 h of core time, and scheduler and client add 0.02%" in text
    assert "the client is saturated at about 6,000 workers" in text
    assert "the scheduler at about 30,000" in text
    assert "Other work" not in text
    assert "Other work ran at the same time (a load of 9)" in section({**MEASURED, "load": 9.0})
    write_json(tmp_path / "cost.json", MEASURED)
    assert measured_section(tmp_path / "cost.json") == text
    assert measured_section(tmp_path / "none.json").startswith("Not measured yet")


@pytest.mark.parametrize(("seconds", "text"), [(0.0119, "119 s"), (0.06, "10.0 min"), (60, "167 h")])
def test_units(seconds, text):
    assert hours(seconds) == text


@pytest.mark.slow
def test_it_measures(mnist: Mnist):
    measured = measure(TINY, seeds=2, tasks=20, workers=1)
    assert measured.keys() - {"command"} == MEASURED.keys()
    assert (measured["recipe"], measured["trainings"], measured["workers"]) == ("tiny", 2, 1)
    assert measured["result_bytes"] > 5_000  # the weights and their momentum, at least
    assert measured["training_s"] > measured["adopting_s"] > 0
    for of in (measured["empty_task"], measured["task_with_result"]):
        assert of.keys() == MEASURED["empty_task"].keys()
        assert min(of.values()) > 0
    assert "10,000" in section(measured)
