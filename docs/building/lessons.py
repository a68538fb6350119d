"""What a lesson's page has beside the lesson: its formulas, and the way to its solutions and its script."""

import re
from pathlib import Path
from typing import Any

from building.pages import ROOT

MENTION = re.compile(r"(?<![\w`\[#])lesson (\d{1,2})\b(?![^\n]*`[^`\n]*$)")
FORMULAS = ROOT / "docs" / "formulas.md"


def on_the_site(notebook: Any, file: Path) -> Any:
    """Return an executed lesson (or its solutions) with what its page has besides."""
    import nbformat

    cells = [_linked(cell, file) for cell in notebook.cells]
    name = file.stem
    script = f"`{file.as_posix()}` ([download]({file.name}))"
    if file.parent.name == "solutions":
        after = f"The [lesson](../{name}.ipynb). This page is {script}, run when the site was built."
        cells.append(_text(after))
    else:
        at = next(i for i, cell in enumerate(cells) if "## Exercises" in cell.source)
        exercises = cells[at].source.split("## Where it comes from")
        solutions = f"[Solutions](solutions/{name}.ipynb) of the exercises. "
        after = f"This page is {script}, run when the site was built.\n\n"
        cells[at : at + 1] = [
            _text(f"## In symbols\n\n{formulas()[name[:2]]}"),
            _text(f"{exercises[0]}{solutions}{after}## Where it comes from{exercises[1]}"),
        ]
    return nbformat.from_dict({**notebook, "cells": cells})


def _linked(cell: Any, file: Path) -> Any:
    """Make a link of each mention of another lesson, such as "(lesson 3)"."""
    if cell.cell_type != "markdown":
        return cell
    names = {int(name[:2]): name for name in titles(ROOT / "lessons")}
    folder = "../" if file.parent.name == "solutions" else ""

    def link(match: re.Match[str]) -> str:
        name = names.get(int(match[1]))
        return match[0] if name in (None, file.stem) else f"[{match[0]}]({folder}{name}.ipynb)"

    return type(cell)({**cell, "source": MENTION.sub(link, cell.source)})


def formulas() -> dict[str, str]:
    """Return each lesson's part of the page of formulas, by the lesson's number."""
    parts = re.split(r"^## (\d\d) .*\n", FORMULAS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def titles(folder: Path) -> dict[str, str]:
    """Return the title of each script in a folder, by the script's name."""
    found = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.py")):
        heading = re.search(r"^# # (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert heading is not None
        found[path.stem] = heading[1]
    return found


def index_of_solutions() -> str:
    """Return the page that lists the solutions."""
    names = titles(ROOT / "lessons" / "solutions")
    listed = "\n".join(f"{name}" for name in names)
    return f"# Solutions\n\nTry the exercises first.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"


def _text(source: str) -> Any:
    from nbformat.v4 import new_markdown_cell

    return new_markdown_cell(source)
