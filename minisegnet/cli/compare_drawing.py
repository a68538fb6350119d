"""Draw what compare found: a column for each kind of thing that ops do, and one for the time that they took."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch, Rectangle

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.cli.compare_cases import Measured
from minisegnet.cli.compare_inputs import Picture, boxes, fade, proposals, quarter
from minisegnet.data.synthetic.shapes import CLASS_NAMES, PALETTE
from minisegnet.viz import colourise

BACKEND_COLOURS = {"reference": "#8c8c8c", "numpy": "#56b4e9", "numba": "#d55e00", "cupy": "#009e73"}
INK, QUIET, LINES = "#222222", "#5a5a5a", "#d0d0d0"

Results = dict[str, Measured]


class Timed(NamedTuple):
    """One backend's results and the size of the picture that it was given."""

    size: tuple[int, int]
    results: Results


class Panel(NamedTuple):
    """One small picture: its title (an op's name where there is one), one line that explains it, its content."""

    title: str
    text: str
    paint: Callable[[Axes], Any]


def draw(picture: Picture, runs: dict[str, Timed]) -> Figure:
    """Draw numpy's results, and every backend's time."""
    figure = Figure(figsize=(16.4, 11.2), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        4, 6, left=0.012, right=0.988, top=0.845, bottom=0.04, wspace=0.08, hspace=0.33,
        width_ratios=(1, 1, 1, 1, 1, 1.12),
    )  # fmt: skip
    figure.text(0.012, 0.955, "minisegnet: one picture through every op", size=22, weight="bold", color=INK)
    figure.text(
        0.012, 0.927,
        "Every kernel is written by hand, forward and backward. Read each column from top to bottom.",
        size=13, color=QUIET,
    )  # fmt: skip
    results = runs["numpy"].results
    columns = {
        "Look": _look(picture, results),
        "Shrink": _shrink(picture, results),
        "Grow": _grow(picture, results),
        "Cut out": _cut_out(picture, results),
        "Decide": _decide(picture, results),
    }
    for column, (title, panels) in enumerate(columns.items()):
        for row, panel in enumerate(panels):
            axes = figure.add_subplot(grid[row, column])
            if row == 0:
                _column_title(axes, title)
            axes.set_anchor("NW")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color(LINES)
            panel.paint(axes)
            axes.set_title(
                panel.title, loc="left", size=11.5, weight="bold", color=INK, family="monospace", pad=4
            )
            axes.set_xlabel(panel.text, loc="left", size=10, color=QUIET, labelpad=3)
    _draw_times(figure, grid, runs)
    return figure


def _column_title(axes: Axes, title: str) -> None:
    axes.annotate(title, (0, 1.2), xycoords="axes fraction", size=16, weight="bold", color="#0072b2")


# ---------------------------------------------------------------------------------------------------------
# Ways to show an array


def _photo(image: Array) -> Callable[[Axes], Any]:
    """Show (3, H, W) as colours."""
    return lambda axes: axes.imshow(np.clip(image, 0, 1).transpose(1, 2, 0), interpolation="nearest")


def _map(values: Array, colours: str, low: float, high: float) -> Callable[[Axes], Any]:
    """Show (H, W) numbers."""
    return lambda axes: axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")


def _labels(labels: Array) -> Callable[[Axes], Any]:
    """Show (H, W) classes, each in its colour."""
    return lambda axes: axes.imshow(colourise(labels, PALETTE), interpolation="nearest")


def _rectangles(axes: Axes, corners: Array, **style: Any) -> None:
    for x1, y1, x2, y2 in corners:
        axes.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1 + 1, y2 - y1 + 1, fill=False, **style))


def _side_by_side(parts: Array) -> Array:
    """Lay up to six maps (R, 3, h, w) out in two rows with white lines between them."""
    R, C, h, w = min(len(parts), 6), *parts.shape[1:]
    sheet = np.ones((C, 2 * h + 1, 3 * w + 2), parts.dtype)
    for r in range(R):
        i, j = divmod(r, 3)
        sheet[:, i * (h + 1) : i * (h + 1) + h, j * (w + 1) : j * (w + 1) + w] = parts[r]
    return sheet


# ---------------------------------------------------------------------------------------------------------
# The columns


