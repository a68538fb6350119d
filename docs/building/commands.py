"""The page of the command line, made of what every command's ``--help`` says."""

import contextlib
import io
import os
import re
from unittest import mock

from minisegnet.cli import COMMANDS, main

BEGINNING = """# The command line

`minisegnet COMMAND`. This page shows what each command says when it is asked for `--help`.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [BEGINNING, "| command | what it does |", "|---|---|"]
    parts += [f"| [{name}](#minisegnet-{name}) | {what} |" for name, what in COMMANDS.items()]
    parts += ["", block(helped([])), ""]
    for name in COMMANDS:
        parts += [f"## minisegnet {name}", "", block(helped([name])), ""]
    return "\n".join(parts)


def helped(words: list[str]) -> str:
    """Return what a command prints for ``--help``, the same on every machine."""
    told = io.StringIO()
    settings = {"COLUMNS": "90", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    with (
        mock.patch.dict(os.environ, settings),
        contextlib.redirect_stdout(told),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return re.sub(r"usage: \S+", "usage: minisegnet", told.getvalue(), count=1)


def block(text: str) -> str:
    """Fence a text."""
    return f"```text\n{text.rstrip()}\n```"
