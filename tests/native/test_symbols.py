"""No code of one instruction set can be linked into another's place.

The kernels are compiled once per instruction set. A function outside its namespace would be one symbol in all
of their objects; the linker keeps any one of them, and a baseline machine could end up with the AVX-512 one.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

# The compiler would run under the sanitizer.
pytestmark = pytest.mark.unsanitized

ROOT = Path(__file__).parents[2]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
FLAGS: dict[str, list[str]] = {"baseline": [], "wide": ["-DUNDER20K_WIDE"]}
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS |= {"avx2": ["-mavx2", "-mfma"], "avx512": AVX512, "avx512bf16": [*AVX512, "-mavx512bf16"]}


def compiled(source: Path, isa: str, directory: Path) -> Path:
    """Return the object of a source, in which only what must be is inlined."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("needs a C++ compiler and nm")
    target = directory / f"{isa}.o"
    options = ["-std=c++20", "-O0", "-w", f"-DUNDER20K_ISA={isa}", f"-I{ROOT / 'native'}", *FLAGS[isa]]
    command = [compiler, *options, "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


def shared_code(file: Path, isa: str) -> list[str]:
    """Return the functions of an object that other objects can refer to, without those in its namespace."""
    listed = subprocess.run(
        ["nm", "-C", "--defined-only", str(file)], capture_output=True, text=True, check=True
    ).stdout
    symbols = re.findall(r"^\S+ ([TWiu]) (.+)$", listed, re.MULTILINE)
    tables = [f"under20k::{isa}::{name}()" for name in ("kernels", "operations")]
    assert any(table in name for _, name in symbols for table in tables), f"{file} has no kernels"
    # Functions of a template begin with what they return.
    own = re.compile(rf"(.* )?under20k::{isa}::")
    return [name for _, name in symbols if own.match(name) is None]


@pytest.mark.parametrize("source", ["kernels.cpp", "operations.cpp"])
@pytest.mark.parametrize(
    "isa",
    [pytest.param(isa, marks=pytest.mark.slow) if isa not in ("baseline", "avx2") else isa for isa in FLAGS],
)
def test_kernels_share_no_code_even_when_nothing_is_inlined(isa: str, source: str, tmp_path: Path) -> None:
    assert shared_code(compiled(ROOT / "native/kernels" / source, isa, tmp_path), isa) == []


def test_the_objects_of_the_build_share_no_code() -> None:
    """Those that CMake has left in build/, which an editable install does."""
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    objects = list((ROOT / "build").glob("**/kernels_*.dir/kernels/*.cpp.o"))
    if not objects:
        pytest.skip("no objects in build/")
    for file in objects:
        assert shared_code(file, file.parts[-3].removeprefix("kernels_").removesuffix(".dir")) == []


def test_shared_code_is_found(tmp_path: Path) -> None:
    source = tmp_path / "shared.cpp"
    source.write_text(
        "namespace under20k { inline float half(float x) { return x / 2; }\n"
        "namespace baseline { float kernels() { return half(3); } } }\n"
    )
    assert shared_code(compiled(source, "baseline", tmp_path), "baseline") == ["under20k::half(float)"]
