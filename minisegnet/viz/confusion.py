"""The confusion matrix as a picture: which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from minisegnet.arrays import Array
from minisegnet.metrics import Report
from minisegnet.viz.colours import class_list
from minisegnet.viz.fonts import readable_names
from minisegnet.viz.page import (
    BLUE,
    INK,
    NORMAL,
    QUIET,
    SMALL,
    TITLE,
    VERMILION,
    axes_at,
    finish,
    page,
    shorten,
    text_width,
    write,
)

ABSENT = (0.9, 0.9, 0.9)
MARGIN, HEAD = 14, 54  # pixels


def confusion(confusion_matrix: Array, class_names: Sequence[str] | None = None) -> Figure:
    """Draw a confusion matrix: of each class's pixels, how many per cent were given which class.

    Each row adds up to 100 %. What is right, the diagonal, is blue; what is wrong is vermilion; the stronger the
    more (vermilion by the square root, so that a few per cent can be seen). Empty cells hold no pixel at all. A class
    without a pixel in the truth has a grey row.

    Parameters
    ----------
    confusion_matrix
        (C, C), integers: rows are the truth, columns the prediction.
    class_names
        One for each class; None: their numbers.

    Examples
    --------
    >>> figure = confusion(np.array([[9, 1], [0, 5]]), ["ground", "cell"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['90.0', '10.0', '100']
    """
    report = Report.of(confusion_matrix)
    C = len(report.support)
    names = class_list(report.class_names if class_names is None else class_names, C, "confusion")
    names = tuple(shorten(name, 20) for name in readable_names(names))
    cell = 52 if C <= 8 else 40 if C <= 14 else 27
    longest = max(text_width(name) for name in names)
    upright = longest < cell - 4  # column names that fit stand level; others lean
    left = MARGIN + 22 + longest
    top = HEAD + (14 if upright else longest * 0.72 + 12)
    pixels = [f"{count:,}" for count in report.support.tolist()]
    right = max(text_width(text, SMALL) for text in [*pixels, "pixels"]) + 18
    lean = 0 if upright else max(0, longest * 0.72 - right)
    figure = page(max(left + C * cell + right + lean + MARGIN, 360), top + C * cell + MARGIN)
    write(figure, MARGIN, 18, "Confusion: % of each class's pixels", TITLE)
    write(figure, left + C * cell / 2, 40, "predicted", NORMAL, ha="center", color=QUIET)
    write(figure, MARGIN + 4, top + C * cell / 2, "truth", NORMAL, rotation=90, ha="center", color=QUIET)
    for k, name in enumerate(names):
        middle = (k + 0.5) * cell
        ink = INK if report.support[k] else QUIET
        write(figure, left - 7, top + middle, name, NORMAL, ha="right", color=ink)
        write(figure, left + C * cell + 9, top + middle, pixels[k], SMALL, color=QUIET)
        if upright:
            write(figure, left + middle, top - 10, name, NORMAL, ha="center")
        else:
            options = {"rotation": 45, "rotation_mode": "anchor", "va": "baseline"}
            write(figure, left + middle + 2, top - 5, name, NORMAL, **options)
    if upright:
        write(figure, left + C * cell + 9, top - 10, "pixels", SMALL, color=QUIET)
    _draw(figure, report, left, top, cell)
    return finish(figure)


def _draw(figure: Figure, report: Report, left: float, top: float, cell: int) -> None:
    C = len(report.support)
    share = report.confusion / np.maximum(report.support, 1)[:, None]  # (C, C)
    axes = axes_at(figure, left, top, C * cell, C * cell)
    axes.imshow(_colours(share, report.support), interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for k in range(C + 1):  # white lines between the cells
        axes.axhline(k - 0.5, color="white", linewidth=1.2)
        axes.axvline(k - 0.5, color="white", linewidth=1.2)
    for i, j in zip(*np.nonzero(report.confusion), strict=True):
        ink = "white" if share[i, j] > (0.55 if i == j else 0.6) else INK
        text = _percent(share[i, j], fine=cell >= 40)
        size = NORMAL if cell >= 40 else 6.0
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=ink)


def _colours(share: Array, support: Array) -> Array:  # (C, C, 3)
    right = LinearSegmentedColormap.from_list("right", ["#f4f8fb", BLUE])(share)[:, :, :3]
    wrong = LinearSegmentedColormap.from_list("wrong", ["#faf6f3", VERMILION])(np.sqrt(share))[:, :, :3]
    colours: Array = np.where(np.eye(len(share), dtype=bool)[:, :, None], right, wrong)
    colours[support == 0] = ABSENT
    return colours


def _percent(share: float, *, fine: bool) -> str:
    """Write a share in per cent; one that isn't 0 or 100 is not rounded to that.

    >>> [_percent(share, fine=True) for share in (1.0, 0.9999, 0.5, 0.0001)]
    ['100', '>99.9', '50.0', '<0.1']
    """
    smallest, digits = (0.1, 1) if fine else (1, 0)
    percent = 100 * share
    if percent == 100:
        return "100"
    if percent > 100 - smallest / 2:
        return f">{100 - smallest:.{digits}f}"
    return f"<{smallest}" if percent < smallest / 2 else f"{percent:.{digits}f}"
