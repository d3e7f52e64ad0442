"""Ways to damage a file of a run folder: what full disks, editors and adversaries leave."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]

VALUES: tuple[Any, ...] = (None, True, -1, 0, 2, 5, 0.5, 1e300, "", "x", "\x1b[31m", [], [5], {}, {"a": 1})
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "-0.001", "2", "0.98005")


def of_bytes() -> Iterator[tuple[str, Damage]]:
    """Damages that any file can suffer."""

    def changed(how: Callable[[bytes], bytes]) -> Damage:
        return lambda path: path.write_bytes(how(path.read_bytes()))  # type: ignore[return-value]

    def flipped(share: float, bit: int) -> Damage:
        def flip(data: bytes) -> bytes:
            place = min(int(share * len(data)), len(data) - 1)
            return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]

        return changed(flip)

    yield "removed", Path.unlink
    yield "emptied", changed(lambda data: b"")
    yield "zeroed", changed(lambda data: bytes(len(data)))
    yield "doubled", changed(lambda data: data * 2)
    yield "longer", changed(lambda data: data + b"\0")
    yield "nested", changed(lambda data: b"[" * 100_000)
    for share in (0.001, 0.3, 0.7, 0.999):
        yield f"cut at {share}", changed(lambda data, share=share: data[: int(share * len(data))])
    for share in (0, 0.001, 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 0.999, 1):
        for bit in (0x01, 0x20, 0x80):
            yield f"bit {bit:#x} at {share} flipped", flipped(share, bit)


def of_kind() -> Iterator[tuple[str, Damage]]:
    """Something other than a file in its place."""

    def replaced(make: Callable[[Path], object]) -> Damage:
        def damage(path: Path) -> None:
            path.unlink()
            make(path)

        return damage

    def linked_pipe(path: Path) -> None:
        os.mkfifo(f"{path}.pipe")
        path.symlink_to(f"{path}.pipe")

    yield "a folder", replaced(Path.mkdir)
    yield "a named pipe", replaced(os.mkfifo)
    yield "endless", replaced(lambda path: path.symlink_to("/dev/zero"))
    yield "a link to a pipe", replaced(linked_pipe)
    yield "a link to nothing", replaced(lambda path: path.symlink_to("nowhere"))
    yield "a link to itself", replaced(lambda path: path.symlink_to(path.name))


def of_values(data: Any) -> Iterator[tuple[str, Any]]:
    """Every field of a JSON value, changed to each of ``VALUES`` and gone: where and how, and the whole."""
    for place in places(data):
        if not place:
            continue
        for value in (..., *VALUES):
            changed = json.loads(json.dumps(data))
            owner = changed
            for step in place[:-1]:
                owner = owner[step]
            if value is ...:
                del owner[place[-1]]
            elif owner[place[-1]] == value and type(owner[place[-1]]) is type(value):
                continue
            else:
                owner[place[-1]] = value
            yield f"{'.'.join(map(str, place))} {'gone' if value is ... else json.dumps(value)}", changed


def places(data: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON value, the whole first; of lists, to the first two."""
    yield above
    items = data.items() if isinstance(data, dict) else enumerate(data[:2]) if isinstance(data, list) else ()
    for name, value in items:
        yield from places(value, *above, name)


def of_json(path: Path, lines: bool) -> Iterator[tuple[str, Damage]]:
    """Damages of the values in a JSON file, or in the last line of a file of JSON lines."""
    *before, last = path.read_text().splitlines() if lines else [path.read_text()]

    def written(text: str) -> Damage:
        whole = "\n".join([*before, text]) + "\n"
        return lambda path: path.write_text(whole)  # type: ignore[return-value]

    for name, changed in of_values(json.loads(last)):
        yield name, written(json.dumps(changed))
    fields = json.loads(last)
    for field, value in fields.items():
        if type(value) in (int, float):
            for number in NUMBERS:
                text = json.dumps({**fields, field: "HERE"}).replace('"HERE"', number)
                yield f"{field} {number[:20]}", written(text)
