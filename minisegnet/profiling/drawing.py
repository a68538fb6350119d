"""A picture of a profile: bars for the time of each layer, and the layers under the roofline."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from minisegnet.profiling.measure import DIRECTIONS, Part, Profile
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
    text_width,
    write,
)

TOP, FOOT, RIGHT, ROW = 56, 50, 24, 15  # pixels
BARS, ROOF, GAP, LOWEST = 330, 430, 84, 330
MOST = 60  # rows
COLOURS = {"forward": BLUE, "backward": VERMILION}


def draw_profile(profile: Profile, title: str) -> Figure:
    """Draw the time of each part, forward and backward, and every part under the roofline."""
    parts = profile.parts
    if len(parts) > MOST:  # the slowest, in their order
        limit = sorted((part.total for part in parts), reverse=True)[MOST - 1]
        parts = [part for part in parts if part.total >= limit]
    names = [f"{shorten(part.owner.title, 34)}  {shorten(part.owner.kind, 16)}" for part in parts]
    left = 14 + max(text_width(name, SMALL) for name in names)
    tall = ROW * len(parts)
    height = max(tall, LOWEST)
    figure = page(left + BARS + GAP + ROOF + RIGHT, TOP + height + FOOT)
    write(figure, left, 22, shorten(title, 44), TITLE)
    write(figure, left + BARS + GAP, 22, "Under the roofline", TITLE)
    _draw_bars(axes_at(figure, left, TOP, BARS, tall), parts)
    for k, name in enumerate(names):
        write(figure, left - 8, TOP + (k + 0.5) * ROW, name, SMALL, ha="right")
    _draw_roofline(axes_at(figure, left + BARS + GAP, TOP, ROOF, LOWEST), profile)
    return finish(figure)


def _draw_bars(axes: Axes, parts: Sequence[Part]) -> None:
    rows, before = np.arange(len(parts)), np.zeros(len(parts))
    for direction in DIRECTIONS:
        values = np.array([1e3 * part.seconds[direction] for part in parts])
        axes.barh(rows, values, left=before, height=0.66, color=COLOURS[direction], label=direction)
        before = before + values
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks([])
    _tidy(axes, "milliseconds of a step", "")
    axes.legend(loc="best", fontsize=SMALL, framealpha=0.9, edgecolor="none", labelcolor=INK)


def _draw_roofline(axes: Axes, profile: Profile) -> None:
    machine = profile.machine
    points = [
        (work.intensity, work.flops / part.seconds[d] / 1e9, part.seconds[d], d)
        for part in profile.parts
        for d, work in part.work.items()
        if work.flops and work.bytes and part.seconds[d] > 0
    ]
    xs, ys = [x for x, *_ in points], [y for _, y, *_ in points]
    low, high = min([*xs, machine.ridge]) / 2, max([*xs, machine.ridge]) * 2
    x = np.geomspace(low, high, 200)
    axes.set_xscale("log")
    axes.set_yscale("log")
    roof = np.array([machine.attainable(float(value)) for value in x]) / 1e9
    axes.plot(x, roof, color=INK, linewidth=1.6)
    axes.set_xlim(low, high)
    axes.set_ylim(min([*ys, machine.flops / 1e9 / 100]) / 2, max([*ys, machine.flops / 1e9]) * 2)
    longest = max((seconds for *_, seconds, _ in points), default=1.0)
    for direction in DIRECTIONS:
        chosen = [(a, b, 6 + 90 * s / longest) for a, b, s, d in points if d == direction]
        if chosen:
            a, b, sizes = zip(*chosen, strict=True)
            axes.scatter(a, b, s=sizes, color=COLOURS[direction], alpha=0.65, linewidths=0)
    _tidy(axes, "operations for each byte", "10⁹ operations a second")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    bandwidth, peak = machine.bandwidth / 1e9, machine.flops / 1e9
    told = f"memory: {bandwidth:.1f} GB a second    matrix product: {peak:.0f} · 10⁹ operations a second"
    axes.text(0, 1.02, told, transform=axes.transAxes, fontsize=SMALL, color=QUIET, va="bottom")
    for direction in DIRECTIONS:  # dots of one size for the legend
        axes.scatter([], [], s=30, color=COLOURS[direction], linewidths=0, label=direction)
    axes.legend(loc="lower right", fontsize=SMALL, framealpha=0.9, edgecolor="none", labelcolor=INK)


def _tidy(axes: Axes, x: str, y: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=LINES, linewidth=0.8)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, colors=QUIET, length=3, width=0.6, color=LINES)
    axes.set_xlabel(x, fontsize=NORMAL, color=QUIET)
    axes.set_ylabel(y, fontsize=NORMAL, color=QUIET)
