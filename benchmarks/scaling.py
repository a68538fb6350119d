"""What ``python -m benchmarks scaling`` does: time of a U-Net step over pixels and over the batch, on 1 and 2 threads.

A step's work grows in proportion to the pixels. If its time does, too, a straight line fits; what lies above it has
left a cache or waits for memory. At each size the gradients of one and of all threads are compared, bit by bit.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import contenders, machine, measure, networks, run
from benchmarks.report import three_digits, where

Record = dict[str, Any]

SIDES, BATCH_OF_SIDES = (64, 96, 128, 160, 192, 224, 256), 4
BATCHES, SIDE_OF_BATCHES = (1, 2, 4, 8, 12, 16), 128
QUICK_SIDES, QUICK_BATCHES, QUICK_SIDE = (32, 48, 64), (1, 2, 3), 32


class Line(NamedTuple):
    """A straight line through points, and how far they are from it."""

    start: float
    slope: float
    farthest: float  # as a share of the line's value there


def command(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure, print, and write the record; the exit status is 1 where threads change a bit."""
    try:
        backend = run.choose_backends(options.backends)[-1]  # numba where it is there
    except ValueError as error:
        print(f"error: {error}")
        return 2
    settings = measure.Settings(
        scale="quick" if options.quick else "full", repeats=options.repeats, time_limit=20.0
    )
    record: Record = {
        "schema": 1,
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "threads": {"asked for": options.threads},
        "settings": {"dtype": "float32", "scale": settings.scale, "repeats": options.repeats},
        "backend": backend,
        "rows": [],
    }
    print(heading(record), end="\n\n", flush=True)
    for over, batch, side in points(settings.scale):
        row = measured(str(backend), over, batch, side, options.threads, settings)
        record["rows"].append(row)
        print(text(row), flush=True)
    print(summary(record))
    for path in write(record, options.out):
        print(f"wrote {path}")
    return 0 if all(row["bit_identical"] for row in record["rows"]) else 1


def points(scale: str) -> list[tuple[str, int, int]]:
    """Return (over what, batch, side) of all rows."""
    if scale == "quick":
        return [("pixels", 1, s) for s in QUICK_SIDES] + [("batch", b, QUICK_SIDE) for b in QUICK_BATCHES]
    return [("pixels", BATCH_OF_SIDES, s) for s in SIDES] + [("batch", b, SIDE_OF_BATCHES) for b in BATCHES]


def measured(
    backend: str, over: str, batch: int, side: int, threads: int, settings: measure.Settings
) -> dict[str, Any]:
    """Compare the gradients of each number of threads, then time the steps in turn."""
    network = networks.NETWORKS[0] if settings.scale == "full" else networks.NETWORKS[0]._replace(width=4)
    task = networks.task(network, batch, (side, side))
    numbers = sorted({1, threads})
    ours = contenders.Ours(backend, task)
    differing = differing_gradients(ours, numbers)
    timers = {str(n): partial(step_seconds, ours, n) for n in numbers}
    times = measure.interleaved(timers, settings)
    contenders.set_threads(threads)
    return {
        "over": over,
        "batch": batch,
        "side": side,
        "bit_identical": not differing,
        "differing": differing,
        "results": {name: measure.statistics(found) for name, found in times.items()},
    }


def step_seconds(ours: contenders.Contender, threads: int, calls: int) -> float:
    """Time a step on so many threads."""
    contenders.set_threads(threads)
    return measure.seconds_of(ours.step, ours.context, calls)


def differing_gradients(ours: contenders.Contender, numbers: Sequence[int]) -> list[str]:
    """Name what isn't the same to the last bit on every number of threads."""
    outcomes = []
    for threads in numbers:
        contenders.set_threads(threads)
        with ours.context():
            outcomes.append(ours.outcome())
    first, *others = outcomes
    names = {"scores"} if any(o.scores.tobytes() != first.scores.tobytes() for o in others) else set()
    for other in others:
        names |= {n for n, g in first.gradients.items() if g.tobytes() != other.gradients[n].tobytes()}
    return sorted(names)


# ---------------------------------------------------------------------------------------------------------
# What is made of it


def series(record: Record, over: str, threads: str) -> tuple[list[float], list[float]]:
    """Return pixels (of the whole batch) and seconds."""
    rows = [row for row in record["rows"] if row["over"] == over]
    pixels = [float(row["batch"] * row["side"] ** 2) for row in rows]
    return pixels, [row["results"][threads]["median_s"] for row in rows]


