"""Where two modules that stand behind each other run as one op.

The modules of a model stay what they are: names of parameters, drawings and exported files know the convolution, the
normalisation and the ReLU. Only where nobody looks at what is between them, it is never made.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from minisegnet.nn.activation import ReLU
from minisegnet.nn.conv import Conv2d
from minisegnet.nn.module import Module
from minisegnet.nn.norm import BatchNorm2d
from minisegnet.ops.dispatch import selected_backend


def in_turn(modules: Iterable[Module]) -> Iterator[Callable[[Any], Any]]:
    """Yield what to call one after the other to run these modules: each itself, or two of them in one op.

    A convolution or a batch normalisation takes the ReLU behind it along: ``conv2d_relu``, ``batch_norm_relu``.

    >>> from minisegnet import nn, use_backend
    >>> modules = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    >>> with use_backend("numpy"):
    ...     [call.__name__ for call in in_turn(modules) if call not in modules], len(list(in_turn(modules)))
    (['forward_relu'], 3)
    """
    waiting: Module | None = None
    for module in modules:
        if waiting is None:
            waiting = module
        elif _run_as_one(waiting, module):
            yield waiting.forward_relu  # type: ignore[attr-defined]  # the two kinds of layers below have it
            waiting = None
        else:
            yield waiting
            waiting = module
    if waiting is not None:
        yield waiting


def _run_as_one(layer: Module, activation: Module) -> bool:
    """Whether there is an op for both, and nobody wants to see the two apart.

    Somebody does where a module's forward was replaced, to measure or watch it; and where the backend is a module of
    kernels: a learner's own, or one that writes down what is called.
    """
    kinds = type(layer) in (Conv2d, BatchNorm2d) and type(activation) is ReLU
    watched = "forward" in vars(layer) or "forward" in vars(activation)
    return kinds and not watched and isinstance(selected_backend(), str)
