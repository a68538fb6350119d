"""From a collection of samples to batches: in what order, in which variants, and read ahead by threads.

Nothing here has a memory that matters. Which pictures batch number t holds and how each was varied are pure functions
of the seed and t: a training that was stopped goes on by asking for the next number.
"""

import functools
import itertools
import math
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.augment import Augmentation
from minisegnet.data.cache import Cached
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.statistics import Normalisation
from minisegnet.sizes import IntOrPair, as_int, as_pair

THREAD_NAME = "minisegnet-loader"


class Batch(NamedTuple):
    """What one step of training is made from."""

    images: Array  # (N, C, H, W) float32, normalised
    labels: Array  # (N, H, W) int64


class Loader:
    """Batches of a dataset, without end, the same for the same seed.

    Samples are numbered by positions that run on through the epochs: of n pictures, positions 0..n-1 are epoch 0, and
    so on; each epoch has an order of its own. Batch t takes the B positions from t B on. So every batch is full and no
    picture is left out, but a batch may hold the end of one epoch and the beginning of the next.

    Parameters
    ----------
    dataset
        Read from several threads at once.
    batch
        Samples in a batch.
    seed
        Decides on the order and on all that the augmentation draws.
    augmentation
        See :func:`minisegnet.data.augment.build`; None: nothing but the crop.
    crop
        (h, w) of what is cut out of each picture at a random place; None: whole pictures, which then must all have
        one size.
    normalisation
        Applied to each picture.
    threads
        How many threads read ahead in :meth:`batches`, and how many batches; 0: none, each batch is made when asked
        for. The bits don't depend on it.
    cache_bytes
        Pictures are kept in memory until they take so many bytes.
    scratch_bytes
        Those that don't fit are kept unpacked in a file without a name, up to so many bytes (None: half of what is
        free on disk, at most 32 GB). Those that don't fit there either are read again each time.

    Examples
    --------
    >>> from minisegnet.data.synthetic import Synthetic
    >>> loader = Loader(
    ...     Synthetic("shapes", count=6, size=64),
    ...     batch=4,
    ...     crop=32,
    ...     normalisation=Normalisation(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    ... )
    >>> loader.steps(epochs=2)
    3
    >>> [batch.images.shape for batch in loader.batches(0, 3)]
    [(4, 3, 32, 32), (4, 3, 32, 32), (4, 3, 32, 32)]
    >>> loader.epoch(1), loader.epoch(2)  # of each batch's first sample
    (0, 1)
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        crop: IntOrPair | None = None,
        normalisation: Normalisation,
        threads: int = 2,
        cache_bytes: int = 256 * 2**20,
        scratch_bytes: int | None = None,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError(f"the dataset {dataset.name!r} has no pictures; expected at least one")
        self.dataset, self.normalisation = dataset, normalisation
        self.batch_size = as_int(batch, "batch", 1)
        self.seed = as_int(seed, "seed", 0)
        if self.seed >= 2**64:
            raise ValueError(f"seed is {seed}; expected an integer from 0 to 2**64 - 1")
        self.augmentation = Augmentation() if augmentation is None else augmentation
        self.crop = None if crop is None else as_pair(crop, "crop", 1)
        self.threads = as_int(threads, "threads", 0)
        self.cache = Cached(dataset, cache_bytes, most_on_disk=scratch_bytes)

    def __repr__(self) -> str:
        return (
            f"Loader({self.dataset.name!r} with {len(self.dataset)} pictures, batch={self.batch_size}, "
            f"seed={self.seed}, augmentation={self.augmentation}, crop={self.crop}, threads={self.threads})"
        )

    # Numbers

    def epoch(self, step: int) -> int:
        """Epoch of the first sample of batch number ``step``."""
        return as_int(step, "step", 0) * self.batch_size // len(self.dataset)

    def steps(self, epochs: float) -> int:
        """How many batches it takes until every picture has been seen so many times; a fraction is fine."""
        return steps_of(epochs, len(self.dataset), self.batch_size)

    # Samples and batches

    def sample(self, position: int) -> Sample:
        """Return the sample at a position, augmented and cropped, but not normalised."""
        epoch, rest = divmod(as_int(position, "position", 0), len(self.dataset))
        number = int(order(len(self.dataset), self.seed, epoch)[rest])
        name = ""
        try:
            sample = self.cache[number]
            name = f" ({sample.name})" if sample.name else ""
            return self.augmentation(sample, (self.seed, epoch, position), size=self.crop)
        except Exception as error:
            error.add_note(
                f"It was picture {number}{name} of {self.dataset.name!r}, at position {position} in epoch {epoch}."
            )
            raise

    def batch(self, step: int) -> Batch:
        """Return batch number ``step``: a pure function of it and of the seed."""
        return self._batch(as_int(step, "step", 0), threading.Event())

    def _batch(self, step: int, closing: threading.Event) -> Batch:
        samples = []
        for position in range(step * self.batch_size, (step + 1) * self.batch_size):
            if closing.is_set():
                raise _Closed
            samples.append(self.sample(position))
        return as_batch(samples, self.normalisation)

    def batches(self, first: int = 0, last: int | None = None) -> Generator[Batch, None, None]:
        """Return batches number ``first`` to ``last - 1`` one after another; without ``last`` they never end.

        Threads read ahead. An exception in one of them is raised here, when it is that batch's turn. They are gone
        when the iterator ends, is closed, or is no longer used.
        """
        first = as_int(first, "first", 0)
        numbers = itertools.count(first) if last is None else iter(range(first, as_int(last, "last", 0)))
        return self._read_ahead(numbers) if self.threads else (self.batch(step) for step in numbers)

    def _read_ahead(self, numbers: Iterator[int]) -> Generator[Batch, None, None]:
        closing = threading.Event()
        pool = ThreadPoolExecutor(self.threads, THREAD_NAME)

        def ask(count: int) -> None:
            ahead.extend(pool.submit(self._batch, step, closing) for step in itertools.islice(numbers, count))

        ahead = deque[Future[Batch]]()
        try:
            ask(self.threads)
            while ahead:
                batch = ahead.popleft().result()
                ask(1)
                yield batch
        finally:  # at the end, after an error, at Ctrl-C, and when the iterator is closed or collected
            closing.set()
            # Python may collect a forgotten iterator in any thread, even in one of those that end here.
            inside = threading.current_thread().name.startswith(THREAD_NAME)
            pool.shutdown(wait=not inside, cancel_futures=True)


class _Closed(Exception):
    """Nobody waits for this batch any more."""


def steps_of(epochs: float, count: int, batch: int) -> int:
    """How many batches it takes until each of ``count`` pictures has been seen so many times.

    >>> steps_of(1.1, count=10, batch=2)
    6
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | float | np.integer | np.floating):
        raise TypeError(f"epochs is {epochs!r} ({type(epochs).__name__}); expected a number")
    if not (math.isfinite(epochs) and epochs >= 0):
        raise ValueError(f"epochs is {epochs}; expected a number of at least 0")
    # The number as it is written: 1.1 epochs of 10 pictures are 11, but 1.1 * 10 is a little more.
    return math.ceil(Fraction(str(epochs)) * count / batch)


