"""Calls of the losses: with weights, with labels that don't count, with logits that overflow."""

from typing import Any

import numpy as np

from minisegnet.marking.cases.case import Arguments, Fill, Spec, answer, family

REDUCTIONS = ("mean", "sum", "none")
IGNORED = 255  # no class; with ignore 1 it is class 0 that doesn't count, with 3 nothing counts at all

LEAST = {"N": 1, "C": 1, "H": 1, "W": 1, "rank": 2, "weight": 0, "pixel": 0, "ignore": 0, "reduction": 0}
SPECS: tuple[Spec, ...] = (
    {"C": 2},
    {"N": 2, "C": 2},
    {"N": 2, "C": 3},
    {"C": 3, "H": 2, "W": 2, "rank": 4},
    {"N": 2, "C": 3, "H": 2, "W": 3, "rank": 4},
    {"N": 2, "C": 2, "reduction": 1},
    {"N": 2, "C": 2, "reduction": 2},
    {"N": 3, "C": 2, "weight": 1},
    {"N": 3, "C": 2, "pixel": 1},
    {"N": 3, "C": 2, "ignore": 1},
    {"N": 4, "C": 3, "ignore": 1},
    {"N": 3, "C": 2, "ignore": 2},
    {"N": 3, "C": 2, "ignore": 3},
    {"N": 3, "C": 2, "ignore": 2, "reduction": 2},
    {"N": 2, "C": 3, "H": 2, "W": 2, "rank": 4, "ignore": 2},
    {"N": 2, "C": 3, "H": 2, "W": 2, "rank": 4, "weight": 1, "ignore": 2},
    {"N": 2, "C": 3, "H": 2, "W": 2, "rank": 4, "weight": 1, "pixel": 1, "reduction": 1},
    {"N": 2, "C": 3, "H": 2, "W": 2, "rank": 4},
)
MOST = {"N": 3, "C": 3, "H": 2, "W": 2, "rank": 4, "weight": 1, "pixel": 1, "ignore": 2, "reduction": 2}
SPECIAL = (("large", {"C": 2}), ("large", {"N": 2, "C": 3}))


def _labels(s: Spec, fill: Fill, shape: tuple[int, ...]) -> Any:
    target = fill.rng.integers(0, s["C"], shape)
    if s["ignore"] > 1 and target.size:
        share = fill.rng.random(shape) < 0.3
        share.reshape(-1)[-1] = True
        share.reshape(-1)[0] = False
        target = np.where(share | (s["ignore"] == 3), IGNORED, target)
    return target.astype(np.int64)


def _options(s: Spec, fill: Fill, weight: tuple[int, ...], pixel: tuple[int, ...]) -> Arguments:
    return {
        "weight": fill.positive(*weight) if s["weight"] else None,
        "pixel_weight": fill.positive(*pixel) if s["pixel"] else None,
        "ignore_index": (None, 0, IGNORED, IGNORED)[s["ignore"]],
        "reduction": REDUCTIONS[s["reduction"]],
    }


@family("softmax_cross_entropy", LEAST, SPECS, MOST, SPECIAL)
def softmax_cross_entropy(s: Spec, fill: Fill) -> Arguments:
    """Build logits (N, C[, H, W]), labels and the options."""
    shape = (s["N"], s["C"], s["H"], s["W"])[: s["rank"]]
    labels = _labels(s, fill, (shape[0], *shape[2:]))
    logits = fill(*shape)
    return {"logits": logits, "target": labels, **_options(s, fill, (s["C"],), labels.shape)}


def _dloss(s: Spec, fill: Fill, shape: tuple[int, ...]) -> Any:
    """Return a gradient that isn't 1: who leaves it out is seen."""
    if REDUCTIONS[s["reduction"]] == "none":
        return fill.plain(*shape)
    return np.array(2 if fill.kind in ("counting", "integers") else 1.7, fill.dtype)


@family("softmax_cross_entropy_backward", LEAST, SPECS, MOST)
def softmax_cross_entropy_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dloss, the forward's probabilities, labels and the options."""
    forward = softmax_cross_entropy(s, fill)
    # Small logits: a probability of 1 would hide what is forgotten.
    forward["logits"] = forward["logits"] * fill.dtype.type(0.5)
    probs = answer("softmax_cross_entropy", forward)[1]
    target = forward["target"]
    options = {name: v for name, v in forward.items() if name not in ("logits", "target")}
    return {"dloss": _dloss(s, fill, target.shape), "probs": probs, "target": target, **options}


BINARY = {name: least for name, least in LEAST.items() if name not in ("rank", "C")}
BINARY_SPECS: tuple[Spec, ...] = (
    {"W": 2},
    {"N": 2, "W": 2},
    {"N": 2, "H": 2, "W": 3},
    {"N": 2, "W": 2, "reduction": 1},
    {"N": 2, "W": 2, "reduction": 2},
    {"N": 2, "W": 2, "weight": 1},
    {"N": 2, "W": 2, "pixel": 1},
    {"N": 2, "W": 2, "ignore": 1},
    {"N": 2, "W": 2, "ignore": 2},
    {"N": 2, "W": 2, "ignore": 3},
    {"N": 2, "H": 2, "W": 3, "weight": 1, "pixel": 1, "ignore": 2},
    {"N": 2, "H": 2, "W": 3},
)
BINARY_MOST = MOST


@family("bce_with_logits", BINARY, BINARY_SPECS, BINARY_MOST, (("large", {"W": 3}),))
def bce_with_logits(s: Spec, fill: Fill) -> Arguments:
    """Build logits, targets 0 and 1, and the options."""
    shape = (s["N"], 1, s["H"], s["W"])
    target = _labels({**s, "C": 2}, fill, shape).astype(fill.dtype)
    return {"logits": fill(*shape), "target": target, **_options(s, fill, (s["W"],), shape)}


@family("bce_with_logits_backward", BINARY, BINARY_SPECS, BINARY_MOST, (("large", {"W": 3}),))
def bce_with_logits_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dloss beside a forward's arguments."""
    forward = bce_with_logits(s, fill)
    return {"dloss": _dloss(s, fill, forward["target"].shape), **forward}
