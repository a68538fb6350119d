"""How a case is measured: first that all agree, then time in interleaved repeats, then memory."""

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from benchmarks import machine, roofline
from benchmarks.cases import Case, Problem, Scale, as_tuple
from minisegnet import ops
from minisegnet.arrays import Array

Backend: TypeAlias = str | ModuleType
Results: TypeAlias = tuple[Array, ...]

# Largest difference allowed, as a share of the largest number in the array. A wrong kernel is off by far
# more; sums of 100,000 rounded products, and Winograd's algorithm, by far less.
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}

TOGETHER = "forward+backward"

SHORTEST_REPEAT = 2e-3  # seconds; a faster call is repeated until a measurement lasts this long
FEWEST_REPEATS = 3  # even of a call that takes longer than the time limit allows


class Disagreement(RuntimeError):
    """Two backends gave different results, so that there is nothing to compare the speed of."""


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    dtype: str = "float32"
    scale: Scale = "full"
    repeats: int = 7
    time_limit: float = 6.0  # seconds for the repeats of one row, all backends together


# ---------------------------------------------------------------------------------------------------------
# Who runs


@dataclass(frozen=True)
class Runner:
    """A backend, or PyTorch, set up for one problem."""

    name: str
    context: Callable[[], AbstractContextManager[Any]]  # entered outside the clock
    forward: Callable[[], Any]
    backward: Callable[[], Any] | None
    both: Callable[[], Any]
    is_torch: bool = False
    comparable: bool = True

    def call(self, direction: str) -> Callable[[], Any]:
        """Return the function to time."""
        chosen = {"forward": self.forward, "backward": self.backward, TOGETHER: self.both}[direction]
        assert chosen is not None
        return chosen

    def results(self, direction: str) -> Results:
        """Run once and return arrays."""
        with self.context():
            found = as_tuple(self.call(direction)())
        return tuple(a.detach().numpy() for a in found) if self.is_torch else found


def name_of(backend: Backend) -> str:
    """Name a backend."""
    return backend if isinstance(backend, str) else backend.__name__


def backend_runner(problem: Problem, backend: Backend, saved: Results) -> Runner:
    """Set up one of our backends; ``saved`` is what a forward returned, the same for all of them."""
    backward = problem.backward(*saved).run if problem.backward else None

    def both() -> Any:
        return problem.backward(*problem.forward.run()).run()  # type: ignore[misc]

    return Runner(name_of(backend), lambda: ops.use_backend(backend), problem.forward.run, backward, both)


class TorchPeer:
    """PyTorch, on the same arrays and with the same number of threads."""

    def __init__(self, threads: int) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(threads)

    def why_not(self, problem: Problem) -> str | None:
        """Say why PyTorch can't run this problem; None if it can."""
        if not problem.needs_torchvision:
            return None
        try:
            importlib.import_module("torchvision")
        except Exception as error:  # not installed, or not made for this PyTorch
            return f"torchvision can't be imported ({type(error).__name__})"
        return None

    def runner(self, problem: Problem) -> Runner:
        """Set up PyTorch: the forward records nothing; the backward is one call of its autograd."""
        torch = self.torch
        tensor = torch.from_numpy
        functions = torch.nn.functional
        leaves = [tensor(a).requires_grad_(problem.backward is not None) for a in problem.leaves]
        constants = [tensor(a) for a in problem.constants]

        def forward() -> Any:
            with torch.no_grad():
                return problem.torch(torch, functions, *leaves, *constants)  # type: ignore[misc]

        def taped() -> Any:
            return as_tuple(problem.torch(torch, functions, *leaves, *constants))[0]  # type: ignore[misc]

        def backward() -> Any:
            gradients = torch.autograd.grad(y, leaves, dy, retain_graph=True)
            return [g.clone() for g in gradients] if problem.torch_shares_gradient else gradients

        def both() -> Any:
            return torch.autograd.grad(taped(), leaves, dy)

        if problem.backward is not None:
            y, dy = taped(), tensor(problem.dy)
        return Runner(
            "torch",
            nullcontext,
            forward,
            backward if problem.backward else None,
            both,
            is_torch=True,
            comparable=problem.torch_is_comparable,
        )


def torch_peer(threads: int) -> TorchPeer | None:
    """Return PyTorch where it is installed."""
    return TorchPeer(threads) if importlib.util.find_spec("torch") else None


