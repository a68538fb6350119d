"""What is made of the networks' measurements: a table, the JSON record, a Markdown page and a picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import goals
from benchmarks.report import plain_logarithmic, three_digits, where

Record: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

MEMORY_MEANS = (
    "by how much a process that has computed one small picture grows in two steps (or inferences), its weights not "
    "included"
)
COLUMNS = ("pass", "situation", "by", "ms", "quartiles", "ours is", "goal", "memory")
RIGHT_ALIGNED = frozenset(("ms", "quartiles", "ours is", "memory"))

# A marker for each contender, besides the colour (Okabe and Ito's): the picture reads in grey, too.
MARKERS: dict[str, tuple[str, str]] = {
    "numba": ("D", "#D55E00"),
    "numpy": ("s", "#56B4E9"),
    "torch": ("o", "#999999"),
    "torch channels_last": ("^", "#0072B2"),
    "torch compiled": ("v", "#009E73"),
    "torch compiled channels_last": ("P", "#CC79A7"),
    "onnxruntime": ("*", "#E69F00"),
}


# ---------------------------------------------------------------------------------------------------------
# Numbers


def ours(record: Record) -> str:
    """Name the backend that the goals are about."""
    return "numba" if "numba" in record["runners"] else str(record["runners"][0])


def seconds(row: Row, name: str) -> float | None:
    """Return the median time of a contender, or of the fastest PyTorch; None if it wasn't there."""
    if name == goals.FASTEST:
        return min(
            (found["median_s"] for key, found in row["results"].items() if key.startswith("torch")),
            default=None,
        )
    found = row["results"].get(name)
    return None if found is None else float(found["median_s"])


def ratio(record: Record, row: Row, over: str) -> float | None:
    """Return how many times as fast as somebody we are."""
    theirs, mine = seconds(row, over), seconds(row, ours(record))
    return None if theirs is None or mine is None else theirs / mine


def verdicts(record: Record, row: Row) -> list[tuple[goals.Goal, float]]:
    """Return each goal of a row with what was reached, where both ran and the record was measured as meant."""
    if not goals.apply(record):
        return []
    wanted = goals.of_network(row["pass"], row["situation"], row["network"])
    return [(goal, r) for goal in wanted if (r := ratio(record, row, goal.over)) is not None]


def cells(record: Record, row: Row, name: str) -> list[str]:
    """Write one contender's line."""
    found = row["results"].get(name)
    head = [row["pass"], row["situation"], name]
    if found is None:
        reason = "doesn't learn" if name not in row["missing"] else row["missing"][name]
        return [*head, "-", reason, "", "", ""]
    quartiles = [three_digits(found[key] * 1e3) for key in ("lower_quartile_s", "upper_quartile_s")]
    reached = ratio(record, row, name)
    fastest = name.startswith("torch") and found["median_s"] == seconds(row, goals.FASTEST)
    wanted = {goal.over: goal.ratio for goal, _ in verdicts(record, row)}
    told = []
    if reached is not None and name in wanted:
        told.append(goals.verdict(reached, wanted[name]))
    if reached is not None and fastest and goals.FASTEST in wanted:
        told.append(f"fastest PyTorch: {goals.verdict(reached, wanted[goals.FASTEST])}")
    memory = found.get("memory_bytes")
    return [
        *head,
        three_digits(found["median_s"] * 1e3),
        " to ".join(quartiles),
        "" if reached is None or name == ours(record) else f"{reached:.2f}x as fast",
        "; ".join(told),
        "" if memory is None else f"{memory / 1e6:.0f} MB",
    ]


def summary(record: Record) -> str:
    """Say which goals were met; the missed ones by name."""
    told = [(row, goal, r) for row in record["rows"] for goal, r in verdicts(record, row)]
    if not told:
        return "goals: they are about 2 threads at full size, with PyTorch beside"
    missed = [
        f"{row['network']}, {row['pass']}, {row['situation']}: {r:.2f}x of {goal.ratio:g}x over {goal.over}"
        for row, goal, r in told
        if r < goal.ratio
    ]
    return f"goals: {len(told) - len(missed)} of {len(told)} met" + "".join(f"; {m}" for m in missed)


