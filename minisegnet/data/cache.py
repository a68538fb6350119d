"""Pictures that are kept in memory once they were read or drawn."""

import threading

from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset, Sample
from minisegnet.sizes import Pair, as_int


class Cached(Dataset):
    """A dataset whose samples are kept: the first ones that were asked for, as long as there is room.

    Nothing is ever thrown out: as each picture is wanted once an epoch, the longest unused is the one wanted soonest.
    Several threads may read at once.

    Parameters
    ----------
    dataset
        Where the samples come from.
    most
        Bytes of memory that may be used.

    Examples
    --------
    >>> from minisegnet.data.synthetic import Synthetic
    >>> pictures = Cached(Synthetic("shapes", count=3), 10**6)
    >>> first = pictures[1]
    >>> pictures[1] is pictures[1], len(pictures)
    (True, 3)
    """

    def __init__(self, dataset: Dataset, most: int = 256 * 2**20) -> None:
        self.dataset, self.most, self.used = dataset, as_int(most, "cache_bytes", 0), 0
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
            size = sum(array.nbytes for array in sample[:3] if array is not None)
            if number not in self.kept and self.used + size <= self.most:
                self.kept[number] = Sample(
                    _own(sample.image),
                    None if sample.labels is None else _own(sample.labels),
                    None if sample.instances is None else _own(sample.instances),
                    sample.name,
                )
                self.used += size
        finally:
            self.lock.release()


def _own(array: Array) -> Array:
    """Return an array that isn't a view, which would hold on to all of what it was cut from."""
    return array if array.base is None else array.copy()
