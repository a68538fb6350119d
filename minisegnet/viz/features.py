"""The maps inside a network, as small pictures."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy
from minisegnet.viz.page import (
    INK,
    QUIET,
    SMALL,
    TITLE,
    VERMILION,
    axes_at,
    finish,
    frame,
    page,
    shorten,
    show,
    shown_size,
    write,
)

MOST = 256  # maps on one sheet
CELL, TALLEST, GAP, NUMBER, MARGIN = 104, 160, 8, 15, 12  # pixels


def feature_maps(maps: Array, *, columns: int | None = None, shared: bool = False, title: str = "") -> Figure:
    """Draw every channel of an activation as a small picture, with its number (특징 맵).

    The colours (viridis) run from dark, the smallest value, to bright, the largest; equal steps look equal, and
    they print well in grey. Values that aren't finite are vermilion. A map of one value (a dead unit, often) says so.

    Parameters
    ----------
    maps
        (C, H, W), real numbers.
    columns
        Maps in a row; None: up to 8.
    shared
        False: each map has its own scale, which shows its pattern. True: one scale for all, with a bar, which
        shows how strong they are.
    title
        Written above.

    Examples
    --------
    >>> figure = feature_maps(np.arange(12).reshape(3, 2, 2))
    >>> len(figure.axes), [text.get_text() for text in figure.texts][:3]
    (3, ['0', '1', '2'])
    """
    op = "feature_maps"
    maps = _checked(maps, op)
    shared = checks.flag(shared, "shared", op)
    C, H, W = maps.shape
    columns = min(C, 8) if columns is None else min(C, checks.integer(columns, "columns", op, 1))
    rows = -(-C // columns)
    w, h = shown_size((H, W), CELL, TALLEST)
    pitch = max(w, 46) + GAP  # numbers need room, too
    top = MARGIN + (24 if title else 0)
    width = max(2 * MARGIN + columns * pitch - GAP, 150) + (64 if shared else 0)
    height = top + rows * (h + NUMBER + GAP) + (0 if shared else 18)
    figure = page(width, max(height, 130 if shared else 0))
    if title:
        write(figure, MARGIN, MARGIN + 6, shorten(title, int(width // 8)), TITLE)
    low, high = _range(maps)
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=VERMILION)
    for c, values in enumerate(maps):
        x, y = MARGIN + (c % columns) * pitch, top + (c // columns) * (h + NUMBER + GAP)
        least, most = (low, high) if shared else _range(values)
        write(figure, x, y + NUMBER / 2, _label(c, values), SMALL, color=QUIET)
        axes = axes_at(figure, x, y + NUMBER, w, h)
        show(axes, np.ma.masked_invalid(values), w, cmap=colours, norm=Normalize(least, most))
    if shared:
        bar = axes_at(figure, width - 64, top + NUMBER, 10, max(60, min(rows * (h + NUMBER + GAP) - 30, 240)))
        _draw_bar(figure, bar, ScalarMappable(Normalize(low, high), colours), low, high)
    else:
        text = "each on its own scale: dark is its smallest value, bright its largest"
        write(figure, MARGIN, height - 12, text if width > 420 else text[:21], SMALL, color=QUIET)
    return finish(figure)


def _draw_bar(figure: Figure, bar: Axes, scale: ScalarMappable, low: float, high: float) -> None:
    """Show which colour is which value, with small numbers."""
    figure.colorbar(scale, cax=bar)
    ticks = [tick for tick in bar.get_yticks() if low <= tick <= high]
    frame(bar)
    bar.set(yticks=ticks, ylim=(low, high))
    bar.tick_params(labelsize=SMALL, length=2, width=0.6, colors=INK)


def _checked(maps: Any, op: str) -> Array:
    maps = to_numpy(checks.array(maps, "maps", op))
    if maps.dtype.kind not in "fiub":
        raise TypeError(f"{op}: maps has dtype {maps.dtype}; expected real numbers")
    if maps.ndim != 3 or 0 in maps.shape:
        hint = "; of a batch (N, C, H, W) take one: maps[0]" if maps.ndim == 4 else ""
        raise ValueError(f"{op}: maps has shape {maps.shape}; expected (C, H, W), none of them 0{hint}")
    if len(maps) > MOST:
        raise ValueError(
            f"{op}: {len(maps)} maps; expected at most {MOST} on one sheet: maps[:64], for example"
        )
    values: Array = maps.astype(np.float64)
    return values


def _range(values: Array) -> tuple[float, float]:
    """Smallest and largest finite value; an interval even where there is only one."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _label(c: int, values: Array) -> str:
    if not np.isfinite(values).all():
        return f"{c}  not finite"
    if values.min() == values.max():
        return f"{c}  all {values.flat[0]:.3g}"
    return str(c)
