"""Do the masks lie on their pictures? Where a label ends, a picture usually changes.

The statistic is called *agreement* here. Every pixel of a picture gets the rank of its edge strength, from 0 (the
flattest) to 1 (the sharpest). The agreement is the mean rank under the borders of the labels: 0.5 is chance. It is
computed for the mask as it is, moved by every small shift, mirrored and turned, and for the masks of other pictures.
In a sound data set the mask as it is wins.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.diagnosis.survey import Picture
from minisegnet.sizes import Pair

SMALLEST = 16  # pixels a side: in smaller pieces there is nothing to compare
FEWEST_BORDER = 12  # pixels of border that a mask needs to say something
FARTHEST = 32  # pixels: shifts are looked for up to here
FILLED = (
    8  # pixels: ignored bands up to twice as wide are filled from their sides before borders are looked for
)
NEAR = 1  # pixels: a border may be drawn just inside or just outside
MOST = 24  # pictures that are compared
FEW = 4  # pictures: with fewer, only a large difference says something

TRANSFORMS: dict[str, Callable[[Array], Array]] = {
    "mirrored left to right": lambda a: a[:, ::-1],
    "mirrored top to bottom": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, 1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, -1),
    "transposed": lambda a: a.T,
    "transposed along the other diagonal": lambda a: a[::-1, ::-1].T,
}


class Alignment(NamedTuple):
    """What the comparison of masks and pictures came to; every number is a mean over the pictures."""

    pictures: int  # in which there was something to compare
    own: float  # agreement of the masks as they are (the best within a pixel)
    others: float | None  # of the masks of other pictures; None: there is only one picture of each size
    belongs: bool | None  # whether own masks agree better than others'; None: too few pictures to say
    shifts: Array  # (2 R + 1, 2 R + 1): agreement of the masks moved by -R ... R pixels down and right
    shift: Pair  # the best one: (down, right)
    shifted: float  # agreement there
    moved: bool  # whether that is so much better that the masks are misplaced
    turns: dict[str, float]  # agreement of the masks mirrored and turned
    turned: str | None  # the one that is so much better that the masks are turned

    @property
    def reach(self) -> int:
        """How far shifts were looked for."""
        return len(self.shifts) // 2


def align(pictures: Sequence[Picture]) -> Alignment | None:
    """Compare masks with pictures; None where no picture has borders of labels to compare.

    Examples
    --------
    >>> from minisegnet.data.synthetic import Synthetic
    >>> from minisegnet.diagnosis.survey import survey
    >>> pictures = survey(Synthetic("shapes", count=8, size=48))
    >>> result = align(pictures)
    >>> result.moved, result.turned, result.belongs
    (False, None, True)
    >>> moved = [p._replace(labels=np.roll(p.labels, (-5, 3), axis=(0, 1))) for p in pictures]
    >>> result = align(moved)
    >>> result.moved, result.shift  # down and right again, by so much
    (True, (5, -3))
    """
    pairs = [(edge_ranks(p.image), borders(p.labels, len(p.counts))) for p in pictures[:MOST]]
    pairs = [
        (e, b) for e, b in pairs if min(b.shape) >= SMALLEST and b.sum() >= FEWEST_BORDER and e.std() > 0
    ]
    if not pairs:
        return None
    reach = min(FARTHEST, *(min(b.shape) // 4 for _, b in pairs))
    maps = np.array([agreements(e, b, reach) for e, b in pairs])  # (pictures, 2 R + 1, 2 R + 1)
    own = np.array([_near(m, reach) for m in maps])
    mean = maps.mean(axis=0)
    best = np.unravel_index(int(np.argmax(mean)), mean.shape)
    shift = int(best[0]) - reach, int(best[1]) - reach
    moved = max(abs(shift[0]), abs(shift[1])) > NEAR and _better(maps[:, best[0], best[1]], own)
    turns = {name: _turned(pairs, turn) for name, turn in TRANSFORMS.items()}
    clear = [n for n, a in turns.items() if a is not None and _better(a, own)]
    means = {n: float(a.mean()) for n, a in turns.items() if a is not None}
    turned = max(clear, key=lambda n: means[n]) if clear else None
    if turned and moved:  # both would explain it: the better one
        moved = mean[best] > means[turned]
        turned = None if moved else turned
    others = _of_others(pairs)
    belongs = None
    if others is not None and len(pairs) >= FEW:
        belongs = bool((own - others).mean() > max(0.02, 2 * _error(own - others)))
    return Alignment(
        len(pairs),
        float(own.mean()),
        None if others is None else float(others.mean()),
        belongs,
        mean,
        shift,
        float(mean[best]),
        moved,
        means,
        turned,
    )


# ---------------------------------------------------------------------------------------------------------
# Edges and borders


def edge_ranks(image: Array) -> Array:
    """Rank the pixels of a picture (H, W, C) by how much it changes there: 0 to 1, (H, W); equals share their ranks.

    >>> edge_ranks(np.array([[0.0, 0, 1, 1]]).repeat(3, axis=0)[..., None])[1]
    array([0.25, 0.75, 0.75, 0.25])
    """
    strength = np.zeros(image.shape[:2])
    for plane in np.moveaxis(image.astype(np.float64), 2, 0):
        padded = np.pad(plane, 1, mode="edge")
        down = padded[2:, 1:-1] - padded[:-2, 1:-1]
        right = padded[1:-1, 2:] - padded[1:-1, :-2]
        strength += down**2 + right**2
    _, place, counts = np.unique(strength.round(12), return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks: Array = ((below + counts / 2) / strength.size)[place].reshape(strength.shape)
    return ranks


def borders(labels: Array, classes: int) -> Array:
    """Mark the pixels of a label map (H, W) that have a neighbour of another class.

    Pixels of no class (ignored ones) take the class of their neighbours first, where the band of them is narrow: in
    some data sets every border is drawn as such a band.

    >>> borders(np.array([[0, 0, 9, 1, 1]]), classes=2).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    labels = np.where((labels >= 0) & (labels < classes), labels, -1)
    for _ in range(FILLED):
        if not (labels < 0).any():
            break
        before = np.pad(labels, 1, constant_values=-1)
        for near in (before[1:-1, :-2], before[1:-1, 2:], before[:-2, 1:-1], before[2:, 1:-1]):
            labels = np.where(labels < 0, near, labels)
    known = labels >= 0
    marked = np.zeros(labels.shape, bool)
    right = (labels[:, 1:] != labels[:, :-1]) & known[:, 1:] & known[:, :-1]
    down = (labels[1:] != labels[:-1]) & known[1:] & known[:-1]
    marked[:, 1:] |= right
    marked[:, :-1] |= right
    marked[1:] |= down
    marked[:-1] |= down
    return marked


