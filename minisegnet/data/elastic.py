"""Elastic deformation: bend a picture and its labels like a sheet of rubber, both by the same field.

Three steps, one function each: draw a random displacement for a few grid points and spread it smoothly to every
pixel (``elastic_field``); read each output pixel from where its displacement points (``warp``); do both to a
picture and its labels (``elastic_deform``).
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.sizes import IntOrPair

Randomness: TypeAlias = np.random.Generator | int | Sequence[int]

FARTHEST = 2**31  # displacements stay below this, so that positions are exact integers


# ---------------------------------------------------------------------------------------------------------
# The field


def elastic_field(
    size: IntOrPair, *, grid: IntOrPair = 3, sigma: float = 10.0, rng: Randomness
) -> Array:  # (2, H, W)
    r"""Draw a smooth random displacement for every pixel.

    Each point of a coarse grid gets a random vector, :math:`v \sim \mathcal{N}(0, \sigma^2)` for each of its two
    components. Bicubic interpolation brings the vectors to the pixels: first down the columns, then along the
    rows. Between the values :math:`v_0` and :math:`v_1`, at :math:`0 \le t \le 1`, the interpolating (Catmull-Rom)
    cubic is

    .. math:: v(t) = \tfrac12 \bigl[(-t + 2t^2 - t^3) v_{-1} + (2 - 5t^2 + 3t^3) v_0
                     + (t + 4t^2 - 3t^3) v_1 + (-t^2 + t^3) v_2\bigr]

    It meets v_0 and v_1, and its slope there is that of the line through the two neighbours. Convention: the
    outer grid points lie on the outer pixels, so that grid row k sits at pixel row ``k (H-1)/(grid-1)``. Beyond
    them the last two points are continued in a straight line (:math:`v_{-1} = 2v_0 - v_1`), so that a ramp stays
    a ramp up to the border.

    Parameters
    ----------
    size
        (H, W) of the picture, or one integer for both.
    grid
        Points down and across, at least 2. More points make smaller waves.
    sigma
        Standard deviation of a displacement at a grid point, in pixels.
    rng
        A NumPy ``Generator``; or a key: an integer or several, such as ``(seed, epoch, position)``. The same key
        always gives the same field, and nothing has to be stored to draw it again.

    Returns
    -------
    field
        (2, H, W), float64: how many rows, and how many columns, each pixel reads away from its own place.

    Notes
    -----
    O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015),
    section 3.1: a 3 x 3 grid and 10 pixels, for pictures of 512 x 512. Where neighbouring grid points are less than
    a few sigma apart, the sheet folds over itself; make sigma smaller for smaller pictures. P. Simard, D. Steinkraus
    and J. Platt, "Best Practices for Convolutional Neural Networks" (2003), section 2, smooth a random vector per
    pixel instead.

    Examples
    --------
    >>> field = elastic_field((5, 7), sigma=2.0, rng=(0, 0, 0))
    >>> field.shape
    (2, 5, 7)
    >>> bool((field == elastic_field((5, 7), sigma=2.0, rng=(0, 0, 0))).all())
    True
    """
    op = "elastic_field"
    H, W = checks.pair(size, "size", op, 1)
    GH, GW = checks.pair(grid, "grid", op, 2)
    sigma = checks.number(sigma, "sigma", op)
    if sigma < 0:
        raise ValueError(f"{op}: sigma is {sigma}; expected a standard deviation in pixels, 0 or more")
    vectors = sigma * _generator(rng, op).standard_normal((2, GH, GW))
    return _bicubic(vectors, H, W)


def _bicubic(vectors: Array, H: int, W: int) -> Array:
    """Bring values on a grid (..., GH, GW) to (..., H, W) pixels: the same cubic down and then across."""
    down = _cubic(vectors.swapaxes(-1, -2), H).swapaxes(-1, -2)  # (..., H, GW)
    return np.ascontiguousarray(_cubic(down, W))  # (..., H, W)


def _cubic(v: Array, length: int) -> Array:
    """Bring G values on the last axis to ``length`` pixels."""
    G = v.shape[-1]
    before, after = 2 * v[..., :1] - v[..., 1:2], 2 * v[..., -1:] - v[..., -2:-1]
    v = np.concatenate([before, v, after], axis=-1)  # (..., G + 2): v_0 of interval k is now at k + 1
    position = np.arange(length) * (G - 1) / max(length - 1, 1)  # the pixel's place, counted in grid points
    k = np.minimum(position.astype(np.intp), G - 2)
    t = position - k
    weights = (
        0.5 * t * (-1 + t * (2 - t)),
        0.5 * (2 + t * t * (-5 + 3 * t)),
        0.5 * t * (1 + t * (4 - 3 * t)),
        0.5 * t * t * (-1 + t),
    )
    # A sum of four terms and no matrix product: the same bits for any number of threads.
    result: Array = sum(weight * v[..., k + tap] for tap, weight in enumerate(weights))  # (..., length)
    return result


def _generator(rng: Randomness, op: str) -> np.random.Generator:
    """Return the generator itself, or a fresh one that depends on nothing but the key."""
    if isinstance(rng, np.random.Generator):
        return rng
    parts = tuple(rng) if isinstance(rng, tuple | list) else (rng,)
    words = [len(parts)]
    for part in parts:
        try:
            number = checks.integer(part, "rng", op, 0, maximum=2**64 - 1)
        except TypeError:
            raise TypeError(
                f"{op}: rng is {rng!r}; expected a np.random.Generator, or a key of integers such as "
                "(seed, epoch, position)"
            ) from None
        words += [number & 0xFFFFFFFF, number >> 32]  # two words each: no two keys give the same list
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


# ---------------------------------------------------------------------------------------------------------
# Reading along the field


def warp(
    image: Array, field: Array, *, order: str = "bilinear", border: str = "reflect", fill: float = 0
) -> Array:
    r"""Read each output pixel from where its displacement points.

    .. math:: y_{i,j} = x(i + f_{0,i,j},\; j + f_{1,i,j})

    Between pixels, ``"bilinear"`` mixes the four around the place; ``"nearest"`` takes the pixel whose centre is
    nearest (a half goes down and right). Labels are only ever read by ``"nearest"``: half of class 2 and half of
    class 4 isn't class 3.

    Parameters
    ----------
    image
        (H, W) or (H, W, C), any real dtype. Channels are last, as in image files.
    field
        (2, H, W), float: displacements of rows and of columns, in pixels. A picture seems to move the other way:
        where the field is +1, the pixel below is read, and so the picture moves up.
    order
        ``"bilinear"`` or ``"nearest"``.
    border
        What lies outside: ``"reflect"``, the picture mirrored (the edge pixels aren't repeated), or
        ``"constant"``, the value ``fill``.
    fill
        Value outside for ``border="constant"``; the image's dtype must be able to hold it.

    Returns
    -------
    warped
        Shape and dtype of the image, in C order. Values stay between the image's smallest and largest (and fill;
        in float64 but for the last bit). Bilinear results are rounded to the nearest integer in integer dtypes. A
        NaN spreads to the pixels that are mixed from it.

    Examples
    --------
    >>> image = np.array([[0, 10, 20, 30]], dtype=np.uint8)
    >>> field = np.zeros((2, 1, 4))
    >>> field[1] = 0.5  # half a column to the right
    >>> warp(image, field)
    array([[ 5, 15, 25, 25]], dtype=uint8)
    >>> warp(image, field, order="nearest", border="constant", fill=255)
    array([[ 10,  20,  30, 255]], dtype=uint8)
    """
    op = "warp"
    image = _picture(image, "image", op)
    field = _field(field, image, op)
    order = checks.choice(order, ("bilinear", "nearest"), "order", op)
    outside = None
    if checks.choice(border, ("reflect", "constant"), "border", op) == "constant":
        outside = _fill_value(fill, image, "fill", op)
    H, W = image.shape[:2]
    rows = np.arange(H)[:, None] + field[0]  # (H, W)
    columns = np.arange(W) + field[1]  # (H, W)
    if order == "nearest":
        return _read(image, np.floor(rows + 0.5), np.floor(columns + 0.5), outside)
    if image.dtype.kind in "iu" and image.itemsize == 8 and max(-int(image.min()), int(image.max())) > 2**53:
        raise ValueError(
            f"{op}: image holds integers beyond 2**53, which can't be mixed exactly; "
            'expected smaller ones, or order="nearest" if they are labels'
        )
    return _bilinear(image, rows, columns, outside)


def _bilinear(image: Array, rows: Array, columns: Array, outside: Any) -> Array:
    top, left = np.floor(rows), np.floor(columns)
    bottom, right = np.ceil(rows), np.ceil(columns)  # at a whole position the pixel itself: nothing is mixed
    channels = (1,) * (image.ndim - 2)
    down = (rows - top).reshape(*rows.shape, *channels)  # (H, W[, 1])
    across = (columns - left).reshape(*rows.shape, *channels)  # (H, W[, 1])

    def pixels(i: Array, j: Array) -> Array:
        return _read(image, i, j, outside).astype(np.float64)  # float64 rounds back into a narrower range

    with np.errstate(invalid="ignore"):  # infinity minus infinity
        upper = _between(pixels(top, left), pixels(top, right), across)
        lower = _between(pixels(bottom, left), pixels(bottom, right), across)
        mixed = _between(upper, lower, down)
    if image.dtype.kind in "iu":
        mixed = np.rint(mixed)
    elif image.dtype.kind == "b":
        mixed = mixed >= 0.5
    return mixed.astype(image.dtype)


def _between(a: Array, b: Array, t: Array) -> Array:
    mixed: Array = a + t * (b - a)  # of two equal values exactly that value; (1-t)a + tb may miss it
    return mixed


def _read(image: Array, i: Array, j: Array, outside: Any) -> Array:
    """Pixels at whole positions; those outside are mirrored, or have the value ``outside`` if there is one."""
    H, W = image.shape[:2]
    i, j = i.astype(np.int64), j.astype(np.int64)
    if outside is None:
        i, j = _mirrored(i, H), _mirrored(j, W)
    pixels: Array = image[np.clip(i, 0, H - 1), np.clip(j, 0, W - 1)]  # (H, W[, C]), a copy
    if outside is None:
        return pixels
    pixels[(i < 0) | (i >= H) | (j < 0) | (j >= W)] = outside
    return pixels


def _mirrored(index: Array, length: int) -> Array:
    """Fold any index into 0..length-1: ... 2 1 0 1 2 ... length-1 ... 2 1 0 1 ..."""
    period = max(2 * (length - 1), 1)
    index = index % period
    folded: Array = np.minimum(index, period - index)
    return folded


# ---------------------------------------------------------------------------------------------------------
# Picture and labels together


def elastic_deform(
    image: Array,
    labels: Array,
    *,
    alpha: float = 1.0,
    grid: IntOrPair = 3,
    sigma: float = 10.0,
    rng: Randomness,
    fill_label: int | None = None,
) -> tuple[Array, Array]:
    r"""Bend a picture and its labels by one random field (탄성 변형).

    .. math:: \tilde x(p) = x(p + \alpha f(p)), \qquad \tilde y(p) = y(p + \alpha f(p))

    with f from :func:`elastic_field`. The picture is read bilinearly, the labels by the nearest pixel, so that no
    label appears that wasn't there.

    Parameters
    ----------
    image
        (H, W) or (H, W, C), any real dtype.
    labels
        (H, W), integers or bool.
    alpha
        Scales the field. 0 returns copies of both.
    grid, sigma, rng
        As in :func:`elastic_field`.
    fill_label
        None: labels are mirrored at the border like the picture. Otherwise the label (say, the loss's
        ``ignore_index``) of pixels that were read from outside.

    Returns
    -------
    image
        Shape and dtype of the picture.
    labels
        Shape and dtype of the labels.

    Notes
    -----
    Ronneberger, Fischer and Brox (2015), section 3.1. The paper doesn't say what lies outside the picture; the
    mirror is the one that it uses for tiles (figure 2).

    Examples
    --------
    >>> image = np.arange(16.0).reshape(4, 4)
    >>> labels = (image > 7).astype(np.uint8)
    >>> same_image, same_labels = elastic_deform(image, labels, alpha=0, rng=0)
    >>> bool((same_image == image).all() and (same_labels == labels).all())
    True
    >>> bent_image, bent_labels = elastic_deform(image, labels, sigma=1.0, rng=(7, 0, 3))
    >>> np.unique(bent_labels)
    array([0, 1], dtype=uint8)
    """
    op = "elastic_deform"
    image = _picture(image, "image", op)
    labels = _label_map(labels, image, op)
    alpha = checks.number(alpha, "alpha", op)
    if fill_label is not None:
        _fill_value(fill_label, labels, "fill_label", op)
    field = alpha * elastic_field(labels.shape, grid=grid, sigma=sigma, rng=rng)
    border, fill = ("reflect", 0) if fill_label is None else ("constant", fill_label)
    return warp(image, field), warp(labels, field, order="nearest", border=border, fill=fill)


# ---------------------------------------------------------------------------------------------------------
# Checks


def _picture(value: Any, name: str, op: str) -> Array:
    image = checks.array(value, name, op)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{op}: {name} lies on the GPU; augment NumPy arrays: ops.to_numpy({name})")
    if image.dtype.kind not in "biuf":
        raise TypeError(f"{op}: {name} has dtype {image.dtype}; expected integers, floats or bool")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"{op}: {name} has shape {image.shape}; expected (H, W) or (H, W, C), each 1 or more"
        )
    return image


def _label_map(value: Any, image: Array, op: str) -> Array:
    labels = _picture(value, "labels", op)
    if labels.dtype.kind == "f":
        raise TypeError(f"{op}: labels have dtype {labels.dtype}; expected integers or bool")
    if labels.shape != image.shape[:2]:
        raise ValueError(
            f"{op}: labels have shape {labels.shape}, image {image.shape}; expected {image.shape[:2]}"
            + _channels_first(image, labels.shape)
        )
    return labels


def _field(value: Any, image: Array, op: str) -> Array:
    field = checks.floats(value, "field", op)
    expected = (2, *image.shape[:2])
    if field.shape != expected:
        raise ValueError(
            f"{op}: field has shape {field.shape}; expected {expected} for an image of shape {image.shape}"
            + _channels_first(image, field.shape[1:])
        )
    if not (np.abs(field) < FARTHEST).all():  # false for NaN too
        raise ValueError(
            f"{op}: field holds NaN or values of 2**31 or more; expected displacements in pixels"
        )
    return field


def _channels_first(image: Array, size: tuple[int, ...]) -> str:
    if image.ndim == 3 and image.shape[1:] == size:
        return "; the channels seem to be first: image.transpose(1, 2, 0) puts them last"
    return ""


def _fill_value(fill: Any, like: Array, name: str, op: str) -> Any:
    if not isinstance(fill, bool | int | float | np.bool_ | np.integer | np.floating):
        raise TypeError(f"{op}: {name} is {fill!r} ({type(fill).__name__}); expected a number")
    if like.dtype.kind == "f":
        fits = not math.isfinite(fill) or abs(float(fill)) <= float(np.finfo(like.dtype).max)
    else:
        low, high = (0, 1) if like.dtype.kind == "b" else (np.iinfo(like.dtype).min, np.iinfo(like.dtype).max)
        fits = bool(low <= fill <= high and fill == int(fill))
    if not fits:
        raise ValueError(
            f"{op}: {name} is {fill}; expected a value that an image of dtype {like.dtype} can hold"
        )
    return fill
