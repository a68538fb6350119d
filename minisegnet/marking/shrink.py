"""Make a failing case as small as it can be, and its numbers as plain as they can be."""

import time
from collections.abc import Callable

from minisegnet.marking.cases import FAMILIES, Case

PLAIN = (("counting", 0), *(("integers", seed) for seed in range(8)))
CALLS = 300
SECONDS = 20.0


def shrink(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return the smallest case found that still fails.

    Each integer of the case is brought to its least value where that still fails, else halfway, else one step; over
    and over until none gives in. Then come plainer numbers, and once more the sizes.
    """
    left = [CALLS]
    end = time.monotonic() + SECONDS

    def still(candidate: Case) -> bool:
        if left[0] <= 0 or time.monotonic() > end or candidate.arguments() is None:
            return False
        left[0] -= 1
        return fails(candidate)

    for dtype, layout in (("float64", "plain"), ("float64", case.layout), (case.dtype, "plain")):
        formed = case.with_form(dtype, layout)
        if formed != case and still(formed):
            case = formed
            break
    case = _smaller(case, still)
    case = _plainer(case, still)
    return _smaller(case, still)


def _plainer(case: Case, still: Callable[[Case], bool]) -> Case:
    if case.fill != "normal":  # ties, NaN and the like were chosen on purpose
        return case
    for fill, seed in PLAIN:
        plain = case.with_values(fill, seed)
        if still(plain):
            return plain
    return case


def _smaller(case: Case, still: Callable[[Case], bool]) -> Case:
    least = FAMILIES[case.op].least
    going = True
    while going:
        going = False
        for name, lowest in least.items():
            value = case.sizes[name]
            step = 1 if value > lowest else -1
            for smaller in dict.fromkeys((lowest, lowest + (value - lowest) // 2, value - step)):
                if abs(smaller - lowest) >= abs(value - lowest):
                    continue
                candidate = case.with_sizes(**{name: smaller})
                if still(candidate):
                    case, going = candidate, True
                    break
        for h, w in (("H", "W"), ("KH", "KW"), ("sh", "sw"), ("dh", "dw"), ("ph", "pw"), ("OH", "OW")):
            if h in least and case.sizes[h] == case.sizes[w] > least[h]:
                both = case.with_sizes(**{h: case.sizes[h] - 1, w: case.sizes[w] - 1})
                if still(both):
                    case, going = both, True
    return case
