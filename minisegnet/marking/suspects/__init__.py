"""Ops with a typical mistake in each, to compare a learner's answers with."""

from minisegnet.marking.suspects import convolution, general, layers, losses, pooling, sampling, wraps
from minisegnet.marking.suspects.suspect import SUSPECTS, Suspect

__all__ = [
    "SUSPECTS",
    "Suspect",
    "convolution",
    "general",
    "layers",
    "losses",
    "pooling",
    "sampling",
    "wraps",
]
