"""What is made of the measurements: a table, a JSON record, a Markdown page and a picture."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import goals

Record: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

MEMORY_MEANS = (
    "the growth of the process's resident memory at its highest point during one call, results included, "
    "arguments not"
)
COLUMNS = (
    *("op", "case", "pass", "backend", "ms", "quartiles", "rate", "roofline"),
    *("speed", "goal", "first call", "memory"),
)
WIDTHS = (21, 38, 16, 9, 9, 19, 14, 8, 7, 12, 10, 9)
RIGHT_ALIGNED = frozenset(COLUMNS[4:])

# Okabe and Ito's colours, which colour-blind readers can tell apart; the hatches serve prints in grey.
COLOURS = {"numpy": "#56B4E9", "numba": "#D55E00", "torch": "#999999", "reference": "#CC79A7"}
HATCHES = {"numpy": "", "numba": "///", "torch": "...", "reference": "xxx"}
OTHER_COLOUR = "#009E73"


# ---------------------------------------------------------------------------------------------------------
# Numbers


def rate(row: Row, seconds: float) -> str:
    """Write what was computed, or moved, in a second."""
    amount, unit = (row["flops"], "FLOP/s") if row["flops"] else (row["bytes"], "B/s")
    a_second = amount / seconds
    scale, prefix = (1e9, "G") if a_second > 1e8 else (1e6, "M")
    return f"{three_digits(a_second / scale)} {prefix}{unit}"


def three_digits(number: float) -> str:
    """Write a number with three digits, or all those before the point: 0.0123, 12.3, 1234."""
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"


def speed(record: Record, row: Row, runner: str) -> float | None:
    """Return how many times as fast as the baseline a runner is; None where the baseline didn't run."""
    baseline, found = row["results"].get(record["baseline"]), row["results"].get(runner)
    if baseline is None or found is None:
        return None
    return float(baseline["median_s"] / found["median_s"])


def goal_of(record: Record, row: Row, runner: str) -> float | None:
    """Return how fast we want to be there; None where nothing is wanted."""
    if runner != "numba" or record["baseline"] != "torch" or not goals.apply(record):
        return None
    return goals.of_op(row["op"], row["case"], row["direction"])


def cells(record: Record, row: Row, runner: str) -> list[str]:
    """Write one runner's line of the table."""
    shape = "x".join(str(n) for n in row["shape"])
    head = [row["op"], f"{row['case']}, {shape}", row["direction"], runner]
    found = row["results"].get(runner)
    if found is None:
        return [*head, "-", row["missing"].get(runner, ""), *[""] * (len(COLUMNS) - len(head) - 2)]
    quartiles = [three_digits(found[name] * 1e3) for name in ("lower_quartile_s", "upper_quartile_s")]
    ratio, goal = speed(record, row, runner), goal_of(record, row, runner)
    share = found.get("roofline_share")
    extra, memory = found.get("first_call_extra_s"), found["extra_memory_bytes"]
    return [
        *head,
        three_digits(found["median_s"] * 1e3),
        " to ".join(quartiles),
        rate(row, found["median_s"]),
        "" if share is None else f"{share:.0%}",
        "" if ratio is None else f"{ratio:.2f}x",
        "" if ratio is None or goal is None else goals.verdict(ratio, goal),
        "" if extra is None else f"+{extra:.2f} s",
        "" if memory is None else f"{memory / 1e6:.1f} MB",
    ]


def summary(record: Record) -> str:
    """Write the geometric mean of the speeds, over all rows that have one, and which goals were missed."""
    lines = []
    for runner in record["runners"]:
        ratios = [r for row in record["rows"] if (r := speed(record, row, runner)) is not None]
        if runner != record["baseline"] and ratios:
            mean = math.exp(sum(math.log(r) for r in ratios) / len(ratios))
            lines.append(
                f"{runner}: {mean:.2f} times the speed of {record['baseline']} "
                f"(geometric mean of {len(ratios)} rows, {sum(r < 1 for r in ratios)} of them slower)"
            )
    return "\n".join(lines + _missed(record))


