"""Synthetic sets: a kind of picture, a split and a seed make a collection that is never stored."""

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.synthetic.drawing import SMALLEST, checked_size
from minisegnet.sizes import IntOrPair, Pair, as_int
from minisegnet.words import did_you_mean

KINDS = ("shapes", "cells", "streets")  # a file for each, with a function of the same name
# How many pictures a split has unless it is told. Their order numbers the splits; it stays as it is for ever.
SPLITS = {"train": 256, "val": 64, "test": 64}


class Synthetic(Dataset):
    """A collection of drawn pictures.

    Sample i depends on the kind, the split, the seed, the size, the options and i, and on nothing else: not on the
    count, and not on what was asked for before. No two splits or seeds share a picture.

    Parameters
    ----------
    kind
        ``"shapes"``, ``"cells"`` or ``"streets"``.
    split
        ``"train"``, ``"val"`` or ``"test"``.
    count
        How many pictures; None: 256 for training, 64 for the others.
    size
        (H, W) or one integer for both, at least 32; None: 96 x 96, for streets 96 x 128.
    seed
        Another seed, other pictures: 0 to 2**64 - 1.
    **options
        The kind's own, such as ``number`` of shapes; see the function of that name.

    Examples
    --------
    >>> pictures = Synthetic("shapes", split="val", size=(48, 64))
    >>> len(pictures), pictures.class_names
    (64, ('background', 'circle', 'square', 'triangle', 'star'))
    >>> sample = pictures[5]
    >>> sample.name, sample.image.shape, sample.labels.dtype.name
    ('shapes-val-00005', (48, 64, 3), 'uint8')
    >>> Synthetic("cels")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: there are no synthetic pictures named 'cels' (did you mean 'cells'?); expected one of: ...
    """

    def __init__(
        self,
        kind: str,
        *,
        split: str = "train",
        count: int | None = None,
        size: IntOrPair | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.kind = _one_of(kind, KINDS, "there are no synthetic pictures named")
        module = importlib.import_module(f"minisegnet.data.synthetic.{kind}")
        self.split = _one_of(split, tuple(SPLITS), "there is no split named")
        self.count = SPLITS[split] if count is None else as_int(count, "count", 1)
        self.size = checked_size(module.SIZE if size is None else size)
        self.seed = as_int(seed, "seed", 0)
        if self.seed >= 2**64:
            raise ValueError(f"seed is {seed}; expected an integer from 0 to 2**64 - 1")
        self.options = options
        self._draw: Callable[..., Sample] = getattr(module, kind)
        _check_options(kind, self._draw, options)
        self.name = kind
        self.class_names, self.palette, self.channels = module.CLASS_NAMES, module.PALETTE, module.CHANNELS
        self.ignore_index = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Sample:
        number = as_int(i, "i")
        if not 0 <= number < self.count:
            raise IndexError(
                f"i is {number}; expected 0 to {self.count - 1}, there are {self.count} pictures"
            )
        key = (self.seed, tuple(SPLITS).index(self.split), number)
        sample = self._draw(self.size, key, **self.options)
        return sample._replace(name=f"{self.kind}-{self.split}-{number:05d}")

    def sizes(self) -> set[Pair]:
        """Return the one size (H, W) of all pictures."""
        return {self.size}

    def __repr__(self) -> str:
        told = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return (
            f"Synthetic({self.kind!r}, split={self.split!r}, count={self.count}, size={self.size}, "
            f"seed={self.seed}{told})"
        )


def _one_of(value: Any, known: Iterable[str], complaint: str) -> str:
    names = list(known)
    if not isinstance(value, str):
        raise TypeError(
            f"{complaint} {value!r} ({type(value).__name__}); expected one of: {', '.join(names)}"
        )
    if value not in names:
        raise ValueError(
            f"{complaint} {value!r}{did_you_mean(value, names)}; expected one of: {', '.join(names)}"
        )
    return value


def _check_options(kind: str, draw: Callable[..., Sample], options: dict[str, Any]) -> None:
    parameters = inspect.signature(draw).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise TypeError(
                f"{kind} has no option {name!r}{did_you_mean(name, known)}; its options: {', '.join(known)}"
            )
    if options:
        draw(SMALLEST, 0, **options)  # a wrong value is told here, and not from within a thread of the loader
