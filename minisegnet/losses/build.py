"""Losses by name, and weighted sums of them: ``build("ce + 0.5*dice")``."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from minisegnet.autograd import Tensor
from minisegnet.inputs import Input
from minisegnet.losses.bce import bce
from minisegnet.losses.cross_entropy import cross_entropy
from minisegnet.losses.dice import dice
from minisegnet.losses.focal import focal
from minisegnet.losses.lovasz import lovasz_softmax
from minisegnet.losses.tversky import tversky
from minisegnet.words import nearest

Loss: TypeAlias = Callable[..., Tensor]

LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "cross_entropy": cross_entropy,
    "bce": bce,
    "dice": dice,
    "focal": focal,
    "tversky": tversky,
    "lovasz": lovasz_softmax,
    "lovasz_softmax": lovasz_softmax,
}

TERM = re.compile(r"\s*(?:(?P<factor>(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?)\s*\*\s*)?(?P<name>[A-Za-z_]\w*)\s*")


class WeightedSum:
    """A weighted sum of losses with all their options: ``loss(logits, target, *, pixel_weight=None)``.

    Made by :func:`build`. ``terms`` holds (factor, loss, options) for each loss.
    """

    def __init__(self, terms: Sequence[tuple[float, Loss, dict[str, Any]]]) -> None:
        self.terms = list(terms)

    def __call__(self, logits: Input, target: Input, *, pixel_weight: Input | None = None) -> Tensor:
        """Add up the losses."""
        losses = [
            factor * loss(logits, target, pixel_weight=pixel_weight, **options)
            for factor, loss, options in self.terms
        ]
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total

    def __repr__(self) -> str:
        return " + ".join(
            loss.__name__ if factor == 1 else f"{factor:g}*{loss.__name__}" for factor, loss, _ in self.terms
        )


def build(expression: str, **options: Any) -> WeightedSum:
    """Make a loss from its name, or from a sum of names with factors.

    Parameters
    ----------
    expression
        Such as ``"focal"``, ``"ce+dice"`` or ``"ce + 0.5*dice"``; see :func:`names`.
    **options
        Keyword arguments of the losses, such as ``ignore_index=255``, ``weight=...`` or ``gamma=1.5``. Each goes to
        all those losses in the sum that take it.

    Returns
    -------
    loss
        ``loss(logits, target, *, pixel_weight=None)`` -> a Tensor without axes.

    Examples
    --------
    >>> import numpy as np
    >>> loss = build("ce + 0.5*dice", ignore_index=255)
    >>> loss
    cross_entropy + 0.5*dice
    >>> logits, target = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 255])
    >>> expected = cross_entropy(logits, target, ignore_index=255) + 0.5 * dice(logits, target, ignore_index=255)
    >>> loss(logits, target).item() == expected.item()
    True
    >>> build("dise")
    Traceback (most recent call last):
    ...
    ValueError: build: there is no loss named 'dise'; did you mean 'dice'? Losses: bce, ce, dice, focal, lovasz, tversky
    """
    if not isinstance(expression, str):
        raise TypeError(f"build: expected a name such as 'ce+dice', got a {type(expression).__name__}")
    terms = [_term(part, expression) for part in expression.split("+")]
    taken = {name for _, loss in terms for name in _options_of(loss)}
    for name in options:
        if name not in taken:
            raise TypeError(
                f"build: {expression!r} takes no option named {name!r}{_nearest(name, taken)} "
                f"Options: {', '.join(sorted(taken))}"
            )
    return WeightedSum(
        [
            (factor, loss, {k: v for k, v in options.items() if k in _options_of(loss)})
            for factor, loss in terms
        ]
    )


def names() -> list[str]:
    """Return the names that :func:`build` knows; ``cross_entropy`` and ``lovasz_softmax`` in full will do, too.

    >>> names()
    ['bce', 'ce', 'dice', 'focal', 'lovasz', 'tversky']
    """
    shortest = {loss: min((n for n in LOSSES if LOSSES[n] is loss), key=len) for loss in LOSSES.values()}
    return sorted(shortest.values())


def _term(text: str, expression: str) -> tuple[float, Loss]:
    """Read one term: a name, or a factor, a star and a name."""
    match = TERM.fullmatch(text)
    if not match:
        raise ValueError(
            f"build: can't read {text.strip()!r} in {expression!r}; expected names and factors such as "
            f"'ce + 0.5*dice'. Losses: {', '.join(names())}"
        )
    name = match["name"]
    if name not in LOSSES:
        raise ValueError(
            f"build: there is no loss named {name!r}{_nearest(name, LOSSES)} Losses: {', '.join(names())}"
        )
    return float(match["factor"] or 1), LOSSES[name]


def _options_of(loss: Loss) -> list[str]:
    """Name the keyword arguments that are fixed when a loss is built."""
    parameters = inspect.signature(loss).parameters.values()
    fixed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [name for name in fixed if name not in ("pixel_weight", "reduction")]  # a sum adds up means


def _nearest(name: str, known: Any) -> str:
    near = nearest(name, sorted(known))
    return f"; did you mean {near!r}?" if near else "."
