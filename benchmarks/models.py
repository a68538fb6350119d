"""What ``python -m benchmarks models`` does: whole networks, a training step and inference, everybody side by side."""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks import contenders, goals, machine, measure, models_report, networks, run
from benchmarks.contenders import Contender, Outcome
from benchmarks.networks import Network, Situation, Task

# Differences allowed, as shares. In float64 any mistake shows. In float32 a ReLU or a pooling decides otherwise here
# and there, and a gradient then takes another way: single numbers may be far off, those of a whole array are not.
EXACT = {"scores": 1e-9, "worst score": 1e-9, "loss": 1e-11, "gradients": 1e-7, "worst gradient": 1e-7}
ROUNDED = {"scores": 0.03, "loss": 1e-4, "gradients": 0.2}
SMALL = (2, (64, 64))  # batch and size for the comparison in float64

PASSES = (goals.INFERENCE, goals.STEP)  # in this order, because steps change the weights


def command(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure, print while measuring, and write the record; return the exit status."""
    scale = "quick" if options.quick else "full"
    chosen = [n for n in networks.NETWORKS if options.networks is None or n.name in options.networks]
    try:
        backends = [str(name) for name in run.choose_backends(options.backends or ["numba"])]
        if len(chosen) != len(options.networks or networks.NETWORKS):
            raise ValueError(f"--networks takes {', '.join(n.name for n in networks.NETWORKS)}")
    except ValueError as error:
        print(f"error: {error}")
        return 2
    makers = contenders.makers(backends, options.threads)
    left_out = {name for name in makers if _is_left_out(name, options)}
    record = new_record(options, arguments, list(makers), scale)
    print(models_report.heading(record), end="\n\n", flush=True)
    start = perf_counter()
    try:
        for row in measured(chosen, backends, left_out, record, options.threads):
            record["rows"].append(row)
            print(models_report.text(record, row), flush=True)
    except measure.Disagreement as error:
        print(f"error: nothing more was timed.\n{error}")
        return 1
    record["seconds"] = round(perf_counter() - start, 1)
    print(models_report.summary(record))
    for path in models_report.write(record, options.out):
        print(f"wrote {path}")
    return 0


def _is_left_out(name: str, options: argparse.Namespace) -> bool:
    return (options.no_torch and name.startswith("torch")) or (options.no_compile and "compiled" in name)


def new_record(
    options: argparse.Namespace, arguments: Sequence[str], names: list[str], scale: str
) -> dict[str, Any]:
    """Return a record without rows."""
    return {
        "schema": 1,
        "command": " ".join(["python -m benchmarks", *arguments]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "threads": {"asked for": options.threads},
        "settings": {"dtype": "float32", "scale": scale, "repeats": options.repeats},
        "runners": names,
        "memory": machine.why_no_memory() or models_report.MEMORY_MEANS,
        "rows": [],
    }


# ---------------------------------------------------------------------------------------------------------
# Measuring


def measured(
    chosen: Sequence[Network],
    backends: list[str],
    left_out: set[str],
    record: dict[str, Any],
    threads: int,
) -> Any:
    """Yield a row for each network, situation and pass."""
    settings = measure.Settings(
        scale=record["settings"]["scale"], repeats=record["settings"]["repeats"], time_limit=60.0
    )
    chosen, situations = networks.at_scale(tuple(chosen), networks.SITUATIONS, settings.scale)
    for network in chosen:
        agree_in_float64(network, left_out)
        for situation in situations:
            task = networks.task(network, situation.batch, situation.size)
            used = situation.threads or threads
            contenders.set_threads(used)
            there, missing = gather(task, backends, left_out, situation, used)
            for kind in PASSES:
                if kind == goals.STEP:
                    start_learning(there, missing, backends)
                row = measured_row(kind, task, situation, there, missing, settings)
                if situation is situations[0] and machine.why_no_memory() is None:
                    add_memory(row, record, threads)
                yield row
    contenders.set_threads(threads)


def gather(
    task: Task, backends: list[str], left_out: set[str], situation: Situation, threads: int
) -> tuple[list[Contender], dict[str, str]]:
    """Make the contenders that can run here; say of the others why not."""
    there: list[Contender] = []
    missing = {}
    for name, make in contenders.makers(backends, threads).items():
        reason = "left out" if name in left_out else contenders.why_not(name)
        if reason is None and "compiled" in name and situation.name != goals.ORDINARY:
            reason = f"compiled for {goals.ORDINARY} only, because that takes minutes"
        if reason is None:
            try:
                contender = make(task)
                with contender.context():
                    contender.scores()
                there.append(contender)
            except Exception as error:
                reason = reason_of(error, name, backends)
        if reason is not None:
            missing[name] = reason
    return there, missing


def start_learning(there: list[Contender], missing: dict[str, str], backends: list[str]) -> None:
    """Let everybody go forward and backward once; take those out that can't."""
    for contender in [c for c in there if c.learns]:
        try:
            with contender.context():
                contender.outcome()
        except Exception as error:
            there.remove(contender)
            missing[contender.name] = reason_of(error, contender.name, backends)


def reason_of(error: Exception, name: str, backends: list[str]) -> str:
    """Write why somebody else can't; our own errors stop the measuring.

    torch.compile and exports have their reasons, and the table goes on without them.
    """
    if name in backends:
        raise error
    return contenders.error_in_a_line(error)


def measured_row(
    kind: str,
    task: Task,
    situation: Situation,
    there: Sequence[Contender],
    missing: dict[str, str],
    settings: measure.Settings,
) -> dict[str, Any]:
    """Compare everybody with the first, then take the times in turn."""
    able = [c for c in there if c.learns or kind == goals.INFERENCE]
    compared = agreement(kind, able, ROUNDED, f"{task.network.name}, {situation.name}")
    timers = {c.name: _timer(c, kind) for c in able}
    results = {
        name: measure.statistics(times) for name, times in measure.interleaved(timers, settings).items()
    }
    return {
        "network": task.network.name,
        "width": task.network.width,
        "parameters": task.parameters,
        "pass": kind,
        "situation": situation.name,
        "threads": situation.threads,
        "shape": list(task.images.shape),
        "differences": compared,
        "results": results,
        "missing": missing,
    }


def _timer(contender: Contender, kind: str) -> Callable[[int], float]:
    call = contender.infer if kind == goals.INFERENCE else contender.step
    return partial(measure.seconds_of, call, contender.context)


def agreement(
    kind: str, able: Sequence[Contender], allowed: dict[str, float], what: str
) -> dict[str, dict[str, float]]:
    """Compare everybody's results with the first's; return the differences, or raise Disagreement."""
    first, *others = able
    expected = _results(first, kind)
    found = {}
    for contender in others:
        found[contender.name] = differences(expected, _results(contender, kind))
        for name, difference in found[contender.name].items():
            if not difference <= allowed.get(name, math.inf):
                raise measure.Disagreement(
                    f"{what}, {kind}: {name} by {contender.name} differs from {first.name}'s by {difference:.1e} of "
                    f"its size; at most {allowed[name]:.0e} is rounding"
                )
    return found


def _results(contender: Contender, kind: str) -> Outcome:
    with contender.context():
        if kind == goals.INFERENCE:
            return Outcome(contender.scores(), None, {})
        return contender.outcome()


def differences(expected: Outcome, found: Outcome) -> dict[str, float]:
    """Return how far two outcomes are apart.

    ``scores`` and ``gradients`` (those of the worst weight) are the length of the difference as a share of the array's
    own length; ``worst score`` and ``worst gradient`` the largest difference as a share of the largest number.
    """
    if expected.gradients.keys() != found.gradients.keys():
        raise measure.Disagreement(
            f"gradients of {set(expected.gradients) ^ set(found.gradients)} are missing"
        )
    told = {
        "scores": contenders.distance(expected.scores, found.scores),
        "worst score": contenders.largest_difference(expected.scores, found.scores),
    }
    if expected.loss is not None and found.loss is not None:
        told["loss"] = abs(found.loss - expected.loss) / abs(expected.loss)
        pairs = [(gradient, found.gradients[name]) for name, gradient in expected.gradients.items()]
        told["gradients"] = max(contenders.distance(right, ours) for right, ours in pairs)
        told["worst gradient"] = max(contenders.largest_difference(right, ours) for right, ours in pairs)
    return told


def agree_in_float64(network: Network, left_out: set[str]) -> None:
    """Compare our network with PyTorch's twin where rounding can't hide a mistake."""
    if "torch" in left_out or contenders.why_not("torch"):
        return
    task = networks.task(network, *SMALL).as_float64()
    able: list[Contender] = [contenders.Ours("numpy", task), contenders.Torch(task)]
    for kind in PASSES:
        agreement(kind, able, EXACT, f"{network.name} in float64")


# ---------------------------------------------------------------------------------------------------------
# Memory, each in a process of its own


def add_memory(row: dict[str, Any], record: dict[str, Any], threads: int) -> None:
    """Measure the memory of each contender (but for the compiled ones: compiling needs far more than the step)."""
    for name, found in row["results"].items():
        if "compiled" in name:
            continue
        words = [name, row["network"], row["pass"], record["settings"]["scale"], str(threads)]
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.step_memory", *words], capture_output=True, text=True
        )
        if ran.returncode:
            raise RuntimeError(f"measuring the memory of {' '.join(words)} failed:\n{ran.stderr[-2000:]}")
        found["memory_bytes"] = json.loads(ran.stdout.splitlines()[-1])
