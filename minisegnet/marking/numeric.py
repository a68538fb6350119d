"""Numerical derivatives of the reference's forward: the second witness for a backward.

A backward is called with less than its forward was (max pooling's has the indices, not x). Here is for each op the
function of one array whose gradient the backward computes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minisegnet.marking.calling import Caller
from minisegnet.marking.cases import Arguments, Case, answer, cases
from minisegnet.marking.contract import contract

STEP = 1e-4

# Forwards that are linear in what the gradient is for: any x will do.
LINEAR = {
    "avg_pool2d_backward": "x",
    "global_avg_pool2d_backward": "x",
    "adaptive_avg_pool2d_backward": "x",
    "resize_bilinear_backward": "x",
    "resize_nearest_backward": "x",
    "roi_align_backward": "x",
    "crop2d_backward": "x",
    "pad2d_backward": "x",
    "max_unpool2d_backward": "x",
}
INPUTS = {"dx": "x", "dw": "w", "dlogits": "logits"}


@dataclass(frozen=True)
class Forward:
    """A forward as a function of the inputs that the backward's results belong to."""

    run: Callable[..., Any]
    inputs: tuple[Any, ...]
    outputs: tuple[str, ...]


def forward_of(case: Case) -> Forward | None:
    """Find the function that a backward's case differentiates; None where there isn't one, or it has a jump."""
    arguments, op = case.arguments(), case.op.removesuffix("_backward")
    if arguments is None or case.dtype != "float64" or not arguments.get("need_dx", True):
        return None
    if case.op in ("conv2d_backward", "conv_transpose2d_backward", "linear_backward"):
        return _weighted(op, arguments)
    if case.op in LINEAR:
        return _linear(case, op, arguments)
    if case.op in ("softmax_backward", "sigmoid_backward", "log_softmax_backward"):
        return _soft(op, arguments)
    if case.op == "bce_with_logits_backward":
        given = {name: arguments[name] for name in arguments if name != "dloss"}
        return Forward(lambda z: answer(op, {**given, "logits": z})[0], (arguments["logits"],), ("dlogits",))
    if case.op == "batch_norm_backward" and arguments["training"]:
        return _normalised(arguments)
    return None


def _weighted(op: str, arguments: Arguments) -> Forward:
    given = {name: arguments[name] for name in arguments if name in contract(op).options}

    def run(x: Any, w: Any) -> Any:
        return answer(op, {"x": x, "w": w, "b": None, **given})[0]

    return Forward(run, (arguments["x"], arguments["w"]), ("dx", "dw"))


def _linear(case: Case, op: str, arguments: Arguments) -> Forward | None:
    if case.op == "max_unpool2d_backward" and case.sizes["repeat"]:
        return None  # by design no derivative: see the contract
    x = np.random.default_rng(3).standard_normal(np.shape((case.expected() or [0])[0]))
    its = contract(op)
    size = case.arguments() or {}
    given = {name: size[name] for name in (*its.positional, *its.options) if name in size}
    sized = "size" if "size" in its.positional else "output_size"
    if sized in its.positional:
        given[sized] = tuple(arguments["dy"].shape[2:])
    return Forward(lambda x: answer(op, {**given, "x": x})[0], (x,), ("dx",))


def _soft(op: str, arguments: Arguments) -> Forward:
    y, options = arguments["y"], {n: v for n, v in arguments.items() if n == "axis"}
    if op == "log_softmax":
        x = y
    else:  # any x that gives this y; a softmax's is known up to a constant
        x = np.log(np.maximum(y, 1e-300)) if op == "softmax" else np.log(y) - np.log1p(-y)
    return Forward(lambda x: answer(op, {"x": x, **options})[0], (x,), ("dx",))


def _normalised(arguments: Arguments) -> Forward | None:
    gamma, x = arguments["gamma"], arguments["x"]
    axes = tuple(i for i in range(x.ndim) if i != 1)
    variance = x.var(axis=axes)
    eps = float(1 / arguments["inv_std"][0] ** 2 - variance[0])
    if eps <= 0 or variance.min() < 1e-3:
        return None

    def run(x: Any) -> Any:
        given = {"beta": None if gamma is None else 0 * gamma, "running_mean": None, "running_var": None}
        options = {"training": True, "momentum": 0.1, "eps": eps}
        return answer("batch_norm", {"x": x, "gamma": gamma, **given, **options})[0]

    return Forward(run, (x,), ("dx",))


def derivative(case: Case, output: str, index: Sequence[int]) -> float | None:
    """Nudge one number of the forward's input up and down, and see how <dy, y> changes."""
    forward = forward_of(case)
    if forward is None or output not in forward.outputs:
        return None
    dy = np.asarray((case.arguments() or {}).get("dy", (case.arguments() or {}).get("dloss")))
    place = forward.outputs.index(output)
    ends = []
    for step in (STEP, -STEP):
        moved = [np.array(x, copy=True) for x in forward.inputs]
        moved[place][tuple(index)] += step
        ends.append(float(np.sum(dy * forward.run(*moved))))
    return (ends[0] - ends[1]) / (2 * STEP)


def vjp_problem(op: str, way: Any, caller: Caller) -> str:
    """Check a backward that agrees with the reference against numerical derivatives, too; "" if it passes."""
    from minisegnet.testing import GradientError, check_vjp

    case = next((c for c in reversed(cases(op)) if _suits(c) and way.allows(c)), None)
    forward = forward_of(case) if case else None
    if case is None or forward is None or not op.endswith("_backward"):
        return ""
    kept = [i for i, name in enumerate(forward.outputs) if name in contract(op).results]

    def backward(dy: Any, *inputs: Any) -> list[Any]:
        first = "dy" if "dy" in contract(op).positional else "dloss"
        arguments = {**(case.arguments() or {}), first: dy}
        positional = [arguments[n] for n in way.positional if n in arguments]
        outcome = caller.call(op, positional, _named(way, case), way.positional[: len(positional)], "plain")
        if outcome.how != "returned" or len(outcome.values) <= max(kept):
            raise ValueError  # fewer results than there are yet
        return [outcome.values[i] for i in kept]

    try:
        check_vjp(forward.run, backward, *(np.asarray(x, np.float64) for x in forward.inputs), rtol=1e-5)
    except (GradientError, ValueError, TypeError) as error:
        return str(error) if isinstance(error, GradientError) else ""
    return ""


def _suits(case: Case) -> bool:
    """Say whether numerical derivatives of this case are to be trusted."""
    return case.layout == "plain" and case.fill == "normal" and forward_of(case) is not None


def _named(way: Any, case: Case) -> dict[str, Any]:
    named: dict[str, Any] = way.split(case)[1]
    return named
