"""The pictures that a lesson draws: kept in a folder of its own, and shown where there is somebody to look."""

import os
import sys
from pathlib import Path
from typing import Any

from minisegnet.viz.save import save

OUTPUT = "MINISEGNET_OUTPUT"  # the environment variable that moves all lessons' pictures


class Lesson:
    """A lesson's folder of pictures: ``output/NAME`` beside the script, or below ``$MINISEGNET_OUTPUT``.

    Parameters
    ----------
    name
        The lesson's, such as ``"02_convolution"``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.environ["MINISEGNET_OUTPUT"] = folder
    ...     Lesson("02_convolution").show(np.zeros((8, 8, 3), np.uint8), "black")  # doctest: +ELLIPSIS
    ...     (Path(folder) / "02_convolution" / "black.png").exists()
    [picture: ...black.png]
    True
    >>> del os.environ["MINISEGNET_OUTPUT"]
    """

    def __init__(self, name: str) -> None:
        self.name = name
        script = getattr(sys.modules["__main__"], "__file__", None)  # a notebook has none
        beside = Path(script).parent if script else Path.cwd()
        self.folder = Path(os.environ.get(OUTPUT) or beside / "output") / name

    def show(self, picture: Any, name: str) -> None:
        """Save a figure or an (H, W, 3) uint8 array as ``NAME.png``; in a notebook, show it as well."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        save(picture, path)
        if _in_a_notebook():
            _display(path)
        else:
            print(f"[picture: {path}]")


def _in_a_notebook() -> bool:
    """Say whether a Jupyter kernel runs this; it has loaded IPython long before."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _display(path: Path) -> None:
    """Show the file: a figure itself would appear as a line of text, unless pyplot had made it."""
    from importlib import import_module

    ipython: Any = import_module("IPython.display")
    ipython.display(ipython.Image(filename=str(path)))
