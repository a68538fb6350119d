"""Pictures of a diagnosis: how it learns, how large the numbers are in each layer, where the masks fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset
from minisegnet.diagnosis.alignment import Alignment
from minisegnet.diagnosis.examine import Diagnosis
from minisegnet.diagnosis.layers import Scale
from minisegnet.viz.overlay import overlay
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
    page,
    shorten,
    show,
    shown_size,
    text_width,
    write,
)

TOP, LEFT, BETWEEN, RIGHT, FOOT = 46, 62, 84, 30, 50  # pixels
PANEL, TALL = 380, 270
ROW = 15  # height of a layer's row
COLOURS = (BLUE, VERMILION, "#009e73")
LONGEST_LAYERS = 120  # rows


def pictures(diagnosis: Diagnosis, dataset: Dataset) -> dict[str, Figure]:
    """Draw all that there is to see, by name of file."""
    drawn = {}
    if diagnosis.sweep is not None and diagnosis.sweep.losses:
        drawn["learning.png"] = draw_learning(diagnosis)
    if diagnosis.scales:
        drawn["layers.png"] = draw_layers(diagnosis.scales)
    if diagnosis.alignment is not None:
        drawn["masks.png"] = draw_masks(diagnosis, diagnosis.alignment, dataset)
    return drawn


# ---------------------------------------------------------------------------------------------------------
# Learning


def draw_learning(diagnosis: Diagnosis) -> Figure:
    """Draw the loss against the learning rate, and beside it one picture being learned by heart."""
    figure = page(LEFT + PANEL + BETWEEN + PANEL + RIGHT, TOP + TALL + FOOT)
    write(figure, LEFT, 22, "Loss while the learning rate rises, one step each", TITLE)
    write(figure, LEFT + PANEL + BETWEEN, 22, "One picture, learned by heart", TITLE)
    _draw_sweep(axes_at(figure, LEFT, TOP, PANEL, TALL), diagnosis)
    _draw_trials(axes_at(figure, LEFT + PANEL + BETWEEN, TOP, PANEL, TALL), diagnosis)
    return finish(figure)


def _draw_sweep(axes: Axes, diagnosis: Diagnosis) -> None:
    trial, swept = diagnosis.sweep, diagnosis.swept
    assert trial is not None and swept is not None
    losses = np.array(trial.losses)
    _tidy(axes, "learning rate", "loss")
    _logarithmic(axes, trial.rates[0], trial.rates[-1])
    if trial.broke or losses.max() > 50 * max(losses.min(), 1e-6):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, min(losses.max() * 1.08, 3 * max(losses[0], diagnosis.blind or 0)))
    axes.plot(trial.rates[: len(losses)], losses, color=INK, linewidth=1.6)
    if diagnosis.blind:
        axes.axhline(
            diagnosis.blind, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), label="a blind guess"
        )
    for rate, colour, label in (
        (swept.fastest, "#009e73", "falls fastest"),
        (swept.bursts, VERMILION, "blows up"),
        (diagnosis.rate, BLUE, "the rate that was set"),
    ):
        if rate is not None:
            outside = "" if trial.rates[0] <= rate <= trial.rates[-1] else ", outside"
            axes.axvline(rate, color=colour, linewidth=1.4, label=f"{label}: {rate:.2g}{outside}")
    if trial.broke:
        at = trial.rates[len(losses)]
        axes.axvspan(at, trial.rates[-1], color=PALE, label=f"NaN or infinite from {at:.2g} on")
    axes.legend(loc="lower left", fontsize=SMALL, framealpha=0.9, edgecolor="none", labelcolor=INK)


def _draw_trials(axes: Axes, diagnosis: Diagnosis) -> None:
    _tidy(axes, "step", "loss")
    highest = 0.0
    for (rate, trial), colour in zip(diagnosis.trials.items(), COLOURS, strict=False):
        label = f"{rate:.2g}{' (set)' if rate == diagnosis.rate else ''}"
        axes.plot(range(1, len(trial.losses) + 1), trial.losses, color=colour, linewidth=1.6, label=label)
        highest = max(highest, float(np.max(trial.losses, initial=0)))
    start = max([trial.start for trial in diagnosis.trials.values() if trial.losses], default=1.0)
    axes.set_ylim(0, max(min(highest, 2 * max(start, diagnosis.blind or 0)), 1e-6) * 1.05)
    if diagnosis.blind:
        axes.axhline(diagnosis.blind, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    if diagnosis.trials:
        options: dict[str, Any] = {"framealpha": 0.9, "edgecolor": "none", "labelcolor": INK}
        axes.legend(loc="best", fontsize=SMALL, title="learning rate", title_fontsize=SMALL, **options)


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make a logarithmic axis from low to high, with at most seven numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(LogLocator(subs="all", numticks=7))


def _tidy(axes: Axes, x: str, y: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=LINES, linewidth=0.8)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, colors=QUIET, length=3, width=0.6, color=LINES)
    axes.set_xlabel(x, fontsize=NORMAL, color=QUIET)
    axes.set_ylabel(y, fontsize=NORMAL, color=QUIET)


# ---------------------------------------------------------------------------------------------------------
# Layers


def draw_layers(scales: Sequence[Scale]) -> Figure:
    """Draw how large each layer's output is, the gradient that arrives there, and the share of silent channels."""
    scales = list(scales)[:LONGEST_LAYERS]
    names = [f"{shorten(scale.name, 30)}  {scale.kind}" for scale in scales]
    left = 14 + max(text_width(name, SMALL) for name in names)
    panel, tall = 230, ROW * len(scales)
    gap = 24
    figure = page(left + 3 * panel + 2 * gap + RIGHT, TOP + tall + FOOT)
    columns: tuple[tuple[str, str, list[float], str], ...] = (
        ("Output", "root mean square", [scale.output for scale in scales], BLUE),
        ("Gradient at the output", "root mean square", [scale.gradient for scale in scales], VERMILION),
        ("Channels that say nothing", "share", [scale.silent for scale in scales], INK),
    )
    for k, (title, unit, values, colour) in enumerate(columns):
        x = left + k * (panel + gap)
        write(figure, x, 22, title, TITLE)
        axes = axes_at(figure, x, TOP, panel, tall)
        _tidy(axes, unit, "")
        axes.set_ylim(len(scales) - 0.5, -0.5)
        axes.set_yticks([])
        if k < 2:
            _log_bars(axes, np.array(values), colour)
        else:
            axes.barh(range(len(values)), values, height=0.6, color=colour)
            axes.set_xlim(0, 1)
    for k, name in enumerate(names):
        write(figure, left - 8, TOP + (k + 0.5) * ROW, name, SMALL, ha="right")
    return finish(figure)