def agreements(ranks: Array, border: Array, reach: int) -> Array:
    """Mean rank under the border moved by every shift from -reach to reach down and right, (2 R + 1, 2 R + 1).

    Where the moved border leaves the picture, it doesn't count. The sums of all shifts at once are a correlation,
    which is a product of Fourier transforms.
    """
    H, W = border.shape
    size = H + reach, W + reach
    moved = np.conj(np.fft.rfft2(border.astype(np.float64), size))
    sums, inside = (np.fft.irfft2(moved * np.fft.rfft2(a, size), size) for a in (ranks, np.ones((H, W))))
    steps = np.arange(-reach, reach + 1)
    places = np.ix_(steps % size[0], steps % size[1])
    number = inside[places].round()
    result: Array = np.where(number > 0, sums[places] / np.maximum(number, 1), 0.5)
    return result


def _near(agreement: Array, reach: int) -> float:
    """Return the best agreement within a pixel of no shift."""
    middle = slice(max(reach - NEAR, 0), reach + NEAR + 1)
    return float(agreement[middle, middle].max())


def _turned(pairs: Sequence[tuple[Array, Array]], turn: Callable[[Array], Array]) -> Array | None:
    """Agreement of turned masks; None where turning changes the size."""
    if any(turn(b).shape != b.shape for _, b in pairs):
        return None
    return np.array([_near(agreements(e, turn(b), NEAR), NEAR) for e, b in pairs])


def _of_others(pairs: Sequence[tuple[Array, Array]], most: int = 4) -> Array | None:
    """Agreement of each picture with the masks of some others of its size."""
    found = []
    for i, (ranks, border) in enumerate(pairs):
        rest = [pairs[(i + k) % len(pairs)][1] for k in range(1, len(pairs))]
        rest = [b for b in rest if b.shape == border.shape][:most]
        if not rest:
            return None
        found.append(np.mean([_near(agreements(ranks, b, NEAR), NEAR) for b in rest]))
    return np.array(found)


# ---------------------------------------------------------------------------------------------------------
# Is that much?


def _better(new: Array, old: Array) -> bool:
    """Say whether one set of agreements is clearly above another: by much, and in nearly all pictures.

    The best of thousands of shifts is somewhat above the others by chance alone, so that the usual two standard
    errors would see ghosts.
    """
    gain = new - old
    if len(gain) < FEW:
        return bool(gain.min() > 0.15)
    return bool(gain.mean() > max(0.06, 5 * _error(gain)))


def _error(values: Array) -> float:
    """Return the standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
