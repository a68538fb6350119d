"""Image, truth, prediction and mistakes side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minisegnet.arrays import Array
from minisegnet.metrics import Report, confusion_matrix
from minisegnet.ops import checks
from minisegnet.viz.colours import IGNORED, Palette, as_palette, class_list, colourise, label_map, to_rgb
from minisegnet.viz.fonts import readable_names
from minisegnet.viz.legend import draw_legend, entries_of, legend_height
from minisegnet.viz.overlay import WRONG, error_map
from minisegnet.viz.page import (
    INK,
    QUIET,
    SMALL,
    axes_at,
    finish,
    hex_colour,
    page,
    shorten,
    show,
    shown_size,
    write,
)

HEADINGS = ("image", "truth", "prediction", "errors")
CELL, TALLEST, GAP, HEAD, FOOT, MARGIN = 208, 320, 8, 28, 20, 12  # pixels


def comparison(
    rows: Sequence[tuple[Array, Array, Array]],
    class_names: Sequence[str],
    palette: Palette,
    *,
    ignore_index: int | None = None,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Draw a row for each picture: the image, the truth, the prediction, and where they differ.

    Under each row stand the share of its pixels that are wrong, and the mean IoU of that picture alone, over the
    classes that its truth holds. A class that was only predicted has no say in that mean: its IoU would be 0 for a
    single stray pixel, and the mean of a good picture would fall far. Its pixels are missing from the classes that
    they belong to, and count as wrong.

    The legend shows the classes that are in some row. Where the truth is ignored, truth and mistakes are white.

    Parameters
    ----------
    rows
        Of (image, truth, predicted): (H, W[, C]) as for ``to_rgb``, and twice (H, W) integers.
    class_names, palette
        A name and a colour for each class.
    ignore_index
        Truth of the pixels that don't count.
    titles
        A short text for each row, written at its left.

    Examples
    --------
    >>> labels = np.array([[0, 0], [1, 1]])
    >>> rows = [(np.ones((2, 2)), labels, labels.T)]
    >>> figure = comparison(rows, ["ground", "cell"], [(200, 200, 200), (230, 159, 0)])
    >>> [text.get_text() for text in figure.texts]
    ['image', 'truth', 'prediction', 'errors', "50.0 % wrong, mIoU of the truth's classes 0.333", 'ground', 'cell',
     'wrong']
    """
    op = "comparison"
    colours = as_palette(palette, op)
    names = readable_names(class_list(class_names, len(colours), op))
    rows = _checked(rows, len(colours), ignore_index, op)
    if titles is not None and len(titles) != len(rows):
        raise ValueError(f"{op}: titles has {len(titles)} texts for {len(rows)} rows; expected one for each")
    entries = _entries(rows, names, colours, ignore_index)
    sizes = [shown_size(labels.shape, CELL, TALLEST) for _, labels, _ in rows]
    cell, left = max(150, *(width for width, _ in sizes)), MARGIN + (18 if titles is not None else 0)
    width = left + 4 * cell + 3 * GAP + MARGIN
    bottom = HEAD + sum(height + FOOT for _, height in sizes)
    figure = page(width, bottom + legend_height(entries, width - left - MARGIN) + MARGIN)
    for k, heading in enumerate(HEADINGS):
        write(figure, left + k * (cell + GAP) + cell / 2, HEAD / 2 + 2, heading, ha="center", color=INK)
    top = HEAD
    for k, (row, (w, h)) in enumerate(zip(rows, sizes, strict=True)):
        for column, picture in enumerate(_pictures(row, palette, ignore_index)):
            x = left + column * (cell + GAP) + (cell - w) // 2
            show(axes_at(figure, x, top, w, h), picture, w)
        score = _score(row, len(names), ignore_index)
        write(figure, left + 4 * cell + 3 * GAP, top + h + 9, score, SMALL, ha="right", color=QUIET)
        if titles is not None:
            text = shorten(str(titles[k]), max(6, int(h // 7)))
            write(figure, MARGIN + 4, top + h / 2, text, SMALL, rotation=90, ha="center", color=QUIET)
        top += h + FOOT
    draw_legend(figure, entries, left, bottom + 2, width - left - MARGIN)
    return finish(figure)


def _checked(rows: Any, C: int, ignore_index: int | None, op: str) -> list[tuple[Array, Array, Array]]:
    found = []
    for k, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != 3:
            raise ValueError(f"{op}: row {k} isn't (image, truth, predicted); expected three arrays")
        image = to_rgb(row[0])
        truth, _ = label_map(row[1], C, ignore_index, f"truth of row {k}", op)
        predicted, _ = label_map(row[2], C, ignore_index, f"prediction of row {k}", op)
        checks.shape(truth, image.shape[:2], f"truth of row {k}", op, "the image's size")
        checks.shape(predicted, truth.shape, f"prediction of row {k}", op, "the truth's size")
        found.append((image, truth, predicted))
    if not found:
        raise ValueError(f"{op}: rows is empty; expected (image, truth, predicted) at least once")
    return found


def _pictures(row: tuple[Array, Array, Array], palette: Palette, ignore_index: int | None) -> list[Array]:
    image, truth, predicted = row
    return [
        image,
        colourise(truth, palette, ignore_index=ignore_index),
        colourise(predicted, palette, ignore_index=ignore_index),
        error_map(truth, predicted, image=image, ignore_index=ignore_index),
    ]


def _score(row: tuple[Array, Array, Array], C: int, ignore_index: int | None) -> str:
    report = Report.of(confusion_matrix(row[1], row[2], C, ignore_index=ignore_index))
    if not report.support.sum():
        return "no pixel counts"
    miou = report.iou[report.support > 0].mean()
    return f"{100 * (1 - report.pixel_accuracy):.1f} % wrong, mIoU of the truth's classes {miou:.3f}"


def _entries(
    rows: list[tuple[Array, Array, Array]], names: Sequence[str], colours: Array, ignore_index: int | None
) -> list[tuple[str, str]]:
    """Name the colours that occur: classes, mistakes, ignored pixels."""
    seen: set[int] = set()
    for _, truth, predicted in rows:
        seen.update(np.unique(truth).tolist(), np.unique(predicted).tolist())
    ignored = ignore_index is not None and any((truth == ignore_index).any() for _, truth, _ in rows)
    entries = entries_of(names, colours, sorted(seen - {ignore_index}))
    entries.append(("wrong", hex_colour(WRONG)))
    if ignored:
        entries.append(("ignored", hex_colour(IGNORED)))
    return entries
