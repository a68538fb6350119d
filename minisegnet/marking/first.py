"""Which of the failing cases is shown first, and which option may not be written yet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minisegnet.marking.cases import ORDINARY, Case, is_empty
from minisegnet.marking.contract import contract
from minisegnet.marking.way import options_of

if TYPE_CHECKING:
    from minisegnet.marking.judge import Tried

# What a learner comes to last. A mistake that shows without it is told before it.
LATER = {"groups", "ceil_mode", "output_padding", "dilation", "count_include_pad"}


def first_to_show(failing: Sequence["Tried"]) -> "Tried":
    """Choose the plainest failing case: with few options, with ordinary numbers, then the smallest."""
    return min(failing, key=lambda tried: _burden(tried.case))  # of equals the first, they are sorted by size


def _burden(case: Case) -> int:
    """Weigh what a case asks for beside the plain call."""
    options = sum(4 if name in LATER else 2 for name in options_of(case))
    if case.fill in ("ties", "negative"):
        return options + 1
    dressed = case.dtype != "float64" or case.layout != "plain" or is_empty(case)
    return options + (3 if dressed or case.fill not in ORDINARY else 0)


def never_right(tried: Sequence["Tried"]) -> str:
    """Name the option which every failing case has and no passing one; "" if there is none."""
    failing = [options_of(t.case) for t in tried if t.problems]
    passing = [options_of(t.case) for t in tried if not t.problems]
    if not failing or not passing:
        return ""
    common = set.intersection(*failing).difference(*passing)
    return next((name for name in contract(tried[0].case.op).defaults if name in common), "")
