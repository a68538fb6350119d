"""A Sphinx extension: what our docstrings and annotations need to be read as they are meant."""

import re
from typing import Any

ARRAY = re.compile(r"~?numpy\.ndarray\[~?(?:tuple\[~?typing\.Any, \.\.\.\]|typing\.Any), ~?numpy\.dtype\[~?typing\.Any\]\]")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", open_attribute, priority=400)  # before napoleon
    return {"parallel_read_safe": True}


def shorten(app: Any, what: str, name: str, value: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Write ``Array`` for what that alias stands for (minisegnet/arrays.py), which would fill two lines."""
    return tuple(ARRAY.sub("Array", part) if part else part for part in (signature, returns))


def open_attribute(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Let a property's docstring begin with an empty line: in its first one, words before a colon are its type."""
    if what in ("property", "attribute", "data") and lines:
        lines.insert(0, "")
