"""What is drawn for one picture: one small function for each name of an expression.

Each takes the motion (or the colours) that there is so far and a generator of its own, and returns one with its part
filled in. As no two share a generator, adding a step to an expression doesn't change what the others draw.
"""

from collections.abc import Callable, Sequence

import numpy as np

from minisegnet.data.augment.colours import Colours
from minisegnet.data.augment.motion import Motion
from minisegnet.data.elastic import elastic_field
from minisegnet.sizes import Pair, as_int

ANGLE = 15.0  # degrees
SCALE = 4 / 3  # and 3/4
SHIFT = 0.1  # of the side
ELASTIC = 10 / 512  # of the side: U-Net's 10 pixels for pictures of 512


def stream(key: int | Sequence[int], number: int) -> np.random.Generator:
    """Return the generator of one step: a pure function of the sample's key and the step's number.

    >>> bool(stream((0, 3, 5), 1).random() == stream((0, 3, 5), 1).random())
    True
    """
    parts = tuple(key) if isinstance(key, tuple | list) else (key,)
    words = [number, len(parts)]
    for part in parts:
        whole = as_int(part, "key", 0)
        if whole >= 2**64:
            raise ValueError(f"key holds {whole}; expected integers from 0 to 2**64 - 1")
        words += [whole & 0xFFFFFFFF, whole >> 32]  # two words each: no two keys give the same list
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def draw_place(motion: Motion, rng: np.random.Generator) -> Motion:
    """Put the window anywhere, all places equally likely."""
    down, across = rng.random(2)
    return motion._replace(place=(float(down), float(across)))


def draw_flip(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Exchange left and right for every other picture."""
    return motion._replace(flip=bool(rng.random() < 0.5))


def draw_flip_vertical(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Exchange above and below for every other picture: for cells and maps, not for streets."""
    return motion._replace(flip_vertical=bool(rng.random() < 0.5))


def draw_quarter_turns(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Turn by 0, 90, 180 or 270 degrees, all equally likely; only by 0 or 180 where the picture wouldn't fit."""
    turns = int(rng.integers(4))
    square = picture[0] == picture[1]
    fills = window[0] <= picture[1] and window[1] <= picture[0]  # once it lies on its side
    return motion._replace(quarter_turns=turns if square or fills else 2 * (turns % 2))


def draw_scale(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Scale by 3/4 to 4/3, as often smaller as larger."""
    return motion._replace(scale=SCALE ** float(rng.uniform(-1, 1)))


def draw_shift(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Shift by whole pixels, up to a tenth of the side."""
    most = [int(SHIFT * side) for side in window]
    down, across = (int(rng.integers(-m, m + 1)) for m in most)
    return motion._replace(shift=(down, across))


def draw_angle(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Rotate by up to 15 degrees either way."""
    return motion._replace(angle=float(rng.uniform(-ANGLE, ANGLE)))


def draw_bend(motion: Motion, rng: np.random.Generator, picture: Pair, window: Pair) -> Motion:
    """Bend as U-Net does, by an amount that suits the window's size."""
    return motion._replace(bend=elastic_field(window, sigma=ELASTIC * min(window), rng=rng))


def draw_colours(rng: np.random.Generator) -> Colours:
    """Change all of gamma, brightness, contrast and saturation a little, and add a little noise."""
    u = [float(value) for value in rng.uniform(-1, 1, 5)]
    return Colours(
        gamma=1.3 ** u[0],
        brightness=0.1 * u[1],
        contrast=1.3 ** u[2],
        saturation=1.4 ** u[3],
        noise=0.02 * abs(u[4]),
    )


MOTIONS: dict[str, Callable[[Motion, np.random.Generator, Pair, Pair], Motion]] = {
    "flip": draw_flip,
    "flip_vertical": draw_flip_vertical,
    "rotate90": draw_quarter_turns,
    "rotate": draw_angle,
    "scale": draw_scale,
    "shift": draw_shift,
    "elastic": draw_bend,
}
