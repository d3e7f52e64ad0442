"""The double refuses what Windows refuses, to the product and below its disk, and nothing else."""

import pytest

PRODUCT = """\
g = {'__name__': 'under20k.x', 'os': os}
WRITE = 'open("x", "w").write("{}" + chr(10))'
"""

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="this is Windows")


def outcome(windows, code: str, setup: str = "") -> str:
    """What a line of code prints, or the name of the error that it raises."""
    program = f"import os, pathlib\n{setup}\ntry:\n    print({code})\nexcept Exception as error:\n"
    done = windows("-c", program + "    print(type(error).__name__, getattr(error, 'errno', ''))")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("setup", "code", "expected"),
    [
        ("f = open('x', 'wb')", "os.fsync(f.fileno())", "None"),
        ("open('x', 'wb').close(); f = open('x', 'rb')", "os.fsync(f.fileno())", "OSError 9"),
        ("f = open('x', 'wb'); open('y', 'wb').close()", "os.replace('y', 'x')", "PermissionError 13"),
        ("f = open('x', 'wb'); open('y', 'wb').close()", "os.replace('x', 'z')", "PermissionError 13"),
        ("f = open('x', 'wb')", "os.unlink('x')", "PermissionError 13"),
        ("f = open('x', 'wb')", "pathlib.Path('x').unlink()", "PermissionError 13"),
        ("os.mkdir('d'); f = open('d/x', 'wb')", "os.rename('d', 'e')", "PermissionError 13"),
        ("open('x', 'wb').close(); open('y', 'wb').close()", "os.rename('x', 'y')", "FileExistsError 17"),
        ("open('x', 'wb').close(); open('y', 'wb').close()", "os.replace('x', 'y')", "None"),
        ("", "os.mkdir('a:b')", "OSError 22"),
        ("", "open('what?', 'w')", "OSError 22"),
        ("", "os.mkdir('NUL')", "NotADirectoryError 20"),
        ("", "os.mkdir('aux.txt')", "NotADirectoryError 20"),
        ("", "open('nul', 'w').write('x'), os.listdir()", "1 []"),
        ("", "os.mkdir('dot.'), os.listdir()", "None ['dot']"),
        ("os.mkdir('Runs')", "os.path.isdir('runs')", "True"),
        ("os.mkdir('Runs')", "os.mkdir('runs')", "FileExistsError 17"),
        ("", "os.mkdir('x' * 240)", "FileNotFoundError 2"),
        ("", "os.path.exists('a:b')", "False"),
        # What is the product's alone.
        ("", "os.name, hasattr(os, 'fork')", "posix True"),
        ("exec('n = os.name', g := {'__name__': 'under20k.x', 'os': os})", "g['n']", "nt"),
        (PRODUCT, "eval('hasattr(os, \"fork\")', g)", "False"),
        (PRODUCT, "exec('import fcntl', g)", "ModuleNotFoundError"),
        (PRODUCT, "exec(WRITE.format('≥'), g)", "UnicodeEncodeError"),
        (f"{PRODUCT}exec(WRITE.format('a'), g)", "open('x', 'rb').read()", "b'a\\r\\n'"),
    ],
)  # fmt: skip
def test_as_windows_does(windows, setup, code, expected):
    assert outcome(windows, code, setup) == expected
