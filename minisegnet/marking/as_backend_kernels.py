"""A backend made of a learner's kernels, with NumPy's in the gaps and a stopwatch around each."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from minisegnet.backends import numpy as ours
from minisegnet.marking.calling import _told as told
from minisegnet.marking.calling import _where as where
from minisegnet.marking.calling import taken
from minisegnet.marking.contract import PAIRS, contract
from minisegnet.marking.way import Way, WrongSignature, find_way

NEAR = 1e-3  # how far float32 results may be apart, relative to the largest


class Unusable(Exception):
    """A kernel that the training can't go on with; says why, in words for the learner."""


@dataclass
class Stopwatch:
    """How long each kernel took, how often it was called, and which one is running now."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    inside: str = ""

    def time(self, op: str, function: Callable[[], Any]) -> Any:
        """Call a function; an op inside an op (none is) would count twice."""
        self.inside, begin = op, time.perf_counter()
        try:
            return function()
        finally:
            self.seconds[op] += time.perf_counter() - begin
            self.calls[op] += 1
            self.inside = ""

    def clear(self) -> None:
        """Begin anew."""
        self.seconds.clear()
        self.calls.clear()


def backend(
    functions: Mapping[str, Callable[..., Any]], file: str, watch: Stopwatch
) -> tuple[ModuleType, "Notes"]:
    """Make a module of kernels for ``use_backend``: the given functions, else NumPy's.

    Parameters
    ----------
    functions
        The learner's, by the op's name. None at all: a backend of NumPy's kernels with a stopwatch.
    file
        The learner's file, to name the line where something is raised.
    watch
        Gets the times.
    """
    module, notes = ModuleType("learner"), Notes()
    for op in ours.__all__:
        if op in functions:
            setattr(module, op, _Kernel(op, functions[op], file, watch, notes))
        else:
            setattr(module, op, _timed(op, getattr(ours, op), watch))
    return module, notes


def _timed(op: str, function: Callable[..., Any], watch: Stopwatch) -> Callable[..., Any]:
    return lambda *arguments, **options: watch.time(op, lambda: function(*arguments, **options))


@dataclass
class Notes:
    """What was seen of the learner's kernels that doesn't stop the training; one line for each kernel and kind."""

    lines: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, op: str, kind: str, text: str) -> None:
        """Note something, the first time."""
        self.lines.setdefault((op, kind), f"{op} {text}")


@dataclass(frozen=True)
class _Given:
    """What an op hands to a kernel, as the marker's `Way` wants it: (h, w) pairs that are equal become one number."""

    values: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        return self.values


