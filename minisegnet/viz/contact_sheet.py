"""All pictures of a data set on one sheet, small, with their labels on top: wrong masks are seen at a glance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.viz.colours import Palette, as_palette, class_list, label_map, to_rgb
from minisegnet.viz.fonts import readable_names
from minisegnet.viz.legend import draw_legend, entries_of, legend_height
from minisegnet.viz.overlay import WRONG, overlay
from minisegnet.viz.page import (
    INK,
    PALE,
    QUIET,
    SMALL,
    TITLE,
    axes_at,
    box,
    finish,
    hex_colour,
    page,
    shorten,
    show,
    write,
)

MARGIN, GAP, HEAD, NAME = 14, 10, 34, 17  # pixels
WIDEST = 1120  # of the sheet
LARGEST, SMALLEST = 300, 120  # sides of a cell, for few pictures and for many
FLATTEST = 0.3  # height of a row of flat pictures, as a share of the cell's side
ENOUGH = 4  # times the final size: what a picture is thinned out to, before its pixels are mixed
WHOLE = 3  # from so many times on, a picture is enlarged by a whole number
NARROWEST = 560  # so that there is room for a legend


class Thumbnail(NamedTuple):
    """One small picture of the sheet."""

    name: str
    rgb: Array | None  # (h, w, 3), uint8; None: it couldn't be read
    remark: str = ""  # what is wrong with it: written in red under its name


def cell_side(count: int) -> int:
    """Return how many pixels wide and high a picture on a sheet of so many may be.

    >>> cell_side(1), cell_side(12), cell_side(40)
    (300, 265, 173)
    """
    columns = min(max(1, count), 3 if count <= 6 else 4 if count <= 16 else 6)
    side = (WIDEST - 2 * MARGIN - (columns - 1) * GAP) // columns
    return min(max(side, SMALLEST), LARGEST)


def thumbnail(
    name: str,
    image: Array,
    labels: Array,
    palette: Palette,
    *,
    side: int,
    ignore_index: int | None = None,
    remark: str = "",
) -> Thumbnail:
    """Draw a picture with its labels, at most ``side`` pixels wide and high.

    A picture's pixels are mixed, of its labels the nearest is taken; only where pixels become large squares, all are
    equally large. The outlines are drawn at the final size, so that they stay one pixel wide.

    Examples
    --------
    >>> labels = np.array([[0, 1], [1, 0]])
    >>> small = thumbnail("a", np.ones((2, 2)), labels, [(0, 0, 0), (230, 159, 0)], side=7)
    >>> small.rgb.shape
    (6, 6, 3)
    """
    step = max(1, max(image.shape[:2]) // (ENOUGH * side))  # of a huge picture a part of the pixels is enough
    rgb, labels = to_rgb(image[::step, ::step]), labels[::step, ::step]
    labels, _ = label_map(labels, len(as_palette(palette, "thumbnail")), ignore_index, "labels", "thumbnail")
    times = side // max(labels.shape)
    if times >= WHOLE:
        rgb, labels = (np.repeat(np.repeat(a, times, axis=0), times, axis=1) for a in (rgb, labels))
    else:
        H, W = labels.shape
        h, w = max(1, round(side * H / max(H, W))), max(1, round(side * W / max(H, W)))
        labels = labels[np.arange(h)[:, None] * H // h, np.arange(w) * W // w]  # (h, w)
        mixed = Image.Resampling.BOX if times == 0 else Image.Resampling.BICUBIC
        rgb = np.asarray(Image.fromarray(rgb).resize((w, h), mixed))  # (h, w, 3)
    return Thumbnail(name, overlay(rgb, labels, palette, alpha=0.45, ignore_index=ignore_index), remark)


def contact_sheet(
    thumbnails: Sequence[Thumbnail],
    class_names: Sequence[str],
    palette: Palette,
    *,
    title: str = "",
    side: int | None = None,
) -> Figure:
    """Put small pictures on a sheet, with their names and a legend of the classes.

    Parameters
    ----------
    thumbnails
        From :func:`thumbnail`, in the order in which they shall stand.
    class_names, palette
        A name and a colour for each class of the legend.
    title
        A line above them.
    side
        That of the thumbnails; ``cell_side`` of their number unless given.

    Examples
    --------
    >>> picture = Thumbnail("a.png", np.zeros((90, 120, 3), np.uint8))
    >>> figure = contact_sheet([picture, Thumbnail("b.png", None, "damaged")], ["ground"], [(0, 0, 0)], title="two")
    >>> [text.get_text() for text in figure.texts]
    ['two', 'a.png', 'b.png', 'damaged', 'ground']
    """
    op = "contact_sheet"
    colours = as_palette(palette, op)
    names = readable_names(class_list(class_names, len(colours), op))
    if not thumbnails:
        raise ValueError(f"{op}: there are no thumbnails; expected one or more")
    side = cell_side(len(thumbnails)) if side is None else side
    columns = min(len(thumbnails), (WIDEST - 2 * MARGIN + GAP) // (side + GAP))
    rows = [thumbnails[k : k + columns] for k in range(0, len(thumbnails), columns)]
    width = max(columns * (side + GAP) - GAP + 2 * MARGIN, NARROWEST)
    entries = entries_of(names, colours, range(len(names)))
    heights = [_row_height(row, side) for row in rows]
    top = HEAD if title else MARGIN
    bottom = top + sum(heights)
    figure = page(width, bottom + legend_height(entries, width - 2 * MARGIN) + MARGIN)
    if title:
        write(figure, MARGIN, HEAD / 2, shorten(title, int(width // 9)), TITLE, color=INK)
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            _draw(figure, picture, MARGIN + column * (side + GAP), top, side)
        top += height
    draw_legend(figure, entries, MARGIN, bottom + 4, width - 2 * MARGIN)
    return finish(figure)


def _row_height(row: Sequence[Thumbnail], side: int) -> int:
    """Height of the highest picture of a row, with the lines below it."""
    tallest = max((picture.rgb.shape[0] for picture in row if picture.rgb is not None), default=0)
    lines = 2 if any(picture.remark for picture in row) else 1
    return max(tallest, int(FLATTEST * side)) + lines * NAME + GAP


def _draw(figure: Figure, picture: Thumbnail, left: float, top: float, side: int) -> None:
    h, w = (int(FLATTEST * side), side) if picture.rgb is None else picture.rgb.shape[:2]
    x = left + (side - w) // 2
    if picture.rgb is None:
        box(figure, x, top, w, h, facecolor=PALE, edgecolor=hex_colour(WRONG), linewidth=0.8)
    else:
        show(axes_at(figure, x, top, w, h), picture.rgb, w)
    letters = max(6, int(side / 6.2))
    name = shorten(picture.name, letters)
    write(figure, left + side / 2, top + h + NAME / 2 + 1, name, SMALL, ha="center", color=QUIET)
    if picture.remark:
        remark = shorten(picture.remark, letters)
        write(
            figure, left + side / 2, top + h + 1.5 * NAME, remark, SMALL, ha="center", color=hex_colour(WRONG)
        )
