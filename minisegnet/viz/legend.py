"""Which colour is which class."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from minisegnet.arrays import Array
from minisegnet.viz.colours import IGNORED, Palette, as_palette, class_list, label_map
from minisegnet.viz.fonts import readable_names
from minisegnet.viz.overlay import overlay
from minisegnet.viz.page import (
    LINES,
    NORMAL,
    axes_at,
    box,
    finish,
    hex_colour,
    page,
    shorten,
    show,
    shown_size,
    text_width,
    write,
)

ROW, SWATCH, GAP = 19, 12, 18  # pixels: height of a line, side of a colour's square, space between entries

Entries = Sequence[tuple[str, str]]  # name and colour


def legend(class_names: Sequence[str], palette: Palette, *, width: float = 640) -> Figure:
    """Draw the colours with their names, on a sheet of this many pixels.

    Examples
    --------
    >>> figure = legend(["ground", "cell"], [(200, 200, 200), (230, 159, 0)])
    >>> [text.get_text() for text in figure.texts]
    ['ground', 'cell']
    """
    colours = as_palette(palette, "legend")
    names = readable_names(class_list(class_names, len(colours), "legend"))
    entries = entries_of(names, colours, range(len(names)))
    figure = page(width, legend_height(entries, width - 16) + 12)
    draw_legend(figure, entries, 8, 6, width - 16)
    return finish(figure)


def overlay_with_legend(
    image: Array,
    labels: Array,
    palette: Palette,
    class_names: Sequence[str],
    *,
    alpha: float = 0.5,
    outline: bool = True,
    ignore_index: int | None = None,
    title: str = "",
) -> Figure:
    """Draw an image tinted with its labels (see ``overlay``), and below it the classes that are in it.

    Examples
    --------
    >>> import numpy as np
    >>> palette = [(200, 200, 200), (230, 159, 0), (0, 114, 178)]
    >>> labels = np.array([[0, 0], [0, 2]])
    >>> figure = overlay_with_legend(np.ones((2, 2)), labels, palette, ["ground", "cell", "dust"], title="two")
    >>> [text.get_text() for text in figure.texts]
    ['two', 'ground', 'dust']
    """
    op = "overlay_with_legend"
    colours = as_palette(palette, op)
    names = readable_names(class_list(class_names, len(colours), op))
    picture = overlay(image, labels, palette, alpha=alpha, outline=outline, ignore_index=ignore_index)
    labels, counts = label_map(labels, len(colours), ignore_index, "labels", op)
    entries = entries_of(names, colours, sorted(set(labels[counts].tolist())))
    width, height = shown_size(picture.shape, 480, 480)
    sheet, top = max(width, 240), 30 if title else 10
    figure = page(sheet + 20, top + height + 10 + legend_height(entries, sheet))
    if title:
        write(figure, 10, 16, shorten(title, sheet // 8))
    show(axes_at(figure, 10, top, width, height), picture, width)
    draw_legend(figure, entries, 10, top + height + 6, sheet)
    return finish(figure)


def entries_of(names: Sequence[str], colours: Array, classes: Sequence[int]) -> list[tuple[str, str]]:
    """Put the names and colours of these classes together."""
    return [(names[c], hex_colour(colours[c])) for c in classes]


def _columns(entries: Entries, width: float) -> tuple[list[float], int]:
    """Return where the columns begin, and how many rows there are: one row if it fits, else equal columns."""
    widths = [SWATCH + 5 + text_width(shorten(name)) + GAP for name, _ in entries]
    if sum(widths) - GAP <= width:
        return [sum(widths[:k]) for k in range(len(widths))], 1
    widest = max(widths)
    count = max(1, int((width + GAP) // widest))
    rows = -(-len(entries) // count)
    count = -(-len(entries) // rows)  # rows of nearly equal length
    return [k * widest for k in range(count)], rows


def legend_height(entries: Entries, width: float) -> float:
    """Say how many pixels high the legend will be."""
    return _columns(entries, width)[1] * ROW if entries else 0


def draw_legend(figure: Figure, entries: Entries, left: float, top: float, width: float) -> None:
    """Draw squares of colour with names, column by column."""
    if not entries:
        return
    starts, rows = _columns(entries, width)
    for k, (name, colour) in enumerate(entries):
        x, y = left + starts[k // rows], top + (k % rows) * ROW
        edge = "#9a9a9a" if colour == hex_colour(IGNORED) else LINES
        box(
            figure, x, y + (ROW - SWATCH) / 2, SWATCH, SWATCH, facecolor=colour, edgecolor=edge, linewidth=0.6
        )
        write(figure, x + SWATCH + 5, y + ROW / 2, shorten(name), NORMAL)
