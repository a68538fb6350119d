"""One call of a learner's function, and what can be seen of it: the answer, a change of the arguments, an error.

The same code runs in the marker's own process (`Direct`, for tests) and in the learner's (`child.py`).
"""

import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

LARGEST = 2**25  # bytes of one array of an answer; no right one comes near it
LAYOUTS = ("plain", "read-only", "every second", "transposed", "backwards")


@dataclass(frozen=True)
class Strange:
    """Something in an answer that is no array, told in words: its type and how it is written."""

    kind: str
    text: str


@dataclass(frozen=True)
class Taken:
    """The parameters of a learner's function."""

    names: tuple[str, ...]  # those that can be given by position, in order
    keywords: tuple[str, ...]  # those that can be given by name
    required: tuple[str, ...]
    any_name: bool  # **options
    any_number: bool  # *arguments
    known: bool = True  # False for what has no signature, such as a ufunc


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    ``how`` is "returned", "raised", "late" (it took too long) or "died" (the process went away); ``error`` tells in
    words. ``values`` has the parts of the answer, ``many`` says that it was a "tuple" or a "list".
    """

    how: str
    values: tuple[Any, ...] = ()
    many: str = ""
    changed: tuple[str, ...] = ()  # arguments that differ after the call
    shared: bool = False  # the answer shares memory with an argument
    error: str = ""
    error_kind: str = ""
    where: str = ""  # "line 12: y[i] = x[j]"
    subclass: str = ""


class Caller(Protocol):
    """Whoever can call the learner's functions."""

    def taken(self, op: str) -> Taken:
        """Return the parameters of a function."""

    def call(
        self, op: str, positional: Sequence[Any], options: dict[str, Any], names: Sequence[str], layout: str
    ) -> Outcome:
        """Call a function, in whatever process it lives."""


@dataclass
class Direct:
    """Calls functions in this process."""

    functions: dict[str, Callable[..., Any]]
    file: str = ""
    calls: int = field(default=0)

    def taken(self, op: str) -> Taken:
        """Return the parameters of a function."""
        return taken(self.functions[op])

    def call(
        self, op: str, positional: Sequence[Any], options: dict[str, Any], names: Sequence[str], layout: str
    ) -> Outcome:
        """Call a function."""
        self.calls += 1
        return perform(self.functions[op], positional, options, names, layout, self.file)


def taken(function: Callable[..., Any]) -> Taken:
    """Read the parameters of a function."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Taken((), (), (), True, True, known=False)
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return Taken(
        tuple(p.name for p in by_position),
        tuple(p.name for p in by_name),
        tuple(p.name for p in dict.fromkeys([*by_position, *by_name]) if p.default is p.empty),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
        any(p.kind is p.VAR_POSITIONAL for p in parameters),
    )


def perform(
    function: Callable[..., Any],
    positional: Sequence[Any],
    options: dict[str, Any],
    names: Sequence[str],
    layout: str,
    file: str,
) -> Outcome:
    """Call a function with arrays laid out anew, and look at what it returns and leaves behind."""
    arguments = [_laid_out(value, layout) for value in positional]
    named = {name: _laid_out(value, layout) for name, value in options.items()}
    before = [_copied(value) for value in [*arguments, *named.values()]]
    try:
        answer = function(*arguments, **named)
    except BaseException as error:  # SystemExit and KeyboardInterrupt of the learner's code, too
        return Outcome(
            "raised", error=_told(error), error_kind=type(error).__name__, where=_where(error, file)
        )
    after = [*arguments, *named.values()]
    changed = [
        name for name, old, new in zip([*names, *named], before, after, strict=True) if not _same(old, new)
    ]
    many = "list" if isinstance(answer, list) else "tuple" if isinstance(answer, tuple) else ""
    values = list(answer) if many else [answer]
    arrays = [a for value in after for a in (value if isinstance(value, list) else [value])]
    shared = any(
        isinstance(v, np.ndarray) and isinstance(a, np.ndarray) and np.may_share_memory(v, a)
        for v in values
        for a in arrays
    )
    subclasses = {type(v).__name__ for v in values if isinstance(v, np.ndarray) and type(v) is not np.ndarray}
    return Outcome(
        "returned",
        tuple(_plain(v) for v in values),
        many,
        tuple(changed),
        shared,
        subclass=", ".join(sorted(subclasses)),
    )


def _laid_out(value: Any, layout: str) -> Any:
    """Return a fresh array of the same values that lies in memory as the layout says."""
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        return [_laid_out(v, layout) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    if layout == "transposed":
        return np.array(value, order="F")
    if layout == "backwards" and value.ndim:
        return np.ascontiguousarray(value[..., ::-1])[..., ::-1]
    if layout == "every second" and value.ndim:
        wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)
        wide[..., ::2] = value
        return wide[..., ::2]
    fresh = np.array(value, order="C")
    if layout == "read-only":
        fresh.flags.writeable = False
    return fresh


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(v) for v in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(a, b) for a, b in zip(old, new, strict=True))
    if not isinstance(old, np.ndarray):
        return True
    return old.shape == new.shape and np.array_equal(old, new, equal_nan=old.dtype.kind == "f")


def _plain(value: Any) -> Any:
    """Keep arrays, numbers and None; tell all else in words. An array of objects is no array of numbers."""
    if isinstance(value, np.ma.MaskedArray):
        return Strange("masked array", "")
    if isinstance(value, np.ndarray) and value.nbytes > LARGEST:
        return Strange(f"array of shape {value.shape}", "")
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
        return np.array(value) if isinstance(value, np.ndarray) else Number(np.array(value), "numpy")
    if isinstance(value, bool | int | float):
        return Number(np.array(value), "python")
    if value is None:
        return None
    what = f"array of dtype {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    return Strange(what, _short(value))


@dataclass(frozen=True)
class Number:
    """A number where an array of no axes may stand: NumPy's or Python's."""

    value: Any
    kind: str


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a learner's own __repr__
        return ""
    return text if len(text) <= 60 else text[:57] + "..."


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return text if len(text) <= 500 else text[:497] + "..."


def _where(error: BaseException, file: str) -> str:
    """Return the last line of the learner's file that the error came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    if not frames:
        return ""
    last = frames[-1]
    return f"line {last.lineno}: {last.line}" if last.line else f"line {last.lineno}"