def fit(pixels: Sequence[float], seconds: Sequence[float]) -> Line:
    """Lay a straight line through points; near and far ones count alike (by relative distance)."""
    x, y = np.array(pixels), np.array(seconds)
    slope, start = np.polyfit(x, y, 1, w=1 / y)
    line = start + slope * x
    return Line(float(start), float(slope), float(np.max(np.abs(y / line - 1))))


def heading(record: Record) -> str:
    """Say where and how this was measured."""
    return f"{where(record)}\nU-Net, {record['backend']}: forward, cross-entropy, backward, gradient descent"


def text(row: dict[str, Any]) -> str:
    """Write a row."""
    times = ", ".join(
        f"{three_digits(found['median_s'] * 1e3)} ms on {name} thread{'s' * (name != '1')}"
        for name, found in row["results"].items()
    )
    bits = "the same bits" if row["bit_identical"] else f"OTHER BITS in {', '.join(row['differing'])}"
    return f"{row['batch']} x 3 x {row['side']} x {row['side']}: {times}; {bits}"


def summary(record: Record) -> str:
    """Say how straight the lines are, and whether threads change a bit."""
    lines = []
    for over in ("pixels", "batch"):
        for threads in record["rows"][0]["results"]:
            line = fit(*series(record, over, threads))
            lines.append(
                f"over the {over}, {threads} thread{'s' * (threads != '1')}: {line.slope * 1e9:.3g} ns a pixel and "
                f"{line.start * 1e3:.2g} ms beside; no point is farther than {line.farthest:.0%} from the line"
            )
    different = [row for row in record["rows"] if not row["bit_identical"]]
    numbers = " and ".join(record["rows"][0]["results"])
    lines.append(
        f"scores and gradients on {numbers} threads: "
        + (f"OTHER BITS in {len(different)} rows" if different else "the same bits in every row")
    )
    return "\n".join(lines)


def write(record: Record, folder: Path) -> list[Path]:
    """Write the record, the page and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"scaling{ending}" for ending in (".json", ".md", ".png")]
    paths[0].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(record), encoding="utf-8")
    draw(record, paths[2])
    return paths


def markdown(record: Record) -> str:
    """Write the page."""
    lines = ["# How the time of a step grows", "", f"`{record['command']}`", ""]
    lines += [f"- {line}" for line in heading(record).splitlines()]
    lines += ["", *(f"- **{line}**" for line in summary(record).splitlines())]
    lines += ["", "![Time over pixels and over the batch](scaling.png)", ""]
    numbers = list(record["rows"][0]["results"])
    columns = ["batch x 3 x height x width", *(f"ms, threads: {n}" for n in numbers), "bits"]
    lines += ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * len(numbers) + "---|"]
    for row in record["rows"]:
        times = [three_digits(row["results"][n]["median_s"] * 1e3) for n in numbers]
        bits = "the same" if row["bit_identical"] else "OTHERS"
        shape = f"{row['batch']} x 3 x {row['side']} x {row['side']}"
        lines.append("| " + " | ".join([shape, *times, bits]) + " |")
    return "\n".join(lines) + "\n"


def draw(record: Record, path: Path) -> None:
    """Draw the points with their quartiles, and the lines."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    styles = [("o", "-", "#D55E00"), ("s", "--", "#0072B2")]  # Okabe and Ito's; other markers and lines, too
    for axes, over in zip(figure.subplots(1, 2), ("pixels", "batch"), strict=True):
        rows = [row for row in record["rows"] if row["over"] == over]
        for (marker, dashes, colour), threads in zip(styles, record["rows"][0]["results"], strict=False):
            pixels, seconds = series(record, over, threads)
            x = np.array(pixels) / (1 if over == "pixels" else rows[0]["side"] ** 2)
            line = fit(x.tolist(), seconds)
            found = [row["results"][threads] for row in rows]
            away = [
                [(f["median_s"] - f["lower_quartile_s"]) * 1e3 for f in found],
                [(f["upper_quartile_s"] - f["median_s"]) * 1e3 for f in found],
            ]
            label = f"{threads} thread{'s' * (threads != '1')}"
            axes.errorbar(x, np.array(seconds) * 1e3, away, fmt=marker, color=colour, label=label)
            axes.plot(x, (line.start + line.slope * x) * 1e3, dashes, color=colour, linewidth=1)
        if over == "pixels":
            axes.set_xlabel(f"pixels of the batch (pictures: {rows[0]['batch']})")
        else:
            axes.set_xlabel(f"pictures in the batch (pixels: {rows[0]['side']} x {rows[0]['side']})")
        axes.set_ylabel("ms a step")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(linewidth=0.4, alpha=0.6)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
