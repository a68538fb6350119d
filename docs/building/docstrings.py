"""A Sphinx extension: what our docstrings and annotations need to be read as they are meant."""

import re
from typing import Any

HIDDEN = "\ue000"  # a character that no text has
ARRAY = re.compile(
    r"~?numpy\.ndarray\[~?(?:tuple\[~?typing\.Any, \.\.\.\]|typing\.Any), ~?numpy\.dtype\[~?typing\.Any\]\]"
)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx what to call when."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", hide_colons, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", show_colons, priority=600)
    return {"parallel_read_safe": True}


def shorten(app: Any, what: str, name: str, value: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Write ``Array`` for what that alias stands for (minisegnet/arrays.py), which would fill two lines."""
    return tuple(ARRAY.sub("Array", part) if part else part for part in (signature, returns))


def hide_colons(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Hide the colons of a property's first line: napoleon would take the words before one for a type."""
    if what in ("property", "attribute", "data") and lines:
        lines[0] = lines[0].replace(":", HIDDEN)


def show_colons(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Bring back what :func:`hide_colons` hid."""
    lines[:] = [line.replace(HIDDEN, ":") for line in lines]
