"""The calls that a learner's functions are tried on."""

from minisegnet.marking.cases import convolution, layers, losses, pooling, sampling
from minisegnet.marking.cases.case import (
    FAMILIES,
    ORDINARY,
    Arguments,
    Case,
    Family,
    answer,
    cases,
    is_empty,
    paired,
)

__all__ = [
    "FAMILIES",
    "ORDINARY",
    "Arguments",
    "Case",
    "Family",
    "answer",
    "cases",
    "convolution",
    "is_empty",
    "layers",
    "losses",
    "paired",
    "pooling",
    "sampling",
]
