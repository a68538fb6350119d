"""What ``python -m benchmarks picture`` does: the overview, the roofline, and the figures in docs/performance.md.

All of it is made from the records in ``benchmarks/results``. Run it when a record has changed.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import goals, models_report, page, report
from minisegnet.profiling.roofline import Machine

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
NAMES = ("ops", "models", "scaling", "errors")

# One colour and one hatch for each kind of bar: Okabe and Ito's colours, and it reads in grey.
KINDS = {
    "forward": ("#56B4E9", ""), "backward": ("#E69F00", "..."), "forward+backward": ("#0072B2", "///"),
    goals.STEP: ("#D55E00", "xxx"), goals.INFERENCE: ("#009E73", "\\\\\\"),
}  # fmt: skip


def command(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Draw the pictures and fill in the page; with ``--check`` only compare."""
    records = load(options.results)
    text = PAGE.read_text(encoding="utf-8")
    filled = page.filled(text, records)
    if options.check:
        print("docs/performance.md " + ("is up to date" if filled == text else "is not up to date"))
        return int(filled != text)
    overview(records, options.results / "overview.png")
    draw_roofline(records["ops"], options.results / "roofline.png")
    PAGE.write_text(filled, encoding="utf-8")
    print(f"wrote {options.results / 'overview.png'}, {options.results / 'roofline.png'} and {PAGE}")
    return 0


def load(folder: Path) -> dict[str, Any]:
    """Read the records."""
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}


# ---------------------------------------------------------------------------------------------------------
# The overview: PyTorch's time over ours


def speeds(records: dict[str, Any]) -> list[tuple[str, str, float, float | None]]:
    """Return (label, kind, how many times as fast as PyTorch, goal), networks first."""
    ops, models = records["ops"], records["models"]
    found: list[tuple[str, str, float, float | None]] = []
    for row in models["rows"]:
        ratio = models_report.ratio(models, row, "torch")
        if row["situation"] == goals.ORDINARY and ratio is not None:
            wanted = goals.of_network(row["pass"], row["situation"], row["network"])
            goal = next((goal.ratio for goal in wanted if goal.over == "torch"), None)
            found.append((row["network"], row["pass"], ratio, goal if goals.apply(models) else None))
    for row in ops["rows"]:
        speed = report.speed(ops, row, "numba")
        if speed is None or goals.of_op(row["op"], row["case"], row["direction"]) is None:
            continue  # the overview shows what there are goals for
        found.append(
            (f"{row['op']}: {row['case']}", row["direction"], speed, report.goal_of(ops, row, "numba"))
        )
    return found


def overview(records: dict[str, Any], path: Path) -> None:
    """Draw a bar for each; those of one op stand together."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window
    from matplotlib.patches import Patch

    found = speeds(records)
    labels = list(dict.fromkeys(label for label, *_ in found))
    figure = Figure(figsize=(9, 1.4 + 0.36 * len(labels)), layout="constrained")
    axes = figure.subplots()
    for place, label in enumerate(labels):
        bars = [(kind, ratio, goal) for name, kind, ratio, goal in found if name == label]
        height = 0.8 / len(bars)
        for i, (kind, ratio, goal) in enumerate(bars):
            y = place - 0.4 + (i + 0.5) * height
            colour, hatch = KINDS[kind]
            axes.barh(y, ratio - 1, left=1, height=height, color=colour, hatch=hatch, edgecolor="black",
                      linewidth=0.4)  # fmt: skip
            report.write_beside(axes, ratio, y, f"{ratio:.2f}", to_the_left=ratio < 1)
            if goal is not None:
                axes.plot([goal, goal], [y - height / 2, y + height / 2], color="black", linewidth=2.5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    ratios = [ratio for _, _, ratio, _ in found] + [goal for *_, goal in found if goal is not None]
    report.plain_logarithmic(axes)
    axes.set_xlim(min(ratios) / 1.3, max(ratios) * 1.3)
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    about, threads = records["ops"]["machine"], records["ops"]["threads"]["asked for"]
    axes.set_xlabel(
        "PyTorch's time over ours: to the right we are faster; black bars: what we wanted to reach"
    )
    axes.set_title(f"{about['cpu']}, threads: {threads}, float32", fontsize=9, loc="left")
    kinds = [kind for kind in KINDS if any(kind == k for _, k, *_ in found)]
    keys = [Patch(facecolor=KINDS[k][0], hatch=KINDS[k][1], edgecolor="black", label=k) for k in kinds]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), fontsize=8)
    figure.savefig(path, dpi=110)


# ---------------------------------------------------------------------------------------------------------
# The roofline


def draw_roofline(record: dict[str, Any], path: Path) -> None:
    """Draw the roof, and each convolution under it: operations a second over operations for each byte."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window

    machine = Machine(record["roofline"]["flops_per_s"], record["roofline"]["bytes_per_s"])
    rows = [row for row in record["rows"] if row["flops"] and row["direction"] == "forward"]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    intensities = [row["flops"] / row["bytes"] for row in rows]
    ends = [min(intensities) / 2, machine.ridge, max(max(intensities), machine.ridge) * 2]
    axes.plot(ends, [machine.attainable(i) / 1e9 for i in ends], color="black", linewidth=1.5)
    for name, marker, colour in (("torch", "o", "#999999"), ("numba", "D", "#D55E00")):
        points = [
            (i, row["flops"] / row["results"][name]["median_s"] / 1e9)
            for i, row in zip(intensities, rows, strict=True)
            if name in row["results"]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, markeredgecolor="black",
                      markeredgewidth=0.5, label=name, linestyle="none")  # fmt: skip
    for number, (i, row) in enumerate(zip(intensities, rows, strict=True)):
        height = row["flops"] / row["results"]["numba"]["median_s"] / 1e9 if "numba" in row["results"] else 0
        if height:
            axes.annotate(str(number + 1), (i, height), xytext=(5, 3), textcoords="offset points", fontsize=7)
    key = "\n".join(f"{n + 1}  {row['op']}: {row['case']}" for n, row in enumerate(rows))
    axes.text(1.02, 1.0, key, transform=axes.transAxes, va="top", fontsize=7)
    axes.set_xlabel("operations for each byte that must be moved")
    axes.set_ylabel("GFLOP/s: thousand million operations a second")
    axes.grid(which="both", linewidth=0.3, alpha=0.5)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120)
