"""What ``python -m benchmarks errors`` does: how far float32 results are from those of float64.

The same numbers go in, once as float32 and once as float64. An error is the largest difference in an array as a share
of the largest number in it. The truth is NumPy's result in float64 (its own error is a hundred million times
smaller). Numba is measured twice: as it is, and within ``ops.exact_convolutions()``, which keeps Winograd's method out.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cases, contenders, machine, measure, models, networks
from benchmarks.contenders import Outcome
from benchmarks.report import where
from minisegnet import ops
from minisegnet.arrays import Array

Record = dict[str, Any]

EXACT, NUMBA, NUMPY, TORCH = "numba, exact", "numba", "numpy", "torch"


def command(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure, print, and write the record."""
    scale: cases.Scale = "quick" if options.quick else "full"
    runners = there(torch=not options.no_torch)
    record: Record = {
        "schema": 1,
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "threads": {"asked for": options.threads},
        "settings": {"dtype": "float32", "scale": scale, "repeats": 1},
        "runners": list(runners),
        "ops": [],
        "networks": [],
    }
    print(where(record), end="\n\n", flush=True)
    for case in cases.select(options.ops, scale):
        rows = of_case(case, scale, runners)
        record["ops"] += rows
        for row in rows:
            print(f"{row['op']}, {row['case']}, {row['result']}: {_numbers(row, runners)}", flush=True)
    chosen, situations = networks.at_scale(networks.NETWORKS, networks.SITUATIONS, scale)
    for network in chosen if options.ops is None else ():
        row = of_network(network, situations[0], runners)
        record["networks"].append(row)
        print(f"{row['network']}: {row['errors']}", flush=True)
    for path in write(record, options.out):
        print(f"wrote {path}")
    return 0


def there(*, torch: bool) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """Return who is measured here, and what each is entered with."""
    found: dict[str, Callable[[], AbstractContextManager[Any]]] = {NUMPY: nullcontext}
    if ops.why_not("numba") is None:
        found = {NUMBA: nullcontext, EXACT: ops.exact_convolutions, **found}
    if torch and contenders.why_not("torch") is None:
        found[TORCH] = nullcontext
    return found


# ---------------------------------------------------------------------------------------------------------
# Ops


def of_case(
    case: cases.Case, scale: cases.Scale, runners: dict[str, Callable[[], AbstractContextManager[Any]]]
) -> list[dict[str, Any]]:
    """Return a row for each result that is rounded by anybody."""
    rounded, true = case.problem(scale, "float32"), case.problem(scale, "float64")
    if not rounded.torch_is_comparable:
        return []
    truth = results_of(true, NUMPY)
    errors: dict[str, dict[str, float]] = {name: {} for name in truth}
    for runner, context in runners.items():
        if runner == TORCH and measure.TorchPeer(1).why_not(rounded):
            continue
        with context():
            found = results_of(rounded, runner)
        for name, array in found.items():
            errors[name][runner] = contenders.largest_difference(truth[name], array)
    shape = list((rounded.leaves or rounded.constants)[0].shape)
    return [
        {"op": case.op, "case": case.name, "shape": shape, "result": name, "errors": told}
        for name, told in errors.items()
        if any(told.values())
    ]


def results_of(problem: cases.Problem, runner: str) -> dict[str, Array]:
    """Return what a forward and its backward give, but for whole numbers."""
    if runner == TORCH:
        peer = measure.TorchPeer(1).runner(problem)
    else:
        backend = runner.partition(",")[0]
        with ops.use_backend(backend):
            saved = problem.forward.run()
        peer = measure.backend_runner(problem, backend, saved)
    found = dict(zip(problem.forward.returns, peer.results("forward"), strict=False))
    if problem.backward is not None:
        names = problem.backward(*found.values()).returns if runner != TORCH else _names_of(problem)
        found |= dict(zip(names, peer.results("backward"), strict=False))
    return {name: array for name, array in found.items() if array.dtype.kind == "f"}


def _names_of(problem: cases.Problem) -> tuple[str, ...]:
    """Name the gradients (PyTorch doesn't return all that our forward does)."""
    with ops.use_backend(NUMPY):
        return problem.backward(*problem.forward.run()).returns  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------------
# Networks


def of_network(
    network: networks.Network,
    situation: networks.Situation,
    runners: dict[str, Callable[[], AbstractContextManager[Any]]],
) -> dict[str, Any]:
    """Return the errors of a training step's scores, loss and gradients."""
    task = networks.task(network, situation.batch, situation.size)
    true = contenders.Ours(NUMPY, task.as_float64())
    truth = _outcome(true)
    errors = {}
    for runner, context in runners.items():
        contender: contenders.Contender = (
            contenders.Torch(task) if runner == TORCH else contenders.Ours(runner.partition(",")[0], task)
        )
        with context():
            found = _outcome(contender)
        errors[runner] = models.differences(truth, found)
    return {
        "network": network.name,
        "width": network.width,
        "shape": list(task.images.shape),
        "errors": errors,
    }