def _missed(record: Record) -> list[str]:
    """Name the rows whose goal was missed."""
    wanted = [
        (row, ratio, goal)
        for row in record["rows"]
        if (goal := goal_of(record, row, "numba")) is not None
        and (ratio := speed(record, row, "numba")) is not None
    ]
    missed = [
        f"{_label(row)}, {row['direction']}: {ratio:.2f}x of {goal:g}x"
        for row, ratio, goal in wanted
        if ratio < goal
    ]
    if not wanted:
        return []
    return [f"goals: {len(wanted) - len(missed)} of {len(wanted)} met" + "".join(f"; {m}" for m in missed)]


def roofline_line(record: Record) -> str:
    """Say what the machine can do at best, and what a share of that means."""
    ceilings = record.get("roofline")
    if ceilings is None:
        return "roofline: not measured"
    flops, bandwidth = ceilings["flops_per_s"] / 1e9, ceilings["bytes_per_s"] / 1e9
    return (
        f"roofline: {three_digits(flops)} GFLOP/s and {three_digits(bandwidth)} GB/s were the best that this machine "
        "could do in the same run; the share is the shortest time that a row's operations and bytes allow, over the "
        "time it took. More than 100% is possible: Winograd's method does fewer operations than are counted, and "
        "small maps stay in the caches"
    )


def where(record: Record) -> str:
    """Say in two lines on what machine and in what manner a record was measured."""
    about, settings = record["machine"], record["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    threads = ", ".join(f"{name} {number}" for name, number in record["threads"].items())
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}; {versions}\n"
        f"threads: {threads}; {settings['dtype']}, {settings['scale']} size, up to {settings['repeats']} "
        f"interleaved repeats; {record['date']}; "
        f"load of the machine at the start: {about['load']} (numbers from a busy machine mean little)"
    )


def heading(record: Record) -> str:
    """Say in a few lines where and how this was measured."""
    return "\n".join(
        [
            where(record),
            f"speed: {record['baseline']}'s median time over this one's; above 1 is faster",
            roofline_line(record),
            "first call: what it takes longer than a second one (compiling, or loading what is compiled)",
            f"memory: {record['memory']}",
        ]
    )


# ---------------------------------------------------------------------------------------------------------
# Terminal


def _aligned(texts: Sequence[str]) -> str:
    parts = [
        text.rjust(width) if name in RIGHT_ALIGNED else text.ljust(width)
        for name, text, width in zip(COLUMNS, texts, WIDTHS, strict=True)
    ]
    return " ".join(parts).rstrip()


def table_head() -> str:
    """Write the line above the table."""
    return _aligned(COLUMNS)


def table_lines(record: Record, row: Row) -> str:
    """Write a row: a line for each runner."""
    return "\n".join(_aligned(cells(record, row, runner)) for runner in record["runners"])


# ---------------------------------------------------------------------------------------------------------
# Files


