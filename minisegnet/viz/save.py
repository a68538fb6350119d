"""Write pictures to files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from minisegnet import files
from minisegnet.arrays import Array


def save(picture: Figure | Array, path: str | Path) -> None:
    """Write a figure or an (H, W, 3) uint8 array as a PNG file, all of it or nothing.

    The file holds no date and no version, so that equal pictures are equal files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(np.zeros((2, 2, 3), np.uint8), Path(folder) / "black.png")
    ...     (Path(folder) / "black.png").read_bytes()[1:4]
    b'PNG'
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"save: path is {str(path)!r}; expected a name that ends in .png")
    files.write_atomically(path, png(picture))


def png(picture: Any) -> bytes:
    """Return the bytes of the PNG file."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        # Not savefig: it asks for the user's settings of size and frame.
        canvas: Any = FigureCanvasAgg(picture)
        canvas.print_png(buffer, metadata={"Software": None})
        return buffer.getvalue()
    if not isinstance(picture, np.ndarray):
        raise TypeError(
            f"save: picture is a {type(picture).__name__}; expected a matplotlib Figure or an (H, W, 3) uint8 array"
        )
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(
            f"save: picture has shape {picture.shape} and dtype {picture.dtype}; expected (H, W, 3) uint8. "
            "Make it one by to_rgb (an image) or colourise (labels)"
        )
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG")
    return buffer.getvalue()