# ---------------------------------------------------------------------------------------------------------
# Agreement


def check_agreement(
    what: str, names: Sequence[str], expected: Results, found: Results, who: str, reference: str, dtype: str
) -> None:
    """Raise Disagreement unless two backends returned the same, indices and masks exactly.

    PyTorch may return fewer arrays than we do; those that it returns are compared.
    """
    for name, right, ours in zip(names, expected, found, strict=False):
        if right.shape != ours.shape:
            raise Disagreement(
                f"{what}: {name} has shape {ours.shape} by {who} and {right.shape} by {reference}"
            )
        if right.dtype.kind != "f":
            wrong = int(np.count_nonzero(right != ours))
            if wrong:
                raise Disagreement(
                    f"{what}: {name} by {who} differs from {reference}'s in {wrong} of {right.size} places"
                )
            continue
        difference = relative_difference(right, ours)
        if not difference <= TOLERANCE[dtype]:  # written so that NaN fails
            raise Disagreement(
                f"{what}: {name} by {who} differs from {reference}'s by {difference:.2e} of its largest number; "
                f"at most {TOLERANCE[dtype]:.0e} is rounding in {dtype}"
            )


def relative_difference(expected: Array, found: Array) -> float:
    """Return the largest difference as a share of the largest number."""
    if expected.size == 0:
        return 0.0
    largest = float(np.max(np.abs(expected)))
    difference = float(np.max(np.abs(expected - found)))
    return difference / largest if largest else difference


def directions(problem: Problem) -> tuple[str, ...]:
    """Return what there is to run."""
    both = (TOGETHER,) if problem.timed_together else ()
    return ("forward", "backward", *both) if problem.backward else ("forward",)


def returns(problem: Problem, direction: str, saved: Results) -> tuple[str, ...]:
    """Name the results of a direction."""
    return problem.forward.returns if direction == "forward" else problem.backward(*saved).returns  # type: ignore[misc]


def start_at_toy_size(
    case: Case, backends: Sequence[Backend], torch: TorchPeer | None, dtype: str
) -> dict[tuple[str, str], float]:
    """Compare every backend with the reference's loops, and time what the first call costs extra.

    That extra is the compiling, or the loading of what was compiled before; the arrays are so small that
    nothing else counts. Returns seconds by (backend, direction).
    """
    problem = case.problem("toy", dtype)
    with ops.use_backend("reference"):
        saved = problem.forward.run()
    reference = backend_runner(problem, "reference", saved)
    expected = {direction: reference.results(direction) for direction in directions(problem)}
    runners = [backend_runner(problem, backend, saved) for backend in backends]
    if torch and not torch.why_not(problem):
        runners.append(torch.runner(problem))
    extra = {}
    for runner in runners:
        for direction in directions(problem):
            start = perf_counter()
            found = runner.results(direction)
            first = perf_counter() - start
            start = perf_counter()
            runner.results(direction)
            extra[runner.name, direction] = max(first - (perf_counter() - start), 0.0)
            if runner.comparable:
                what = f"{case.op} ({case.name}), {direction}, toy size"
                names = returns(problem, direction, saved)
                check_agreement(what, names, expected[direction], found, runner.name, "reference", dtype)
    return extra


# ---------------------------------------------------------------------------------------------------------
# Time and memory


def interleaved_times(
    runners: Sequence[Runner], direction: str, settings: Settings
) -> dict[str, list[float]]:
    """Time the runners in turn."""
    return interleaved({r.name: partial(seconds_of, r.call(direction), r.context) for r in runners}, settings)


def interleaved(timers: Mapping[str, Callable[[int], float]], settings: Settings) -> dict[str, list[float]]:
    """Time each in turn, again and again, so that a slow moment of the machine hits them all.

    Stops early when the time limit is over. Returns seconds for one call.

    Parameters
    ----------
    timers
        By name: functions that make so many calls, and return the seconds that one took.
    settings
        How often, and how long at most.
    """
    calls = {}
    for name, timer in timers.items():  # this round warms up and shows how many calls make a measurable time
        calls[name] = min(math.ceil(SHORTEST_REPEAT / max(timer(1), 1e-9)), 100)
    times: dict[str, list[float]] = {name: [] for name in timers}
    start = perf_counter()
    for repeat in range(settings.repeats):
        if repeat >= FEWEST_REPEATS and perf_counter() - start > settings.time_limit:
            break
        for name, timer in timers.items():
            times[name].append(timer(calls[name]))
    return times


