"""What is written is C for every compiler, whatever the model is called."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.support.c_programs import COMPILERS, STRICT, needs
from tests.support.own_graphs import GRAPHS, own_model
from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export import c_float, c_int8
from under20k.deploy.export.c_source import HEADER, SOURCE, float_literal
from under20k.deploy.export.formats import Material
from under20k.deploy.model import Model
from under20k.deploy.origin import Origin
from under20k.recipe.graph.graph import Graph

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux's nm and size print")
FORMATS = {"c": c_float, "c-int8": c_int8}


def written(format: str, model: Model, folder, mnist) -> None:
    FORMATS[format].export(model, folder, Material(0.9929, mnist.train.images[:20]))


@pytest.mark.parametrize("compiler", [pytest.param(name, marks=needs(name)) for name in COMPILERS])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("text", [*ARCHITECTURES[2:], "4k1|1"])
def test_no_compiler_warns(format, compiler, text, mnist, tmp_path):
    written(format, model_of(text, temperature=1.2), tmp_path, mnist)
    command = [*COMPILERS[compiler], *STRICT, "-O2", "-c", SOURCE, "-o", "under20k.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@on_linux
@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_needed_but_stdint(format, mnist, tmp_path):
    written(format, model_of(ARCHITECTURES[0]), tmp_path, mnist)
    text = (tmp_path / SOURCE).read_text() + (tmp_path / HEADER).read_text()
    included = {line for line in text.splitlines() if line.startswith("#include")}
    assert included == {"#include <stdint.h>", '#include "under20k.h"'}
    subprocess.run(["gcc", "-std=c99", "-O2", "-c", SOURCE, "-o", "u.o"], cwd=tmp_path, check=True)
    undefined = subprocess.run(["nm", "-u", "u.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(undefined.stdout.split()) <= {
        "U",
        "memset",
        "memcpy",
        "_GLOBAL_OFFSET_TABLE_",
        "__stack_chk_fail",
    }


@on_linux
@pytest.mark.parametrize("format", FORMATS)
def test_all_memory_is_the_work_buffer(format, mnist, tmp_path):
    written(format, model_of(ARCHITECTURES[0]), tmp_path, mnist)
    # Position-independent code would keep pointers to the weights in RAM.
    command = ["gcc", "-std=c99", "-O2", "-fno-pie", "-c", SOURCE, "-o", "u.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    size = subprocess.run(["size", "u.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    _, data, bss = map(int, size.stdout.splitlines()[1].split()[:3])
    stated = next(line for line in (tmp_path / HEADER).read_text().splitlines() if "WORK_BUFFER" in line)
    assert 0 <= data + bss - int(stated.split()[-1]) < 32  # alignment


def test_the_header_says_what_it_is(mnist, tmp_path):
    pretrained = replace(model_of(ARCHITECTURES[0]), origin=Origin("pretrained", 0, license="MIT"))
    written("c", pretrained, tmp_path, mnist)
    text = (tmp_path / HEADER).read_text()
    assert "Model minimal: 14,116 parameters, 8,12p,14,16p,20v,24v|3v" in text
    assert "Validation accuracy before the export: 99.29%" in text
    assert "MIT licence" in text
    written("c", replace(pretrained, origin=None), tmp_path, mnist)
    assert "licence" not in (tmp_path / HEADER).read_text()  # it is for the owner of the weights to choose


@pytest.mark.parametrize("name", ["*/ #error", "\\", "ends ??/", "naïve", "a\nb", "/* a"])
def test_a_models_name_stays_in_its_comment(name, mnist, tmp_path):
    model = model_of("3vp|1")
    recipe = model.recipe
    object.__setattr__(recipe, "name", name)  # recipes refuse such names, but files may hold them one day
    written("c", replace(model, recipe=recipe), tmp_path, mnist)
    assert (tmp_path / SOURCE).read_bytes().isascii()
    command = [*COMPILERS["gcc"], *STRICT, "-c", SOURCE, "-o", "under20k.o"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


@pytest.mark.parametrize("value", [0, 1, -2, 0.1, 1e-30, 3e38, 1 / 3, 16777217, np.float32(1.17e-38)])
def test_a_literal_is_the_same_float(value):
    text = float_literal(value)
    assert text.endswith("f")
    assert "." in text or "e" in text
    assert np.float32(text[:-1]) == np.float32(value)


@pytest.mark.parametrize("format", FORMATS)
def test_lines_are_short_enough_to_read(format, mnist, tmp_path):
    written(format, model_of(ARCHITECTURES[1]), tmp_path, mnist)
    for name in (SOURCE, HEADER):
        assert max(map(len, (tmp_path / name).read_text().splitlines())) <= 120


@needs("gcc")
@pytest.mark.parametrize("format", FORMATS)
def test_a_users_names_are_no_names_in_c(format, mnist, tmp_path):
    """A word of C, a number as in nn.Sequential, a variable of ours, and the end of a comment."""
    graph = GRAPHS["chain"]
    names = dict(zip((node.name for node in graph.nodes), NAMES, strict=False))
    nodes = (
        replace(node, name=names[node.name], inputs=tuple(names.get(each, each) for each in node.inputs))
        for node in graph.nodes
    )
    written(format, own_model(Graph(tuple(nodes))), tmp_path, mnist)
    command = [*COMPILERS["gcc"], *STRICT, "-c", SOURCE, "-o", "under20k.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


NAMES = ("int", "p", "r", "*/ 0", "n", "r1", "g", "f", "out")
