"""Pictures in new variants: flipped, turned, scaled, bent, recoloured, always together with their labels.

A network that has seen an object mirrored, smaller and in other light knows more about it than its few photographs
say. Steps are named in an expression; what they draw depends on a key of integers and on nothing else.

>>> augmentation = build("flip+rotate+scale")
>>> sample = Sample(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8))
>>> augmentation(sample, (0, 2, 7), size=32).image.shape  # seed 0, epoch 2, position 7
(32, 32, 3)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minisegnet.data.augment.colours import Colours, recolour
from minisegnet.data.augment.draw import MOTIONS, draw_colours, draw_place, stream
from minisegnet.data.augment.focus import aim, draw_focus
from minisegnet.data.augment.motion import Motion, move
from minisegnet.data.sample import Sample
from minisegnet.sizes import IntOrPair, as_int, as_pair
from minisegnet.words import nearest

__all__ = ["Augmentation", "Colours", "Motion", "build", "move", "names", "recolour"]

# The number of each step's random stream. Numbers stay as they are for ever: runs are repeated by them.
STREAMS = {name: number for number, name in enumerate(["place", *MOTIONS, "colour", "focus"])}


def names() -> list[str]:
    """Names that :func:`build` knows.

    >>> names()
    ['flip', 'flip_vertical', 'rotate90', 'rotate', 'scale', 'shift', 'elastic', 'colour']
    """
    return [*MOTIONS, "colour"]


def build(expression: str, *, focus_classes: int = 0) -> "Augmentation":
    """Build an augmentation (데이터 증강) from names joined by plus signs.

    Parameters
    ----------
    expression
        Such as ``"flip+rotate+scale+colour+elastic"``; ``"none"`` or nothing: crops alone. The order doesn't matter.

        - ``flip``: left and right exchanged, for every other picture
        - ``flip_vertical``: above and below exchanged, for every other picture
        - ``rotate90``: 0 to 3 quarter turns
        - ``rotate``: up to 15 degrees either way
        - ``scale``: 3/4 to 4/3
        - ``shift``: whole pixels, up to a tenth of the side
        - ``elastic``: bent like rubber, see :func:`minisegnet.data.elastic_field`
        - ``colour``: brightness, contrast, saturation, gamma and noise; labels stay
    focus_classes
        See :class:`Augmentation`.

    Examples
    --------
    >>> build("scale + flip")
    build('flip+scale')
    >>> build("flip+rotat")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: there is no augmentation named 'rotat'; did you mean 'rotate'? Expected names joined by +, or none: ...
    """
    if not isinstance(expression, str):
        raise TypeError(
            f"expression is {expression!r} ({type(expression).__name__}); expected names such as 'flip+scale'"
        )
    words = [word.strip() for word in expression.split("+")]
    steps = () if words in ([""], ["none"]) else tuple(words)
    return Augmentation(steps, as_int(focus_classes, "focus_classes", 0))


@dataclass(frozen=True)
class Augmentation:
    """Draws a variant of a sample. Call it with a sample and a key; see :func:`build`.

    Attributes
    ----------
    steps
        Names of what it does, each once, in the order of :func:`names`.
    focus_classes
        How many classes there are, of which one is drawn for every second crop to lie on
        (``minisegnet/data/augment/focus.py``); 0: crops may lie anywhere.
    """

    steps: tuple[str, ...] = ()
    focus_classes: int = 0

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in names():
                raise ValueError(f"there is no augmentation named {step!r}{_hint(step)}")
            if self.steps.count(step) > 1:
                raise ValueError(f"{step!r} is there {self.steps.count(step)} times; expected each name once")
        object.__setattr__(self, "steps", tuple(name for name in names() if name in self.steps))

    def __repr__(self) -> str:
        focus = f", focus_classes={self.focus_classes}" * bool(self.focus_classes)
        return f"build({'+'.join(self.steps) or 'none'!r}{focus})"

    def __call__(self, sample: Sample, key: int | Sequence[int], *, size: IntOrPair | None = None) -> Sample:
        """Return the variant that belongs to this key.

        Geometry moves the picture, its labels and its instances by the same field and reads each once: the picture
        bilinearly, the others by the nearest pixel, and mirrored outside. So no label appears that wasn't there.

        Parameters
        ----------
        sample
            Not changed.
        key
            Integers from 0 to 2**64 - 1, such as (seed, epoch, position). The same key gives the same bits.
        size
            (h, w) of a crop at a random place; None keeps the picture's size.

        Returns
        -------
        sample
            New arrays in C order, of the same dtypes.
        """
        _check(sample)
        H, W = sample.image.shape[:2]
        window = (H, W) if size is None else as_pair(size, "size", 1)
        motion = draw_place(Motion(), stream(key, STREAMS["place"]))
        for step in self.steps:
            if step in MOTIONS:
                motion = MOTIONS[step](motion, stream(key, STREAMS[step]), (H, W), window)
        if self.focus_classes and sample.labels is not None:
            rng = stream(key, STREAMS["focus"])
            if pixel := draw_focus(sample.labels, self.focus_classes, rng):
                motion = aim(motion, pixel, (H, W), window, rng)
        moved = move(sample, motion, window)
        if "colour" in self.steps:
            rng = stream(key, STREAMS["colour"])
            moved = moved._replace(image=recolour(moved.image, draw_colours(rng), rng))
        return moved


def _hint(step: str) -> str:
    near = nearest(step, names())
    guess = f"; did you mean {near!r}?" if near else "."
    if step == "crop":
        guess = "; a crop needs no name, it is made where a size is given."
    return f"{guess} Expected names joined by +, or none: {', '.join(names())}"


def _check(sample: Sample) -> None:
    image, who = sample.image, f"picture {sample.name!r}: " if sample.name else ""
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16, np.float32):
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(
            f"{who}image is {kind}; expected a NumPy array of uint8, uint16, or float32 from 0 to 1"
        )
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"{who}image has shape {image.shape}; expected (H, W, C), each 1 or more")
    for name, labels in (("labels", sample.labels), ("instances", sample.instances)):
        if labels is None:
            continue
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
            kind = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
            raise TypeError(f"{who}{name} are {kind}; expected a NumPy array of integers")
        if labels.shape != image.shape[:2]:
            raise ValueError(
                f"{who}{name} have shape {labels.shape}, the image {image.shape}; expected {image.shape[:2]}"
            )