def seconds_of(
    run: Callable[[], Any], context: Callable[[], AbstractContextManager[Any]], calls: int
) -> float:
    """Return the seconds that one call takes, as the mean of several in a row."""
    with context():
        start = perf_counter()
        for _ in range(calls):
            run()
        return (perf_counter() - start) / calls


def extra_memory(runner: Runner, direction: str) -> int:
    """Return how many bytes a call needs at its peak beyond its arguments; its results are included."""
    run = runner.call(direction)
    with runner.context(), machine.ExtraMemory() as memory:
        run()
    return memory.bytes


def statistics(times: Sequence[float]) -> dict[str, Any]:
    """Return the median and the quartiles."""
    lower, median, upper = (round(float(q), 9) for q in np.percentile(times, (25, 50, 75)))
    return {"median_s": median, "lower_quartile_s": lower, "upper_quartile_s": upper, "repeats": len(times)}


def measure(
    case: Case,
    backends: Sequence[Backend],
    torch: TorchPeer | None,
    settings: Settings,
    ceilings: roofline.Machine | None = None,
) -> list[dict[str, Any]]:
    """Measure a case: one row for the forward, one for the backward, for some ops one for both in one go."""
    first_call = start_at_toy_size(case, backends, torch, settings.dtype)
    problem = case.problem(settings.scale, settings.dtype)
    with ops.use_backend(backends[0]):
        saved = problem.forward.run()
    runners = [backend_runner(problem, backend, saved) for backend in backends]
    missing = torch.why_not(problem) if torch else None
    if torch and not missing:
        runners.append(torch.runner(problem))
    measures_memory = machine.why_no_memory() is None

    rows = []
    for direction in directions(problem):
        names = returns(problem, direction, saved)
        results = _agree_at_full_size(case, names, runners, direction, settings)
        flops, moved = work(problem, direction, saved, results)
        row: dict[str, Any] = {
            "op": case.op,
            "case": case.name,
            "shape": list(_shape(problem)),
            "direction": direction,
            "flops": flops,
            "bytes": moved,
            "results": {},
            "missing": {"torch": missing} if missing else {},
        }
        for name, times in interleaved_times(runners, direction, settings).items():
            row["results"][name] = statistics(times)
        for runner in runners:
            found = row["results"][runner.name]
            found["roofline_share"] = _share(ceilings, row, found["median_s"])
            found["extra_memory_bytes"] = extra_memory(runner, direction) if measures_memory else None
            if not runner.is_torch:
                found["first_call_extra_s"] = round(first_call[runner.name, direction], 4)
        rows.append(row)
    return rows


def work(problem: Problem, direction: str, saved: Results, results: Results) -> tuple[int, int]:
    """Count the operations and the bytes of a direction."""
    forward = problem.forward.flops, problem.forward.bytes(saved)
    if direction == "forward":
        return forward
    call = problem.backward(*saved)  # type: ignore[misc]
    backward = call.flops, call.bytes(results)
    return (forward[0] + backward[0], forward[1] + backward[1]) if direction == TOGETHER else backward


def _share(ceilings: roofline.Machine | None, row: dict[str, Any], seconds: float) -> float | None:
    """Say how near to the roofline a row comes: the shortest time that its work allows, over the time it took."""
    return None if ceilings is None else round(ceilings.shortest(row["flops"], row["bytes"]) / seconds, 4)


def _agree_at_full_size(
    case: Case, names: Sequence[str], runners: Sequence[Runner], direction: str, settings: Settings
) -> Results:
    """Compare all runners with the first, and return the first's results."""
    expected = runners[0].results(direction)
    what = f"{case.op} ({case.name}), {direction}, {settings.scale} size"
    for runner in runners[1:]:
        if runner.comparable:
            found = runner.results(direction)
            check_agreement(what, names, expected, found, runner.name, runners[0].name, settings.dtype)
    return expected


def _shape(problem: Problem) -> tuple[int, ...]:
    return tuple((problem.leaves or problem.constants)[0].shape)


def warm_up(backend: Backend, dtype: str) -> None:
    """Load a backend and start its threads, so that this is not counted as the first op's compiling."""
    other = "float64" if dtype == "float32" else "float32"  # compiles nothing that is measured later
    with ops.use_backend(backend):
        ops.relu(np.ones(8, other))