def heading(record: Record) -> str:
    """Say in a few lines where and how this was measured."""
    return "\n".join(
        [
            where(record),
            "training step: forward, cross-entropy, backward, gradient descent. Inference: as a finished network does",
            f"scores, loss and gradients were compared before any time was taken; ours: {ours(record)}",
            f"memory: {record['memory']}",
        ]
    )


def text(record: Record, row: Row) -> str:
    """Write a row for the terminal."""
    shape = "x".join(map(str, row["shape"]))
    lines = [f"{row['network']} ({row['parameters'] / 1e6:.2f} M weights), {shape}"]
    widths = (14, 29, 29, 7, 16, 15, 30, 8)
    for name in record["runners"]:
        parts = zip(COLUMNS, cells(record, row, name), widths, strict=True)
        aligned = (t.rjust(w) if c in RIGHT_ALIGNED else t.ljust(w) for c, t, w in parts)
        lines.append("  " + " ".join(aligned).rstrip())
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------
# Files


def write(record: Record, folder: Path) -> list[Path]:
    """Write the record, the page and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"models{ending}" for ending in (".json", ".md", ".png")]
    paths[0].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(record), encoding="utf-8")
    draw(record, paths[2])
    return paths


def markdown(record: Record) -> str:
    """Write the page: where and how, the picture, a table for each network."""
    lines = ["# Benchmark of the networks", "", f"`{record['command']}`", ""]
    lines += [f"- {line}" for line in heading(record).splitlines()]
    lines += ["", f"**{summary(record)}**", "", "![Speed of each network](models.png)"]
    for name in dict.fromkeys(row["network"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["network"] == name]
        weights = f"{rows[0]['parameters'] / 1e6:.2f} million weights"
        lines += ["", f"## {name}, width {rows[0]['width']}, {weights}", "", *table(record, rows)]
    return "\n".join(lines) + "\n"


def table(record: Record, rows: Sequence[Row]) -> list[str]:
    """Write rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |"]
    lines.append("|" + "|".join("---:" if name in RIGHT_ALIGNED else "---" for name in COLUMNS) + "|")
    for row in rows:
        lines += ["| " + " | ".join(cells(record, row, name)) + " |" for name in record["runners"]]
    return lines


def _limits(record: Record, base: str) -> tuple[float, float]:
    """Return the ends of the axis: all speeds and goals, and a little more."""
    speeds = [1.0]
    for row in (row for row in record["rows"] if base in row["results"]):
        speeds += [row["results"][base]["median_s"] / f["median_s"] for f in row["results"].values()]
        speeds += [goal.ratio for goal, _ in verdicts(record, row)]
    return min(speeds) / 1.2, max(speeds) * 1.2


def draw(record: Record, path: Path) -> None:
    """Draw each contender's speed as a marker on its row's line, against PyTorch's ordinary way (or us)."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window

    rows = record["rows"]
    base = "torch" if any("torch" in row["results"] for row in rows) else ours(record)
    figure = Figure(figsize=(9, 1.6 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        if base not in row["results"]:
            continue
        for name in row["results"]:
            marker, colour = MARKERS.get(name, ("x", "black"))
            speed = row["results"][base]["median_s"] / row["results"][name]["median_s"]
            style: dict[str, Any] = {
                "markersize": 9 if name == ours(record) else 6,
                "markeredgecolor": "black",
            }
            axes.plot(speed, place, marker, color=colour, markeredgewidth=0.5, label=name, **style)
        for goal, _ in verdicts(record, row):
            if goal.over == base:
                axes.plot([goal.ratio] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
    labels = [f"{row['network']}, {row['pass']}: {row['situation']}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(linewidth=0.4, alpha=0.6)
    plain_logarithmic(axes)
    axes.set_xlim(*_limits(record, base))
    axes.set_xlabel(f"times as fast as {base}; a black bar is the goal of {ours(record)}")
    keys = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(keys.values(), keys.keys(), loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=130)