def _log_bars(axes: Axes, values: Array, colour: str) -> None:
    """Draw dots on a logarithmic axis; what is zero or isn't finite is said in words at the left."""
    good = np.isfinite(values) & (values > 0)
    known = values[good] if good.any() else np.ones(1)
    lowest, highest = np.floor(np.log10(known.min())), np.ceil(np.log10(known.max()))
    _logarithmic(axes, 10 ** (lowest - 0.1), 10 ** (highest + 0.1))
    rows = np.arange(len(values))
    axes.plot(values[good], rows[good], "o-", color=colour, markersize=3.5, linewidth=0.8)
    place = axes.get_yaxis_transform()
    for row in rows[~good]:
        text = "0" if values[row] == 0 else "not finite"
        axes.text(0.01, row, text, transform=place, fontsize=SMALL, va="center", color=VERMILION)


# ---------------------------------------------------------------------------------------------------------
# Masks


def draw_masks(diagnosis: Diagnosis, alignment: Alignment, dataset: Dataset) -> Figure:
    """Draw how well moved masks fit the pictures, and the first pictures with their masks on them."""
    shown = diagnosis.pictures[:2]
    side, step = TALL, TALL + 32
    figure = page(LEFT + side + 110 + len(shown) * step + RIGHT, TOP + side + FOOT + 14)
    write(figure, LEFT, 22, "Agreement of masks moved by so many pixels", TITLE)
    axes = axes_at(figure, LEFT, TOP, side, side)
    reach = alignment.reach
    corners = (-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5)
    image = axes.imshow(alignment.shifts, extent=corners, cmap="viridis", interpolation="nearest", vmin=0.5)
    for spine in axes.spines.values():
        spine.set(color=LINES, linewidth=0.6)
    axes.tick_params(labelsize=SMALL, colors=QUIET, length=3, width=0.6, color=LINES)
    axes.set_xlabel("right", fontsize=NORMAL, color=QUIET)
    axes.set_ylabel("down", fontsize=NORMAL, color=QUIET)
    rings: dict[str, Any] = {"markerfacecolor": "none", "markersize": 9, "linestyle": "none"}
    axes.plot([0], [0], "s", markeredgecolor="white", **rings)
    axes.plot([alignment.shift[1]], [alignment.shift[0]], "o", markeredgecolor=VERMILION, **rings)
    bar = axes_at(figure, LEFT + side + 12, TOP, 10, side)
    figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=SMALL, colors=QUIET, length=3, width=0.6)
    text = (
        f"square: as they are ({alignment.own:.2f}); circle: the best ({alignment.shifted:.2f}); chance: 0.50"
    )
    write(figure, LEFT, TOP + side + 50, text, SMALL, color=QUIET)
    for k, picture in enumerate(shown):
        known = np.where(picture.labels < len(dataset.class_names), picture.labels, 255)
        ignored = 255 if len(dataset.class_names) <= 255 else None
        drawn = overlay(picture.image, known, dataset.palette, alpha=0.25, ignore_index=ignored)
        width, height = shown_size(picture.labels.shape, side, side)
        x = LEFT + side + 110 + k * step
        show(axes_at(figure, x, TOP, width, height), drawn, width)
        write(figure, x, 22, shorten(picture.name, 34), NORMAL, color=QUIET)
    return finish(figure)
