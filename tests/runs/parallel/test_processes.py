"""Worker processes import nothing of the script that starts them; other processes do."""

import sys
from multiprocessing import spawn
from pathlib import Path
from types import ModuleType

from under20k.runs.parallel.processes import WORKER, script_not_imported


def told(name: str) -> set[str]:
    return {key for key in spawn.get_preparation_data(name) if key.startswith("init_main")}


def test_processes_of_the_users_import_the_script_as_ever(monkeypatch, tmp_path):
    script = ModuleType("__main__")
    script.__file__, script.__spec__ = str(Path(tmp_path, "script.py")), None
    monkeypatch.setitem(sys.modules, "__main__", script)
    before = spawn.get_preparation_data
    with script_not_imported():
        assert told(WORKER) == set()
        assert told("Process-1") == {"init_main_from_path"}
    assert spawn.get_preparation_data is before
    assert told(WORKER) == {"init_main_from_path"}