def _look(picture: Picture, results: Results) -> list[Panel]:
    H, W = picture.labels.shape
    edges = results["conv2d"].outputs[0][0]  # (4, H, W), the first two: changes downwards and to the right

    faded, normalised = fade(picture.image), results["batch_norm"].outputs[0][0]
    half_normalised = np.where(np.arange(W) < W // 2, faded, 0.5 + 0.2 * normalised)  # (3, H, W)

    def paint_labels(axes: Axes) -> None:
        _labels(picture.labels)(axes)
        colours = np.array(PALETTE) / 255  # (C, 3)
        axes.legend(
            handles=[Patch(color=c, label=name) for c, name in zip(colours, CLASS_NAMES, strict=True)],
            loc="upper left", bbox_to_anchor=(-0.03, -0.01), ncols=len(colours), fontsize=7.4, frameon=False,
            handlelength=0.65, handletextpad=0.2, columnspacing=0.3, labelcolor=QUIET,
        )  # fmt: skip

    return [
        Panel("input", f"{H} x {W} pixels in three channels", _photo(picture.image)),
        Panel("labels", "", paint_labels),
        Panel("conv2d", "two 3 x 3 filters see edges", _map(np.hypot(edges[0], edges[1]), "magma", 0, 0.55)),
        Panel("batch_norm", "left: faded; right: mean 0, spread 1", _photo(half_normalised)),
    ]


def _shrink(picture: Picture, results: Results) -> list[Panel]:
    W = picture.labels.shape[1]
    pooled, indices = (a[0] for a in results["max_pool2d"].outputs)  # (3, H/4, W/4)

    def paint_places(axes: Axes) -> None:
        axes.imshow(picture.image[0], cmap="gray", vmin=-0.1, vmax=1.15, interpolation="nearest")
        rows, columns = np.divmod(indices[0].ravel(), W)
        axes.scatter(columns, rows, s=5, color="#d55e00", linewidths=0)

    return [
        Panel("max_pool2d", "the largest of each 4 x 4 block ...", _photo(pooled)),
        Panel("indices", "... and where it was (red channel)", paint_places),
        Panel(
            "max_unpool2d", "each maximum back in its place", _photo(results["max_unpool2d"].outputs[0][0])
        ),
        Panel("avg_pool2d", "the mean of each 8 x 8 block", _photo(results["avg_pool2d"].outputs[0][0])),
    ]


def _grow(picture: Picture, results: Results) -> list[Panel]:
    small = quarter(picture.image[None])[0]  # (3, H/4, W/4)
    h, w = small.shape[1:]
    nearest, bilinear, painted = (
        results[op].outputs[0][0] for op in ("resize_nearest", "resize_bilinear", "conv_transpose2d")
    )
    return [
        Panel("small input", f"{h} x {w} pixels, made larger below", _photo(small)),
        Panel("resize_nearest", "copies the nearest pixel", _photo(nearest)),
        Panel("resize_bilinear", "blends the four nearest pixels", _photo(bilinear)),
        Panel("conv_transpose2d", "paints overlapping 8 x 8 filters", _photo(painted)),
    ]


def _cut_out(picture: Picture, results: Results) -> list[Panel]:
    H, W = picture.labels.shape
    guesses, _ = proposals(picture)
    kept = guesses[results["nms"].outputs[0]]

    def paint_boxes(axes: Axes) -> None:
        _photo(picture.image * 0.45 + 0.55)(axes)
        _rectangles(axes, guesses, color=QUIET, lw=0.6)
        _rectangles(axes, kept, color="#d55e00", lw=2)
        axes.set_xlim(-0.8, W - 0.5)
        axes.set_ylim(H - 0.5, -0.5)

    def paint_padded(axes: Axes) -> None:
        _photo(results["pad2d"].outputs[0][0])(axes)
        _rectangles(axes, np.array([[W // 4, H // 4, W // 4 + W - 1, H // 4 + H - 1]]), color="white", lw=2)

    regions = [_side_by_side(results[op].outputs[0]) for op in ("roi_pool", "roi_align")]
    shapes = min(len(boxes(picture)), 6)
    return [
        Panel("nms", f"of {len(guesses)} guessed boxes {len(kept)} stay", paint_boxes),
        Panel("roi_pool", f"{shapes} boxes: the largest of 14 x 12 bins", _photo(regions[0])),
        Panel("roi_align", "the same, blended between pixels", _photo(regions[1])),
        Panel("pad2d", "mirrored at its edges", paint_padded),
    ]


def _decide(picture: Picture, results: Results) -> list[Panel]:
    probs = results["softmax"].outputs[0]  # (2, C, H, W), for the picture and its mirror image
    loss, loss_probs = results["softmax_cross_entropy"].outputs
    labels = np.stack([picture.labels, picture.labels[:, ::-1]])
    with ops.use_backend("numpy"):
        gradient = ops.softmax_cross_entropy_backward(
            np.ones_like(loss), loss_probs, labels, reduction="none"
        )
    guess = probs[0].argmax(axis=0)  # (H, W)
    of_truth = np.take_along_axis(probs[0], picture.labels[None], axis=0)[0]  # (H, W)
    shown = 1 + int(
        np.bincount(picture.labels.ravel(), minlength=2)[1:].argmax()
    )  # the largest class but ground
    right = round(100 * float((guess == picture.labels).mean()))
    return [
        Panel("by colour alone", f"{right} % of the pixels are right", _labels(guess)),
        Panel("softmax", "probability of the right class", _map(of_truth, "cividis", 0, 1)),
        Panel("softmax_cross_entropy", "bright: wrong, and sure of it", _map(loss[0], "magma", 0, 3)),
        Panel(
            "its gradient",
            f'"{CLASS_NAMES[shown]}": raise (blue), lower (red)',
            _map(gradient[0, shown], "RdBu_r", -1, 1),
        ),
    ]


# ---------------------------------------------------------------------------------------------------------
# Time


def _draw_times(figure: Figure, grid: GridSpec, runs: dict[str, Timed]) -> None:
    inner = grid[:, 5].subgridspec(4, 2, width_ratios=(0.8, 1), wspace=0, hspace=0.42)
    axes = figure.add_subplot(inner[0, 1])
    axes.annotate("Time", (-0.8, 1.2), xycoords="axes fraction", size=16, weight="bold", color="#0072b2")
    _bars(axes, runs)
    _dots(figure.add_subplot(inner[1:, 1]), runs)


def _seconds(m: Measured) -> float:
    return m.forward + (m.backward or 0.0)


def _plain(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINES)
    axes.tick_params(axis="x", labelsize=8.5, colors=QUIET, length=2)
    axes.tick_params(axis="y", labelsize=8.5, colors=INK, length=0)


def _bars(axes: Axes, runs: dict[str, Timed]) -> None:
    """Compare the backends by all ops' time for a thousand pixels (their pictures differ in size)."""
    totals = {
        name: 1e6 * sum(_seconds(m) for m in run.results.values()) / (run.size[0] * run.size[1])
        for name, run in runs.items()
    }
    names = sorted(totals, key=lambda name: totals[name])
    bars = axes.barh(names, [totals[n] for n in names], color=[_colour(n) for n in names], height=0.62)
    axes.bar_label(bars, [_duration(totals[n]) for n in names], padding=3, size=9, color=INK)
    axes.set_xscale("log")
    axes.set_xlim(min(totals.values()) / 4, max(totals.values()) * 20)
    axes.set_xticks([])
    axes.minorticks_off()
    _plain(axes)
    axes.set_title(
        "per backend", loc="left", size=11.5, weight="bold", color=INK, family="monospace", pad=4, x=-0.8
    )
    axes.annotate(
        "all ops, for 1000 pixels; log scale", (-0.8, -0.13), xycoords="axes fraction", size=10, color=QUIET
    )


def _dots(axes: Axes, runs: dict[str, Timed]) -> None:
    """Show each op's time on each backend that had the whole picture."""
    whole = {name: run for name, run in runs.items() if run.size == runs["numpy"].size}
    names = sorted(runs["numpy"].results, key=lambda op: _seconds(runs["numpy"].results[op]))
    times = {b: [1e3 * _seconds(run.results[op]) for op in names] for b, run in whole.items()}
    places = range(len(names))
    low, high = np.min(list(times.values()), axis=0), np.max(list(times.values()), axis=0)
    axes.hlines(places, low, high, color=LINES, lw=2, zorder=1)
    for backend, values in times.items():
        axes.scatter(values, places, s=26, color=_colour(backend), label=backend, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_yticks(list(places), names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    _plain(axes)
    axes.set_title(
        "per op", loc="left", size=11.5, weight="bold", color=INK, family="monospace", pad=4, x=-0.8
    )
    axes.legend(
        fontsize=9,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.03, 0.995),
        ncols=3,
        handletextpad=0,
        columnspacing=0.7,
    )
    axes.annotate("ms, forward + backward", (-0.8, -0.065), xycoords="axes fraction", size=10, color=QUIET)


def _duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{0 if milliseconds >= 10 else 1}f} ms"


def _colour(backend: str) -> str:
    return BACKEND_COLOURS.get(backend, "#cc79a7")
