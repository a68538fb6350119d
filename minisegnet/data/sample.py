"""One picture with its labels, and what every collection of them has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from minisegnet.arrays import Array
from minisegnet.sizes import Pair


class Sample(NamedTuple):
    """One picture and what is in it."""

    image: Array  # (H, W, C): uint8, uint16, or float32 from 0 to 1
    labels: Array | None = None  # (H, W): uint8 or uint16, the class of each pixel
    instances: Array | None = None  # (H, W): int32, the number of the object that a pixel belongs to; 0: none
    name: str = ""


class Dataset(ABC):
    """Pictures with labels, by number.

    A subclass sets the attributes and writes ``__len__`` and ``__getitem__``. The same number always gives the same
    sample, so that training can stop and go on as if nothing had happened.

    Attributes
    ----------
    name
        What it is called in reports and in the names of runs.
    class_names
        One for each label, starting with label 0.
    palette
        A colour (red, green, blue, 0 to 255) for each class.
    channels
        Channels of the pictures.
    ignore_index
        The label of pixels that count neither in training nor in evaluation; None: there is none.
    notes
        What a user should be told before a training: what was assumed of the data.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    channels: int
    ignore_index: int | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, i: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def sizes(self) -> set[Pair]:
        """Return the sizes (H, W) of the pictures, each once. A subclass that knows them needn't read all pictures."""
        return {(sample.image.shape[0], sample.image.shape[1]) for sample in self}