class _Kernel:
    """One of the learner's functions, called as the ops call kernels."""

    def __init__(
        self, op: str, function: Callable[..., Any], file: str, watch: Stopwatch, notes: Notes
    ) -> None:
        self.op, self.function, self.file, self.watch, self.notes = op, function, file, watch, notes
        self.contract = contract(op)
        self.seen: set[str] = set()
        try:
            self.way: Way = find_way(op, taken(function))
        except WrongSignature as error:
            raise Unusable(f"{op}: {error}") from None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = dict(zip(self.contract.positional, arguments, strict=False)) | options
        given = {**self.contract.defaults, **given}
        given = {name: _one_number(value) if name in PAIRS else value for name, value in given.items()}
        positional, named = self._split(given)
        results = self._results(self._run(positional, named, given), given)
        call = _call(given)
        if call not in self.seen:  # once for each shape and option
            self.seen.add(call)
            right = getattr(ours, self.op)(*arguments, **options)
            self._compare(results, right if isinstance(right, tuple | list) else (right,), call)
        _cast(results, given)
        if self.contract.results == ("*parts",):
            return results
        return tuple(results) if len(results) > 1 else results[0]

    def _split(self, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        case: Any = _Given(given)
        if not self.way.allows(case):
            lacking = [
                f"{name}={given[name]!r}"
                for name in self.way.missing
                if name in self.contract.defaults and _differs(given[name], self.contract.defaults[name])
            ]
            raise Unusable(f"{self.op} doesn't take {' and '.join(lacking)}, which the network needs")
        return self.way.split(case)

    def _run(self, positional: list[Any], named: dict[str, Any], given: dict[str, Any]) -> Any:
        try:
            return self.watch.time(self.op, lambda: self.function(*positional, **named))
        except BaseException as first:  # sys.exit() in the learner's code, too
            if not self.seen and not self.way.pairs and any(isinstance(given.get(n), int) for n in PAIRS):
                self.way.pairs = True  # one that takes pairs only, as the ops give them
                positional, named = self._split(given)
                try:
                    return self.watch.time(self.op, lambda: self.function(*positional, **named))
                except BaseException:
                    self.way.pairs = False
            place = where(first, self.file)
            raise Unusable(
                f"{self.op}({_call(given)}) raises {type(first).__name__}: {told(first)}"
                + (f"\n  {place}" if place else "")
            ) from None

    def _results(self, answer: Any, given: dict[str, Any]) -> list[Any]:
        """Return the parts of an answer, as many as there should be, each an array (or None)."""
        results = list(answer) if isinstance(answer, tuple | list) else [answer]
        names = self.contract.results
        if names == ("*parts",):
            names = tuple(f"part {i}" for i in range(len(given["sizes"])))
        if len(results) != len(names):
            raise Unusable(
                f"{self.op} returns {len(results)} value{'s' * (len(results) != 1)}; the network needs {len(names)}: "
                f"{', '.join(names)}"
            )
        for i, (name, value) in enumerate(zip(names, results, strict=True)):
            if isinstance(value, int | float | np.generic):
                results[i] = np.asarray(value)
            elif value is not None and not isinstance(value, np.ndarray):
                raise Unusable(f"{self.op}: {name} is of type {type(value).__name__}; expected a NumPy array")
        return results

    def _compare(self, results: list[Any], right: Any, call: str) -> None:
        """Hold the first answer for some shapes beside NumPy's. A wrong shape ends the training, wrong values don't."""
        names = self.contract.results
        for i, (got, wanted) in enumerate(zip(results, right, strict=True)):
            name = names[i] if len(names) == len(results) else f"part {i}"
            if wanted is None:
                continue
            if got is None:
                raise Unusable(f"{self.op}({call}): {name} is None; expected shape {wanted.shape}")
            if got.shape != wanted.shape:
                raise Unusable(f"{self.op}({call}): {name} has shape {got.shape}; expected {wanted.shape}")
            if got.dtype.kind not in "fiu" or (wanted.dtype.kind == "i" and got.dtype.kind == "f"):
                raise Unusable(f"{self.op}: {name} has dtype {got.dtype}; expected {wanted.dtype}")
            if not np.allclose(
                got,
                wanted,
                rtol=0,
                atol=NEAR * max(1.0, float(np.abs(wanted).max(initial=0))),
                equal_nan=True,
            ):
                off = float(np.abs(got - wanted).max())
                self.notes.add(self.op, name, f"differs from NumPy's: {name} by up to {off:.3g}, for {call}")
            if wanted.dtype.kind == "f" and got.dtype != wanted.dtype:
                self.notes.add(
                    self.op, "dtype", f"returns {got.dtype} for {wanted.dtype}; converted back each time"
                )


def _cast(results: list[Any], given: dict[str, Any]) -> None:
    """Give the results the dtype of the arrays that came in."""
    dtype = next((v.dtype for v in given.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"), None)
    for i, got in enumerate(results):
        if dtype is not None and got is not None and got.dtype.kind == "f" and got.dtype != dtype:
            results[i] = got.astype(dtype)


def _one_number(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] else value


def _differs(value: Any, default: Any) -> bool:
    return value is not default if value is None or default is None else bool(np.any(value != default))


def _call(given: dict[str, Any]) -> str:
    """Write a call down: arrays by their shapes, options where they are given."""
    parts = []
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            parts.append(f"{name} {value.shape}")
        elif isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
            parts.append(f"{name} {[v.shape for v in value]}")
        elif value is not None:
            parts.append(f"{name}={value}")
    return ", ".join(parts)
