"""Every format has an exporter, and its packages are asked for where they are missing."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import pytest

from under20k.deploy.export import formats
from under20k.deploy.export.formats import FORMATS, format_named
from under20k.errors import UserError


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_an_exporter(name):
    exporter = format_named(name).exporter()
    assert callable(exporter.export)
    assert callable(exporter.measure)


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="there is no format 'onnx-int4'; did you mean 'onnx-int8'"):
        format_named("onnx-int4")


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.extra])
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch):
    format = FORMATS[name]
    for package in format.packages:
        monkeypatch.setattr(formats, "find_spec", lambda name, lacking=package: name != lacking or None)
        with pytest.raises(UserError) as error:
            format.exporter()
        assert str(error.value) == (
            f"{package} is not installed, which the export to {name} needs; install it with: "
            f"pip install 'under20k[{format.extra}]'"
        )
    monkeypatch.undo()
    assert all(find_spec(package) for package in format.packages)


def raising(error: ImportError, cause: BaseException | None) -> Callable[[str], None]:
    def fail(name: str) -> None:
        raise error from cause

    return fail


def test_a_package_that_does_not_load_is_named(monkeypatch):
    fail = raising(ImportError("libstdc++.so.6 is too old"), None)
    monkeypatch.setattr(formats.importlib, "import_module", fail)
    words = "onnx or onnxruntime cannot be loaded, which the export to onnx needs: libstdc"
    with pytest.raises(UserError, match=words):
        FORMATS["onnx"].exporter()
    with pytest.raises(ImportError):  # a defect
        replace(FORMATS["onnx"], packages=()).exporter()


def test_an_interrupt_while_a_package_loads_is_one(monkeypatch):
    """A compiled module makes an ImportError of it."""
    fail = raising(ImportError("initialization failed"), KeyboardInterrupt())
    monkeypatch.setattr(formats.importlib, "import_module", fail)
    with pytest.raises(KeyboardInterrupt):
        FORMATS["onnx"].exporter()


def test_the_list_imports_nothing_heavy():
    code = (
        "import sys, under20k.deploy.export.formats; print({'numpy', 'onnx', 'torch'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