# ---------------------------------------------------------------------------------------------------------
# Order, cache, putting together


@functools.lru_cache(maxsize=8)
def order(count: int, seed: int, epoch: int) -> Array:
    """Return the order of an epoch: which picture comes first, second, and so on.

    >>> order(5, seed=0, epoch=0), order(5, seed=0, epoch=1)
    (array([4, 1, 2, 0, 3]), array([0, 2, 4, 1, 3]))
    """
    key = np.array([seed, epoch], np.uint64)
    numbers = np.random.Generator(np.random.Philox(key=key)).permutation(count)
    numbers.setflags(write=False)  # it is shared with whoever asks next
    return numbers


def as_batch(samples: Sequence[Sample], normalisation: Normalisation) -> Batch:
    """Put samples of one size together and normalise their pictures.

    Examples
    --------
    >>> samples = [Sample(np.full((2, 2, 1), value, np.uint8), np.eye(2, dtype=np.uint8)) for value in (0, 255)]
    >>> batch = as_batch(samples, Normalisation(mean=(0.5,), std=(0.5,)))
    >>> batch.images.shape, batch.images.min(axis=(1, 2, 3)), batch.labels.dtype
    ((2, 1, 2, 2), array([-1.,  1.], dtype=float32), dtype('int64'))
    """
    if not samples:
        raise ValueError("samples are empty; expected at least one")
    pairs = [_checked(number, sample, samples[0]) for number, sample in enumerate(samples)]
    H, W, C = samples[0].image.shape
    images = np.empty((len(samples), C, H, W), np.float32)
    labels = np.empty((len(samples), H, W), np.int64)
    for number, (picture, its_labels) in enumerate(pairs):
        images[number] = normalisation.apply(picture).transpose(2, 0, 1)  # (C, H, W)
        labels[number] = its_labels
    return Batch(images, labels)


def _checked(number: int, sample: Sample, first: Sample) -> tuple[Array, Array]:
    """Picture and labels, if they go together with each other and with those of the first sample."""
    image, labels, who = sample.image, sample.labels, _called(number, sample)
    if labels is None:
        raise ValueError(f"{who} has no labels; expected some for each picture")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{who} has labels of {labels.dtype}; expected integers")
    if image.ndim != 3 or labels.shape != image.shape[:2]:
        raise ValueError(
            f"{who} has shape {image.shape}, its labels {labels.shape}; expected (H, W, C) and (H, W)"
        )
    if image.shape[2:] != first.image.shape[2:]:
        raise ValueError(
            f"{who} has {image.shape[2]} channels, {_called(0, first)} has {first.image.shape[2]}; "
            "expected the same number for all pictures"
        )
    if image.shape != first.image.shape:
        raise ValueError(
            f"{who} is {image.shape[:2]}, {_called(0, first)} is {first.image.shape[:2]}; expected one size in a "
            "batch: pass crop=(h, w), or batch=1"
        )
    return image, labels


def _called(number: int, sample: Sample) -> str:
    return f"picture {sample.name!r}" if sample.name else f"sample {number}"
