"""How training went: the loss step by step, and the IoU of every class at each evaluation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from minisegnet.arrays import Array
from minisegnet.data.palettes import default_palette
from minisegnet.viz.colours import Palette, as_palette
from minisegnet.viz.fonts import readable_names
from minisegnet.viz.page import (
    BLUE,
    INK,
    LINES,
    NORMAL,
    PALE,
    QUIET,
    SMALL,
    TITLE,
    VERMILION,
    axes_at,
    finish,
    hex_colour,
    line,
    page,
    shorten,
    text_width,
    write,
)

Row = Mapping[str, Any]

TOP, BOTTOM, LEFT, BETWEEN, PANEL = 44, 46, 58, 64, 350  # pixels
LABEL = 13.5  # height of a class's label
FAINT, GREY = "#bcd9ec", "#8c8c8c"
MOST_POINTS = 1500  # of a thin line: more than that are pixels on top of each other
MEDIANS = 300  # places at which the running median is drawn
FAR = 3  # a loss above so many times what is usual leaves the panel
MUCH = 50  # the running median may fall from so many times what 90 % of the training losses don't exceed


def curves(steps: Sequence[Row], evaluations: Sequence[Row], *, palette: Palette | None = None) -> Figure:
    """Draw the loss and the IoU over the course of training.

    Left: the training loss of every step, thin; its running median, thick, which a few bad batches don't move; and
    the validation loss. Right: the mean IoU, thick, and the IoU of each class, thin; the best mean is ringed.

    Parameters
    ----------
    steps
        For each step a dictionary with ``step`` and ``loss``; other entries are not drawn.
    evaluations
        For each evaluation one with ``step``, and where they exist ``val_loss``, ``miou`` and ``iou_<class>``.
    palette
        A colour for each class, in the order of the ``iou_<class>`` entries; None: the default palette. Light
        colours are darkened, to be seen as thin lines; black is the mean's, and a black class's line is grey.

    Notes
    -----
    Missing values, None and nan leave gaps. A few losses that lie far above all others (the first validation with
    batch normalisation is often such a one) would press the rest together: the panel ends below them, and a triangle
    at its upper edge says how high the highest of each line is.

    Examples
    --------
    >>> steps = [{"step": 1, "loss": 1.2}, {"step": 2, "loss": 0.9}]
    >>> figure = curves(steps, [{"step": 2, "val_loss": 1.0, "miou": 0.5, "iou_cell": 0.5}])
    >>> [text.get_text() for text in figure.texts]
    ['Loss', 'Mean IoU: best 0.500 at step 2', 'mean  0.500', 'cell  0.500']
    """
    classes = list(dict.fromkeys(key for row in evaluations for key in row if key.startswith("iou_")))
    names = [shorten(name, 20) for name in readable_names([key.removeprefix("iou_") for key in classes])]
    colours = _line_colours(palette, len(classes))
    panel = max(250.0, (len(classes) + 1) * LABEL)
    longest = max(text_width(f"{name}  0.000", SMALL) for name in ["mean", *names])
    width = LEFT + PANEL + BETWEEN + PANEL + 26 + longest
    figure = page(width, TOP + panel + BOTTOM)
    losses, ious = (axes_at(figure, x, TOP, PANEL, panel) for x in (LEFT, LEFT + PANEL + BETWEEN))
    last = max([1.0, *_column(steps, "step"), *_column(evaluations, "step")])
    for axes in (losses, ious):
        _tidy(axes, last)
    write(figure, LEFT, 22, "Loss", TITLE)
    _draw_losses(losses, steps, evaluations)
    write(figure, LEFT + PANEL + BETWEEN, 22, _draw_mean(ious, evaluations), TITLE)
    ends = [_end(_column(evaluations, "miou"))]
    for key, colour in zip(classes, colours, strict=True):
        values = _column(evaluations, key)
        ious.plot(_column(evaluations, "step"), values, color=colour, linewidth=0.9, **_dots(values, 2))
        ends.append(_end(values))
    right = LEFT + PANEL + BETWEEN + PANEL
    _label_lines(figure, ["mean", *names], [INK, *colours], ends, right, panel)
    return finish(figure)


# ---------------------------------------------------------------------------------------------------------
# The two panels


def _draw_losses(axes: Axes, steps: Sequence[Row], evaluations: Sequence[Row]) -> None:
    x, loss = _column(steps, "step"), _column(steps, "loss")
    validation = _column(evaluations, "val_loss")
    middle_x, middle = running_median(x, loss)
    if np.isfinite(loss).any():
        axes.plot(
            *_thinned(x, loss), color=FAINT, linewidth=0.6, label="training, each step", **_dots(loss, 2)
        )
        axes.plot(
            middle_x, middle, color=BLUE, linewidth=1.8, label="training, running median", **_dots(middle, 2)
        )
    if np.isfinite(validation).any():
        at = _column(evaluations, "step")
        axes.plot(at, validation, color=VERMILION, linewidth=1.4, label="validation", **_dots(validation, 3))
    if not axes.lines:
        _say(axes, "no step yet" if not len(loss) else "no loss is a number")
        return
    low, high, far = _loss_range(loss, middle, validation)
    axes.set_ylim(low, high)
    _mark_far(axes, [(x, loss, BLUE), (_column(evaluations, "step"), validation, VERMILION)], far)
    options = {"framealpha": 0.8, "edgecolor": "none", "labelcolor": INK, "handlelength": 1.6}
    # Losses fall, so the corner is free, unless there are but a few points.
    axes.legend(loc="best" if len(loss) <= 25 else "upper right", fontsize=SMALL, **options)


def _draw_mean(axes: Axes, evaluations: Sequence[Row]) -> str:
    """Draw the mean and ring its best; return the panel's title."""
    axes.set_ylim(0, 1.0)
    step, miou = _column(evaluations, "step"), _column(evaluations, "miou")
    if not np.isfinite(miou).any():
        _say(axes, "no evaluation yet" if not len(miou) else "no mean IoU is a number")
        return "Mean IoU"
    axes.plot(step, miou, color=INK, linewidth=2.2, zorder=3, **_dots(miou, 3))
    k = int(np.nanargmax(miou))
    ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": INK}
    axes.plot(step[k : k + 1], miou[k : k + 1], "o", zorder=4, clip_on=False, **ring)
    return f"Mean IoU: best {miou[k]:.3f} at step {step[k]:,.0f}"


