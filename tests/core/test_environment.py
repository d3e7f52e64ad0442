"""What tells trainings apart: the digest of the sources knows of all that decides a bit."""

import ast
from pathlib import Path

import under20k
from under20k.environment import CODE

PACKAGE = Path(under20k.__file__).parent
# What they import to say what is wrong, and to time, keep and compare what was trained; MNIST is verified by
# a digest.
DECIDES_NOTHING = {"environment.py", "errors.py", "machine.py", "metrics.py", "run.py", "data/__init__.py"}


def imported(file: Path) -> set[str]:
    """The modules of this package that a file imports, as paths within it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):  # a module of a package, or a name in it
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            path = PACKAGE.joinpath(*rest)
            if first == "under20k" and rest:
                if path.with_suffix(".py").is_file():
                    found.add(path.with_suffix(".py").relative_to(PACKAGE).as_posix())
                elif (path / "__init__.py").is_file():
                    found.add(f"{path.relative_to(PACKAGE).as_posix()}/__init__.py")
    return found


def test_the_digest_of_the_code_knows_all_that_its_files_import():
    files = [file for name in CODE for file in sorted((PACKAGE / name).glob("*.py")) or [PACKAGE / name]]
    known = {file.relative_to(PACKAGE).as_posix() for file in files}
    needed = set().union(*map(imported, files))
    assert {"elastic.py", "engine/augment.py", "metrics.py"} <= needed
    assert needed - DECIDES_NOTHING <= known
