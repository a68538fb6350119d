"""Pictures that are kept once they were read or drawn: in memory, and what doesn't fit, unpacked on disk."""

import threading

from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.scratch import Scratch
from minisegnet.sizes import Pair, as_int


class Cached(Dataset):
    """A dataset whose samples are kept: the first ones that were asked for in memory, the others in a scratch file.

    Nothing is ever thrown out: as each picture is wanted once an epoch, the longest unused is the one wanted soonest.
    Where there is no room left on disk either, a picture is read anew each time. Several threads may read at once.

    Parameters
    ----------
    dataset
        Where the samples come from.
    most
        Bytes of memory that may be used.
    most_on_disk
        Bytes of disk that may be used; None: as ``minisegnet.data.scratch.Scratch`` chooses.

    Examples
    --------
    >>> from minisegnet.data.synthetic import Synthetic
    >>> pictures = Cached(Synthetic("shapes", count=3), 10**6)
    >>> first = pictures[1]
    >>> pictures[1] is pictures[1], len(pictures)
    (True, 3)
    """

    def __init__(self, dataset: Dataset, most: int = 256 * 2**20, *, most_on_disk: int | None = None) -> None:
        self.dataset, self.most, self.used = dataset, as_int(most, "cache_bytes", 0), 0
        self.most_on_disk = None if most_on_disk is None else as_int(most_on_disk, "scratch_bytes", 0)
        self.scratch: Scratch | None = None  # made when it is needed
        self.name, self.channels, self.ignore_index = dataset.name, dataset.channels, dataset.ignore_index
        self.class_names, self.palette = dataset.class_names, dataset.palette
        self.kept: dict[int, Sample] = {}
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Sample:
        sample = self.kept.get(i)
        if sample is None:
            sample = self.dataset[i]
            self._keep(i, sample)
        return sample

    def sizes(self) -> set[Pair]:
        """Return the sizes (H, W) of the pictures."""
        return self.dataset.sizes()

    def _keep(self, number: int, sample: Sample) -> None:
        """Keep a sample if it fits. A thread that can't have the lock at once goes on without: nobody ever waits."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if number not in self.kept:
                kept = self._in_memory(sample) or self._on_disk(sample)
                if kept is not None:
                    self.kept[number] = kept
        finally:
            self.lock.release()

    def _in_memory(self, sample: Sample) -> Sample | None:
        size = sum(array.nbytes for array in sample[:3] if array is not None)
        if self.used + size > self.most:
            return None
        self.used += size
        return _with_arrays(sample, [None if array is None else _own(array) for array in sample[:3]])

    def _on_disk(self, sample: Sample) -> Sample | None:
        if self.scratch is None:
            self.scratch = Scratch(self.most_on_disk)
        arrays: list[Array | None] = []
        for array in sample[:3]:
            kept = None if array is None else self.scratch.keep(array)
            if array is not None and kept is None:
                return None
            arrays.append(kept)
        return _with_arrays(sample, arrays)


def _with_arrays(sample: Sample, arrays: list[Array | None]) -> Sample:
    image, labels, instances = arrays
    assert image is not None
    return Sample(image, labels, instances, sample.name)


def _own(array: Array) -> Array:
    """Return an array that isn't a view, which would hold on to all of what it was cut from."""
    return array if array.base is None else array.copy()