def _tidy(axes: Axes, last: float) -> None:
    axes.set_xlim(0, last * 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=LINES, linewidth=0.8)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, colors=QUIET, length=3, width=0.6, color=LINES)
    axes.set_xlabel("step", fontsize=NORMAL, color=QUIET)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _loss_range(loss: Array, middle: Array, validation: Array) -> tuple[float, float, float]:
    """From 0 to what the thick lines need, without what is far above the rest; and above what a loss is that.

    Of the training loss, 99 of 100 steps are to be seen: other bad batches may leave the panel.

    >>> low, high, far = _loss_range(np.ones(9), np.ones(9), np.array([1583.9, 2.0, 1.5, 1.0]))
    >>> low, high, far
    (0.0, 2.1, 6.0)
    """
    loss, middle, validation = (values[np.isfinite(values)] for values in (loss, middle, validation))
    lines = np.concatenate([middle, validation])
    low = min(0.0, float(lines.min()))
    usual: list[float] = []
    if loss.size:  # its beginning may be high and short, and is worth seeing
        sane = MUCH * _most(loss, 90)
        usual += [min(sane, float(np.percentile(loss, 99))), *middle[middle <= sane].tolist()]
    if len(validation) > 1 or not loss.size:  # a single value doesn't say what is usual
        usual.append(_most(validation, 80))
    far = low + FAR * (max(usual) - low) if max(usual) > low else math.inf
    top: float = max([*usual, *lines[lines <= far].tolist()])
    top = (top if top > low else low + 1) * 1.05
    return low * 1.05, top, max(top, far)


def _most(values: Array, percent: float) -> float:
    """Return the value that so many per cent don't exceed, one of these values itself.

    Between the neighbours that an average would be made of may lie the one that is far off.
    """
    return float(np.percentile(values, percent, method="lower"))


def _mark_far(axes: Axes, lines: Sequence[tuple[Array, Array, str]], far: float) -> None:
    """Put a triangle at the upper edge where a line is highest, if that is far above, with the value."""
    found = []  # step, value, colour
    for steps, values, colour in lines:
        higher = np.flatnonzero(np.isfinite(values) & (values > far))
        if higher.size:
            k = int(higher[np.argmax(values[higher])])
            found.append((float(steps[k]), float(values[k]), colour))
    edge = axes.get_xaxis_transform()  # x as the lines', y from 0 to 1
    texts = [f"{y:,.4g}" for _, y, _ in found]
    width = axes.get_xlim()[1]
    gap = max([text_width(text, SMALL) for text in texts], default=0) * width / PANEL
    places = spread([x for x, _, _ in found], gap, 0.04 * width, 0.96 * width)
    options: dict[str, Any] = {"transform": edge, "clip_on": False, "zorder": 5}
    for (x, _, colour), text, place in zip(found, texts, places, strict=True):
        axes.plot([x], [0.988], "^", color=colour, markersize=4.5, **options)
        axes.text(place, 1.012, text, ha="center", va="bottom", fontsize=SMALL, color=colour, **options)