def write(record: Record, folder: Path, name: str) -> list[Path]:
    """Write the record, the page and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}{ending}" for ending in (".json", ".md", ".png")]
    paths[0].write_text(to_json(record), encoding="utf-8")
    paths[1].write_text(markdown(record, paths[2].name), encoding="utf-8")
    draw(record, paths[2])
    return paths


def to_json(record: Record) -> str:
    """Write the record, with each row on a line of its own so that two records can be compared by diff."""
    head = json.dumps({name: value for name, value in record.items() if name != "rows"}, indent=1)
    rows = ",\n  ".join(json.dumps(row) for row in record["rows"])
    return head.removesuffix("\n}") + f',\n "rows": [\n  {rows}\n ]\n}}\n'


def markdown(record: Record, picture: str) -> str:
    """Write the page: where and how, the picture, the table."""
    lines = ["# Benchmark of the ops", "", f"`{record['command']}`", ""]
    lines += [f"- {line}" for line in heading(record).splitlines()]
    lines += ["", *(f"**{line}**" for line in summary(record).splitlines())]
    lines += ["", f"![Speed of each op]({picture})", "", "| " + " | ".join(COLUMNS) + " |"]
    lines.append("|" + "|".join("---:" if name in RIGHT_ALIGNED else "---" for name in COLUMNS) + "|")
    for row in record["rows"]:
        lines += ["| " + " | ".join(cells(record, row, runner)) + " |" for runner in record["runners"]]
    return "\n".join(lines) + "\n"


def draw(record: Record, path: Path) -> None:
    """Draw a bar for each runner and row, forward on the left, backward on the right; a notch marks the goal."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window
    from matplotlib.patches import Patch

    labels = list(dict.fromkeys(_label(row) for row in record["rows"]))
    shown = [name for name in record["runners"] if name != record["baseline"]] or record["runners"]
    figure = Figure(figsize=(11, 1.8 + len(labels) * (0.16 + 0.16 * len(shown))), layout="constrained")
    forward, backward = figure.subplots(1, 2, sharey=True, sharex=True)
    for axes, direction in ((forward, "forward"), (backward, "backward")):
        _draw_bars(axes, record, direction, labels, shown)
    forward.set_yticks(range(len(labels)), labels, fontsize=8)
    forward.set_ylim(len(labels) - 0.4, -0.6)  # the first case on top
    keys = [Patch(**_style(runner), label=runner) for runner in shown]
    figure.legend(handles=keys, loc="outside upper right", ncols=len(keys), fontsize=9)
    about, settings = record["machine"], record["settings"]
    figure.suptitle(
        f"{about['cpu']}, {record['threads']['asked for']} threads, {settings['dtype']}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    figure.savefig(path, dpi=130)


def _label(row: Row) -> str:
    return f"{row['op']}: {row['case']}, {'x'.join(str(n) for n in row['shape'])}"


def _style(runner: str) -> dict[str, Any]:
    return {
        "facecolor": COLOURS.get(runner, OTHER_COLOUR),
        "hatch": HATCHES.get(runner, ""),
        "edgecolor": "white",
        "linewidth": 0.3,
    }


def _draw_bars(
    axes: Any, record: Record, direction: str, labels: Sequence[str], shown: Sequence[str]
) -> None:
    """Draw speeds as bars that start at 1, to the right faster, to the left slower; or times, if nothing compares."""
    compares = record["baseline"] not in shown
    height = 0.8 / len(shown)
    axes.set_xscale("log")
    for row in (r for r in record["rows"] if r["direction"] == direction):
        place = labels.index(_label(row))
        if record["baseline"] not in row["results"]:
            write_beside(axes, 1, place, f"not run by {record['baseline']} here")
            continue
        for i, runner in enumerate(shown):
            y = place + (i - (len(shown) - 1) / 2) * height
            value = speed(record, row, runner) if compares else row["results"][runner]["median_s"] * 1e3
            if value is None:
                continue
            start = 1 if compares else 1e-3  # a logarithmic axis has no zero; a microsecond is below any time
            axes.barh(y, value - start, left=start, height=height, **_style(runner))
            if (goal := goal_of(record, row, runner)) is not None:
                axes.plot([goal, goal], [y - height / 2, y + height / 2], color="black", linewidth=2)
            write_beside(axes, value, y, three_digits(value), to_the_left=compares and value < 1)
    axes.margins(x=0.15)
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title(direction, fontsize=10)
    if compares:
        axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel(f"times as fast as {record['baseline']}" if compares else "milliseconds")


def plain_logarithmic(axes: Any) -> None:
    """Make the x axis logarithmic, with ordinary numbers at it."""
    axes.set_xscale("log")
    axes.set_xticks([step * ten for ten in (0.01, 0.1, 1, 10) for step in (1, 2, 5)])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:g}")


def write_beside(axes: Any, x: float, y: float, text: str, *, to_the_left: bool = False) -> None:
    """Write beside the end of a bar, on white: goals may be drawn there."""
    axes.annotate(
        text,
        (x, y),
        xytext=(-3 if to_the_left else 3, 0),
        textcoords="offset points",
        ha="right" if to_the_left else "left",
        va="center",
        fontsize=6.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        zorder=5,
    )
