"""What an exception tells, by its type, its message and the cases that raise it.

Only what holds in every case that raises it is said.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from minisegnet.marking.cases import Case, is_empty
from minisegnet.marking.contract import contract
from minisegnet.marking.way import options_of

if TYPE_CHECKING:
    from minisegnet.marking.judge import Tried

RAISES = {
    "EOFError": "does it ask for input()? Nobody is there to answer: it gets all that it needs as arguments",
    "SystemExit": "it ends the program (sys.exit): return the result instead",
    "KeyboardInterrupt": "it raises KeyboardInterrupt itself: return the result instead",
    "RecursionError": "it calls itself without an end: should it call another function of the same name?",
    "MemoryError": "it asks for far more memory than such small arrays need: look at the shapes of what it makes",
    "NotImplementedError": "this part isn't written yet",
}
LOOK = "Print the index and the shape just before this line"

# What None means, for the arguments that may be None.
NONE_MEANS = {
    "b": "then no bias is added",
    "stride": "then the windows lie side by side: the stride is kernel_size",
}


def about_error(tried: Sequence["Tried"], small: "Tried") -> str:
    """Return a hint on the exception that the small case raises; "" where nothing is sure."""
    alike = [t for t in [*tried, small] if _raises_like(t, small)]
    # With no picture at all nothing is computed, and nothing raised.
    others = [t for t in tried if not _raises_like(t, small) and not is_empty(t.case)]
    error, kind = small.outcome.error, small.outcome.error_kind
    if kind == "ValueError" and re.match(r"too many values to unpack \(expected [123]\b", error):
        return _about_unpacking(small.case)
    if kind in ("TypeError", "AttributeError") and "NoneType" in error:
        return _about_none(alike, others)
    if kind == "IndexError":
        return _about_index(alike, [t for t in others if not t.problems], small)
    if kind == "ValueError" and re.match(r"cannot reshape array of size 0 .*newaxis", error):
        if all(is_empty(t.case) for t in alike):
            return "of an empty batch NumPy can't tell how long -1 is: write the length itself"
    if kind == "ValueError" and "broadcast" in error:
        return _about_broadcasting(alike, [t for t in others if not t.problems])
    return RAISES.get(kind, "")


def _raises_like(tried: "Tried", small: "Tried") -> bool:
    if tried.outcome.how != "raised" or tried.outcome.error_kind != small.outcome.error_kind:
        return False
    return ("NoneType" in tried.outcome.error) == ("NoneType" in small.outcome.error)


def _splits(has: Callable[[Case], bool], alike: Sequence["Tried"], others: Sequence["Tried"]) -> bool:
    """Say whether all cases that raise have something that none of the others has, of which there are some."""
    return bool(others) and all(has(t.case) for t in alike) and not any(has(t.case) for t in others)


def _about_unpacking(case: Case) -> str:
    for name, value in (case.arguments() or {}).items():
        if name in ("x", "dy") and isinstance(value, np.ndarray) and value.ndim == 4:
            return (
                f"{name} has four axes, (N, C, H, W): a batch of N pictures. If it is {name}.shape that this line "
                "takes apart, it needs a name for N, too; and a loop over n goes around the rest"
            )
    return ""


def _about_none(alike: Sequence["Tried"], others: Sequence["Tried"]) -> str:
    defaults = contract(alike[0].case.op).defaults
    for name in (n for n, default in defaults.items() if default is None):
        if _splits(partial(_without, name), alike, others):
            means = NONE_MEANS.get(name)
            return f"{name} may be None{f': {means}' if means else '; that needs a case of its own'}"
    return ""


def _without(option: str, case: Case) -> bool:
    return option not in options_of(case)


def _about_broadcasting(alike: Sequence["Tried"], passing: Sequence["Tried"]) -> str:
    if alike[0].case.op in FILTERS and _splits(_long_bias, alike, passing):
        return "it comes only where there is a bias. b is (K,): b[:, None, None] lies beside (N, K, OH, OW)"
    return ""


def _long_bias(case: Case) -> bool:
    b = (case.arguments() or {}).get("b")
    return b is not None and len(b) > 1


def _about_index(alike: Sequence["Tried"], passing: Sequence["Tried"], small: "Tried") -> str:
    op, sizes = small.case.op, small.case.sizes
    if sizes.get("ignore", 0) > 1:
        return (
            "an ignored label (255) is no class: it can't be used as an index. Leave those pixels out first"
        )
    if op in FILTERS and _splits(lambda case: "groups" in options_of(case), alike, passing):
        return f"it comes with groups only. {FILTERS[op][0]}. {LOOK}"
    if op in FILTERS and _splits(_differing_channels, alike, passing):
        return f"it comes only where the first two axes of w differ in length. {FILTERS[op][1]}"
    if sizes.get("ph", 0) or sizes.get("pw", 0):
        return f"an index lies outside of its array: with padding, a row below 0 or from H on doesn't exist. {LOOK}"
    return f"an index lies outside of its array. {LOOK}"


_GROUPED = (
    "With groups, filter k sees only C // groups channels of x, from (k // (K // groups)) * (C // groups) on; "
    "and w's second axis has only so many"
)
_GROUPED_TRANSPOSED = (
    "With groups, channel c of x goes only into K // groups channels of y, from "
    "(c // (C // groups)) * (K // groups) on; and w's second axis has only so many"
)
_ORDER = "w is (K, C // groups, KH, KW): the output's channels first"
_ORDER_TRANSPOSED = (
    "w is (C, K // groups, KH, KW): the input's channels first, the other way round than in conv2d"
)

# What is said of groups and of the filter's axes.
FILTERS = {
    "conv2d": (_GROUPED, _ORDER),
    "conv2d_backward": (_GROUPED, _ORDER),
    "conv_transpose2d": (_GROUPED_TRANSPOSED, _ORDER_TRANSPOSED),
    "conv_transpose2d_backward": (_GROUPED_TRANSPOSED, _ORDER_TRANSPOSED),
}


def _differing_channels(case: Case) -> bool:
    w = (case.arguments() or {})["w"]
    return bool(w.shape[0] != w.shape[1])
