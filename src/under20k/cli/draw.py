"""Draw digits on a page in the browser, and see networks think.

The page shows what each layer computes, while you draw. It is one file; this command serves it to this
machine alone, until Ctrl-C. A run trained with --snapshots brings its training as a film.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from under20k.cli.options import add_quiet, note
from under20k.cli.own_weights import OWN, add_weights_options, check_weights_options, own_model_argument
from under20k.errors import UserError
from under20k.recipe.own_model import is_target


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k draw``."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="pretrained models ('under20k recipes' lists them), or the folders of runs, records or "
        f"hub-folders; {OWN} (default: minimal, regularized-plus and shared-weights)",
    )
    parser.add_argument("--port", type=int, metavar="N", help="port of the page (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the page to an HTML file, and serve nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the address, or the file, as JSON")
    add_weights_options(parser)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until a signal ends it. Raises UserError."""
    if arguments.output is not None and (arguments.port is not None or arguments.no_browser):
        raise UserError("--output serves nothing; leave out --port and --no-browser")

    from under20k.cli.signals import advise
    from under20k.deploy.draw.bundle import page
    from under20k.deploy.draw.models import DEFAULT, embedded
    from under20k.deploy.draw.server import MAX_PORT, PageServer
    from under20k.files import write_text

    if arguments.port is not None and not 1 <= arguments.port <= MAX_PORT:
        raise UserError(f"--port is {arguments.port}; expected 1 to {MAX_PORT}; leave it out for a free one")

    check_weights_options(arguments, *arguments.models)
    named = [own_model_argument(arguments, each) if is_target(each) else each for each in arguments.models]
    models = embedded(named or DEFAULT)
    made, names = page(models), [each.model.name for each in models]
    if arguments.output is not None:
        write_text(arguments.output, made.html)
        tell(arguments, "file", str(arguments.output), names)
        return 0

    advise("the page is closed")
    with PageServer(made, arguments.port or 0) as server:
        tell(arguments, "address", server.address, names)
        opened = not arguments.no_browser and open_browser(server.address)
        note(arguments, ending(server.server_port, opened=opened, wanted=not arguments.no_browser))
        server.serve_forever()
    return 0


def tell(arguments: argparse.Namespace, what: str, value: str, models: list[str]) -> None:
    """Print the page's address or file, at once: the command may run for hours.

    Args:
        arguments: of the command line.
        what: the value's name in JSON.
        value: the address or file.
        models: names of the models in the page.
    """
    print(json.dumps({what: value, "models": models}) if arguments.json else value, flush=True)


def open_browser(address: str) -> bool:
    """Open a browser at an address, if this machine has one with a window; return whether it has."""
    import webbrowser

    windows = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:  # a browser of the terminal would take it over
        return windows and webbrowser.open(address)
    except (OSError, webbrowser.Error):
        return False


def ending(port: int, *, opened: bool, wanted: bool) -> str:
    """Return what to do with the page that is served.

    Args:
        port: of the page.
        opened: whether a browser shows it.
        wanted: whether one should.
    """
    text = "Ctrl-C ends it"
    if opened or not wanted:
        return text
    if "SSH_CONNECTION" in os.environ:
        return (
            "no browser here; on your machine, run 'ssh -N -L "
            f"{port}:127.0.0.1:{port}' with this machine's name, and open the address there; {text}"
        )
    return f"no browser was found; open the address in one; {text}"