def _say(axes: Axes, text: str) -> None:
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=NORMAL, color=QUIET
    )


# ---------------------------------------------------------------------------------------------------------
# Lines


def _column(rows: Sequence[Row], key: str) -> Array:
    """Return one entry of every row as floats; what is missing is nan."""
    values = []
    for row in rows:
        value = row.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | np.number)):
            raise TypeError(f"curves: {key} is {value!r} in one row; expected a number or None")
        values.append(math.nan if value is None else float(value))
    return np.array(values, np.float64)


def _dots(values: Array, size: float) -> dict[str, Any]:
    """Mark the points where there are few, so that a single one can be seen."""
    return {"marker": "o", "markersize": size} if len(values) <= 25 else {}


def running_median(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the median of a moving window, a twentieth of all values wide; it leaves out what isn't finite.

    >>> x, y = running_median(np.arange(60.0), np.where(np.arange(60) == 30, 99.0, 1.0))
    >>> bool((y == 1).all())
    True
    """
    finite = np.isfinite(y) & np.isfinite(x)
    x, y = x[finite], y[finite]
    half = max(1, len(y) // 40)
    centres = np.unique(np.linspace(0, max(len(y) - 1, 0), min(len(y), MEDIANS)).astype(int))
    median = []
    for k in centres:
        reach = max(
            min(half, k, len(y) - 1 - k), half // 4
        )  # at the ends the window shrinks, to stay centred
        median.append(np.median(y[max(k - reach, 0) : k + reach + 1]))
    return x[centres], np.array(median, np.float64)


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Keep of a very long line the smallest and the largest value of each short stretch."""
    length = -(-len(y) // (MOST_POINTS // 2))
    if length <= 2:
        return x, y
    keep: list[int] = []
    for start in range(0, len(y), length):
        stretch = y[start : start + length]
        if np.isfinite(stretch).any():
            keep += sorted({start + int(np.nanargmin(stretch)), start + int(np.nanargmax(stretch))})
    return x[keep], y[keep]


# ---------------------------------------------------------------------------------------------------------
# Labels at the ends of the lines


def _end(values: Array) -> float:
    """Return the last number."""
    numbers = values[np.isfinite(values)]
    return float(numbers[-1]) if numbers.size else math.nan


def _label_lines(
    figure: Figure, names: list[str], colours: list[str], ends: list[float], right: float, panel: float
) -> None:
    """Write each line's name and last value beside its end, moved apart where they would touch."""
    known = [k for k in range(len(names)) if math.isfinite(ends[k])]
    heights = [TOP + panel * (1 - min(max(ends[k], 0), 1)) for k in known]
    places = spread(heights, LABEL, TOP, TOP + panel)
    for k, height, place in zip(known, heights, places, strict=True):
        line(figure, [right + 2, right + 14], [height, place], color=colours[k], linewidth=0.6)
        weight = "bold" if k == 0 else "normal"
        text = f"{names[k]}  {ends[k]:.3f}"
        write(figure, right + 18, place, text, SMALL, color=colours[k], fontweight=weight)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move numbers as little as needed to be at least ``gap`` apart, within low..high; the order stays.

    Neighbours that are too near form a block, which is put in the middle of where they wanted to be; blocks that
    then touch are joined.

    >>> spread([5, 5, 20], 2, 0, 30)
    [4.0, 6.0, 20.0]
    """
    order = sorted(range(len(places)), key=lambda k: places[k])
    blocks: list[list[float]] = []  # of wishes, each less the gaps above it
    for rank, k in enumerate(order):
        blocks.append([places[k] - rank * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    middles = [_mean(block) for block in blocks for _ in block]
    most = max(low, high - (len(places) - 1) * gap)
    result = [0.0] * len(places)
    for rank, k in enumerate(order):
        result[k] = min(max(middles[rank], low), most) + rank * gap
    return result


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _line_colours(palette: Palette | None, C: int) -> list[str]:
    """Return the palette's colours, darker where too light for a thin line on white, and grey instead of black."""
    if not C:
        return []
    colours = as_palette(default_palette(C) if palette is None else palette, "curves")
    if len(colours) < C:
        raise ValueError(f"curves: palette has {len(colours)} colours; expected {C}, one for each class")
    found = []
    for red, green, blue in colours[:C].astype(float).tolist():
        if max(red, green, blue) < 40:  # black is the mean's
            found.append(GREY)
            continue
        brightness = 0.299 * red + 0.587 * green + 0.114 * blue
        darker = min(1.0, 135 / max(brightness, 1))
        found.append(hex_colour([round(part * darker) for part in (red, green, blue)]))
    return found
