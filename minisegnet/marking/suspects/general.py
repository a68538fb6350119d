"""Mistakes that can be made with any op: an option that is taken but not used, height and width mixed up."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from minisegnet.marking.contract import PAIRS, RESULTS, contract
from minisegnet.marking.suspects.suspect import right, suspect

# Where an option left out is named better by a suspect of its own.
NOT_THESE = {
    ("max_pool2d", "stride"),
    ("avg_pool2d", "stride"),
    ("pad2d_backward", "mode"),
    ("conv2d_relu", "groups"),  # with filters for several groups, the call without is refused
}
NOT_THESE_OPS = {  # another stride needs another dy: see convolution.py
    "conv2d_backward",
    "conv2d_relu_backward",
    "conv_transpose2d_backward",
}


def _with(op: str, output: str, change: Callable[[SimpleNamespace], dict[str, Any]]) -> Callable[..., Any]:
    def run(a: SimpleNamespace) -> Any:
        return right(op, a, output, **change(a))

    return run


def _ignored(op: str, output: str, name: str, default: Any) -> None:
    hint = f"""your {output} is what comes out with {name}={default!r}, whatever {name} is.
        Is {name} used everywhere, also where the output's size is computed?"""
    if name == "b":
        hint = "the bias is missing: add b[k] to every place of channel k, once"
    value = (default, default) if name in PAIRS and isinstance(default, int) else default
    suspect(f"{op}.{name}-ignored", op, output, hint)(_with(op, output, lambda a: {name: value}))


def _halves(a: SimpleNamespace, name: str) -> tuple[int, int]:
    value: tuple[int, int] = getattr(a, name) or a.kernel_size  # stride=None is the window's size
    return value


def _one_for_both(op: str, output: str, name: str) -> None:
    def swapped(a: SimpleNamespace) -> dict[str, Any]:
        return {name: _halves(a, name)[::-1]}

    def first(a: SimpleNamespace) -> dict[str, Any]:
        return {name: (_halves(a, name)[0],) * 2}

    def last(a: SimpleNamespace) -> dict[str, Any]:
        return {name: (_halves(a, name)[1],) * 2}

    suspect(
        f"{op}.{name}-swapped",
        op,
        output,
        f"height and width are swapped in {name}: a pair is (h, w), rows first",
    )(_with(op, output, swapped))
    for half, change in (("first", first), ("second", last)):
        hint = f"only the {half} number of {name} is used, for rows and for columns; a pair is (h, w)"
        suspect(f"{op}.{name}-one-for-both", op, output, hint)(_with(op, output, change))


def _mixed_up(op: str, output: str, name: str) -> None:
    hint = f"{name} is mixed up: True gives what False should give, and the other way round"
    suspect(f"{op}.{name}-inverted", op, output, hint)(
        _with(op, output, lambda a: {name: not getattr(a, name)})
    )


def _all() -> None:
    for op, outputs in RESULTS.items():
        if op in NOT_THESE_OPS:
            continue
        its = contract(op)
        for output in outputs:
            if output.startswith("*"):
                continue
            for name in (*its.positional, *its.options):
                if (op, name) in NOT_THESE:
                    continue
                if name in its.defaults:
                    _ignored(op, output, name, its.defaults[name])
                if name in PAIRS:
                    _one_for_both(op, output, name)
                if isinstance(its.defaults.get(name), bool) and name != "need_dx":
                    _mixed_up(op, output, name)


_all()