def _outcome(contender: contenders.Contender) -> Outcome:
    with contender.context():
        return contender.outcome()


# ---------------------------------------------------------------------------------------------------------
# What is made of it


def _numbers(row: dict[str, Any], runners: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(f"{name} {row['errors'].get(name, float('nan')):.1e}" for name in runners)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def op_table(record: Record, wanted: Callable[[dict[str, Any]], bool] = lambda row: True) -> str:
    """Write the ops' errors."""
    runners = record["runners"]
    lines = [_row(["op", "case", "result", *runners]), "|---|---|---|" + "---:|" * len(runners)]
    for row in filter(wanted, record["ops"]):
        shape = "x".join(map(str, row["shape"]))
        errors = [_error(row["errors"].get(name)) for name in runners]
        lines.append(_row([row["op"], f"{row['case']}, {shape}", row["result"], *errors]))
    return "\n".join(lines)


def network_table(record: Record) -> str:
    """Write the networks' errors."""
    runners = record["runners"]
    lines = [_row(["network", "of a training step", *runners]), "|---|---|" + "---:|" * len(runners)]
    meaning = {"scores": "scores, as a whole", "worst score": "worst score", "loss": "loss"}
    meaning |= {
        "gradients": "gradient of a weight, as a whole",
        "worst gradient": "worst number of a gradient",
    }
    for row in record["networks"]:
        for name, title in meaning.items():
            errors = [_error(row["errors"][runner][name]) for runner in runners]
            lines.append(_row([f"{row['network']}, {'x'.join(map(str, row['shape']))}", title, *errors]))
    return "\n".join(lines)


def _error(number: float | None) -> str:
    return "" if number is None else "0" if number == 0 else f"{number:.1e}"


def write(record: Record, folder: Path) -> list[Path]:
    """Write the record, the page and the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"errors{ending}" for ending in (".json", ".md", ".png")]
    paths[0].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(record), encoding="utf-8")
    draw(record, paths[2])
    return paths


def markdown(record: Record) -> str:
    """Write the page."""
    lines = ["# Errors of float32", "", f"`{record['command']}`", ""]
    lines += [f"- {line}" for line in where(record).splitlines()]
    lines += [
        "- against NumPy in float64: the largest difference in an array as a share of its largest number; as a "
        "whole: the length of the error as a share of the array's own length, of the weight where it is worst",
        '- "exact" is within `ops.exact_convolutions()`: without Winograd\'s method',
        *["", "![Errors of each op](errors.png)", ""],
    ]
    if record["networks"]:
        lines += ["## Networks", "", network_table(record), ""]
    lines += ["## Ops", "", op_table(record)]
    return "\n".join(lines) + "\n"


def worst_of_cases(record: Record) -> dict[str, dict[str, float]]:
    """Return the worst error of any result, for each case and runner."""
    found: dict[str, dict[str, float]] = {}
    for row in record["ops"]:
        label = f"{row['op']}: {row['case']}, {'x'.join(map(str, row['shape']))}"
        worst = found.setdefault(label, {})
        for runner, error in row["errors"].items():
            worst[runner] = max(error, worst.get(runner, 0.0))
    return found


def draw(record: Record, path: Path) -> None:
    """Draw the worst error of each case on a logarithmic axis, a marker for each runner."""
    from matplotlib.figure import Figure  # heavy, and needed here only; Figure alone opens no window

    worst = worst_of_cases(record)
    figure = Figure(figsize=(9, 1.4 + 0.22 * len(worst)), layout="constrained")
    axes = figure.subplots()
    styles = {  # Okabe and Ito's colours, and markers that differ: the exact ones are hollow, around the others
        EXACT: ("s", "none", 9),
        NUMPY: ("^", "#56B4E9", 6),
        TORCH: ("o", "#999999", 6),
        NUMBA: ("D", "#D55E00", 5),
    }
    for runner, (marker, colour, size) in styles.items():
        points = [(told[runner], place) for place, told in enumerate(worst.values()) if told.get(runner)]
        if points:
            axes.plot(*zip(*points, strict=True), marker, markerfacecolor=colour, markersize=size,
                      markeredgecolor="black", markeredgewidth=0.7, label=runner)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(range(len(worst)), list(worst), fontsize=7)
    axes.set_ylim(len(worst) - 0.4, -0.6)
    axes.axvline(2.0**-24, color="black", linewidth=1)  # half a unit in the last place of 1
    axes.grid(linewidth=0.4, alpha=0.6)
    axes.set_xlabel("largest error of any result, as a share of its largest number; the line: one rounding")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=130)
