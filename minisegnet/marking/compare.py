"""Is an answer right? Kind, number, shape, values and dtype of each part, in this order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minisegnet.marking.calling import Number, Outcome, Strange
from minisegnet.marking.cases import Case
from minisegnet.marking.contract import contract

# How far a right answer may be off by rounding, relative to the largest value of the result (or 1).
TOLERANCE = {"float64": 1e-8, "float32": 3e-4}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an answer.

    ``kind`` is "raised", "late", "died", "changed", "count", "nothing", "kind", "shape", "values", "dtype" or
    "unstable"; ``output`` names the part of the answer, ``text`` says it in words.
    """

    kind: str
    output: str
    text: str


def result_names(case: Case) -> tuple[str, ...]:
    """Name the parts of the right answer to a case."""
    names = contract(case.op).results
    if names == ("*parts",):
        return tuple(f"part {i}" for i in range(len(case.expected() or ())))
    return names


def problems(case: Case, outcome: Outcome) -> list[Problem]:
    """List what is wrong with an answer, part by part."""
    if outcome.how != "returned":
        return [Problem(outcome.how, "", _told(outcome))]
    found: list[Problem] = []
    if outcome.changed:
        listed = " and ".join(outcome.changed)
        found.append(Problem("changed", outcome.changed[0], f"it changes its argument {listed}"))
    names, expected = result_names(case), case.expected() or ()
    counted = _count(outcome, names)
    if counted is not None:
        return [*found, counted]
    if not (case.arguments() or {}).get("need_dx", True):
        expected = (None, *expected[1:])
    for name, right, got in zip(names, expected, outcome.values, strict=False):
        problem = None if right is None else _part(name, right, got, case)
        if problem is not None:
            found.append(problem)
    return found


def _told(outcome: Outcome) -> str:
    if outcome.how == "raised":
        told = f"it raises {outcome.error_kind}"
        return f"{told}: {outcome.error}" if outcome.error else told
    return outcome.error


def _count(outcome: Outcome, names: tuple[str, ...]) -> Problem | None:
    values = outcome.values
    listed = ", ".join(names)
    if not outcome.many and values[0] is None:
        return Problem("nothing", names[0], f"it returns None; expected {listed}")
    if outcome.many and len(names) == 1 and not names[0].startswith("part"):
        what = "a list" if outcome.many == "list" else f"a tuple of {len(values)}"
        return Problem("count", names[0], f"it returns {what}; expected one array, {listed}")
    if len(values) > len(names):
        return Problem("count", names[0], f"it returns {len(values)} values; expected {len(names)}: {listed}")
    if names[0].startswith("part") and len(values) != len(names):
        return Problem("count", names[0], f"it returns {len(values)} arrays; expected {len(names)}")
    return None


def _part(name: str, right: Any, got: Any, case: Case) -> Problem | None:
    if got is None:
        return Problem("nothing", name, f"{name} is None; expected an array of shape {right.shape}")
    if isinstance(got, Strange) and got.kind.startswith("array of shape"):
        return Problem("shape", name, f"{name} is a huge {got.kind}; expected {right.shape}")
    if isinstance(got, Strange):
        return Problem("kind", name, f"{name} is of type {got.kind}; expected a NumPy array")
    number = isinstance(got, Number)
    if isinstance(got, Number):
        if right.ndim:
            return Problem("kind", name, f"{name} is a number; expected an array of shape {right.shape}")
        got = got.value
    if got.shape != right.shape:
        return Problem("shape", name, f"{name} has shape {got.shape}; expected {right.shape}")
    if not equal(got, right, "float32" if got.dtype == np.float32 else case.dtype):
        wrong = wrong_entries(got, right, case.dtype)
        many = f": {int(wrong.sum())} of {wrong.size} entries" if wrong.size > 1 else ""
        return Problem("values", name, f"{name} is wrong{many}")
    if number:
        return None
    if got.dtype != right.dtype and not (right.dtype.kind == "i" and got.dtype.kind in "iu"):
        return Problem("dtype", name, f"{name} has dtype {got.dtype}; expected {right.dtype}")
    return None


def as_array(value: Any) -> Any:
    """Return a part of an answer as an array; None where it is no numbers."""
    if isinstance(value, Number):
        return value.value
    return value if isinstance(value, np.ndarray) else None


def tolerance(right: Any, dtype: str) -> float:
    """Return how far an entry may be off."""
    if right.dtype.kind != "f":
        return 0.0
    finite = right[np.isfinite(right)]
    return TOLERANCE[dtype] * max(1.0, float(np.abs(finite).max(initial=0)))


def wrong_entries(got: Any, right: Any, dtype: str = "float64") -> Any:
    """Mark the entries that are off, a NaN or an infinity in the wrong place too."""
    a, b = np.asarray(got, np.float64), np.asarray(right, np.float64)
    with np.errstate(all="ignore"):
        near = np.abs(a - b) <= tolerance(right, dtype)
    return ~(near | (a == b) | (np.isnan(a) & np.isnan(b)))


def equal(got: Any, right: Any, dtype: str = "float64") -> bool:
    """Say whether two arrays are the same but for rounding."""
    return got.shape == right.shape and not wrong_entries(got, right, dtype).any()
