"""The figures in docs/performance.md come from the records, never from a keyboard.

On the page stand marks, ``<!-- record: NAME -->`` before a figure or a table and ``<!-- end -->`` behind it, which
readers don't see. ``filled`` puts there what the function NAME of this file makes of the records.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from benchmarks import errors, goals, models_report, report, scaling

Records: TypeAlias = dict[str, Any]
MARKED = re.compile(r"(<!-- record: ([\w ]+) -->)(.*?)(<!-- end -->)", re.DOTALL)


def filled(text: str, records: Records) -> str:
    """Return the page with each figure as the records have it; a name that isn't known raises."""

    def put(match: re.Match[str]) -> str:
        before, name, _, after = match.groups()
        if name not in FIGURES:
            raise ValueError(f"docs/performance.md asks for {name!r}; there are: {', '.join(FIGURES)}")
        found = FIGURES[name](records)
        block = "\n" in found or found.startswith(("|", "- "))
        return f"{before}\n\n{found}\n\n{after}" if block else f"{before}{found}{after}"

    return MARKED.sub(put, text)


def _gflops(records: Records) -> str:
    return report.three_digits(records["ops"]["roofline"]["flops_per_s"] / 1e9)


def _bandwidth(records: Records) -> str:
    return report.three_digits(records["ops"]["roofline"]["bytes_per_s"] / 1e9)


def _ridge(records: Records) -> str:
    ceilings = records["ops"]["roofline"]
    return f"{ceilings['flops_per_s'] / ceilings['bytes_per_s']:.0f}"


def _first_touch(records: Records) -> float:
    return float(records["ops"]["roofline"]["first_touch_s"])


def _where(records: Records) -> str:
    about, record = records["ops"]["machine"], records["ops"]
    threads = record["threads"]["asked for"]
    return f"{about['cpu']}, {threads} thread{'s' * (threads != 1)}, {record['date'][:10]}"


def _networks(records: Records) -> str:
    """Write the ordinary situation: ms of everybody, and our ratios."""
    record = records["models"]
    names = [name for name in record["runners"] if any(name in row["results"] for row in record["rows"])]
    lines = [
        "| network | pass | "
        + " | ".join(f"{name}, ms" for name in names)
        + " | over torch | over the fastest PyTorch |",
        "|---|---|" + "---:|" * (len(names) + 2),
    ]
    for row in record["rows"]:
        if row["situation"] != goals.ORDINARY:
            continue
        times = [row["results"].get(name) for name in names]
        cells = ["" if t is None else report.three_digits(t["median_s"] * 1e3) for t in times]
        ratios = [models_report.ratio(record, row, over) for over in ("torch", goals.FASTEST)]
        cells += ["" if r is None else f"{r:.2f}" for r in ratios]
        lines.append(f"| {row['network']} | {row['pass']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _kernels(records: Records) -> str:
    """Write the rate and the share of the roofline of each convolution's forward."""
    lines = [
        "| convolution | operations for each byte | numba, GFLOP/s | of the roofline |",
        "|---|---:|---:|---:|",
    ]
    for row in records["ops"]["rows"]:
        if row["direction"] == "forward" and row["flops"] and "numba" in row["results"]:
            found = row["results"]["numba"]
            lines.append(
                f"| {row['op']} {row['case']}, {'x'.join(map(str, row['shape']))} | {row['flops'] / row['bytes']:.1f} "
                f"| {report.three_digits(row['flops'] / found['median_s'] / 1e9)} | {found['roofline_share']:.0%} |"
            )
    return "\n".join(lines)


def _lines(records: Records) -> str:
    return "\n".join(f"- {line}" for line in scaling.summary(records["scaling"]).splitlines())


def _memory(records: Records) -> str:
    """Write the memory of a step."""
    record = records["models"]
    rows = [row for row in record["rows"] if row["situation"] == goals.ORDINARY]
    names = [
        name for name in record["runners"]
        if any("memory_bytes" in row["results"].get(name, {}) for row in rows)
    ]  # fmt: skip
    lines = ["| network | pass | " + " | ".join(f"{n}, MB" for n in names) + " |"]
    lines.append("|---|---|" + "---:|" * len(names))
    for row in rows:
        found = [row["results"].get(name, {}).get("memory_bytes") for name in names]
        cells = ["" if f is None else f"{f / 1e6:.0f}" for f in found]
        lines.append(f"| {row['network']} | {row['pass']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _winograd_errors(records: Records) -> str:
    """Write the rows in which Winograd's method plays a part."""

    def differs(row: dict[str, Any]) -> bool:
        told = row["errors"]
        return bool(told.get(errors.NUMBA) != told.get(errors.EXACT))

    return errors.op_table(records["errors"], differs)


def _goals_of_ops(records: Records) -> str:
    """Write each line, and each goal that was missed, as a line of a list."""
    lines = report.summary(records["ops"]).splitlines()
    return "\n".join(f"- {line.replace('; ', chr(10) + '  - ')}" for line in lines)


FIGURES: dict[str, Callable[[Records], str]] = {
    "peak": _gflops,
    "bandwidth": _bandwidth,
    "ridge": _ridge,
    "where": _where,
    "wake up": lambda records: report.three_digits(records["ops"]["roofline"]["wake_up_s"] * 1e6),
    "first touch": lambda records: report.three_digits(_first_touch(records) * 1e6),
    "first touch of a map": lambda records: report.three_digits(_first_touch(records) * 2**23 / 2**12 * 1e3),
    "networks": _networks,
    "convolutions": _kernels,
    "scaling": _lines,
    "memory": _memory,
    "errors of networks": lambda records: errors.network_table(records["errors"]),
    "errors with Winograd": _winograd_errors,
    "goals of ops": _goals_of_ops,
    "goals of networks": lambda records: models_report.summary(records["models"]),
}
