"""Integer arithmetic of sizes: what comes out of each op, and what each output pixel can see.

No arrays here, only Python integers, so nothing overflows and everything can be checked on paper.
A size is an ``(height, width)`` pair; every function also takes one integer for both axes.
"""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

Pair: TypeAlias = tuple[int, int]
IntOrPair: TypeAlias = int | tuple[int, int] | Sequence[int]


def as_int(value: Any, name: str, minimum: int | None = None) -> int:
    """Return ``value`` as a Python integer, or say what is wrong with it.

    >>> as_int(3, "stride", minimum=1)
    3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected an integer")
    if minimum is not None and number < minimum:
        raise ValueError(f"{name} is {number}; expected an integer of at least {minimum}")
    return number


def as_pair(value: Any, name: str, minimum: int | None = None) -> Pair:
    """Return ``value`` as an ``(h, w)`` pair of Python integers; one integer counts for both axes.

    >>> as_pair(3, "kernel_size"), as_pair((3, 5), "kernel_size")
    ((3, 3), (3, 5))
    """
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
        if minimum is None or min(value) >= minimum:  # the usual case: checked already, perhaps several times
            return value
    if not (isinstance(value, tuple | list) or getattr(value, "ndim", 0) == 1):  # a NumPy row is a pair, too
        number = as_int(value, name, minimum)
        return number, number
    if len(value) != 2:
        raise ValueError(f"{name} is {value!r}; expected one integer or an (h, w) pair of integers")
    return as_int(value[0], f"{name}[0]", minimum), as_int(value[1], f"{name}[1]", minimum)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


# ---------------------------------------------------------------------------------------------------------
# Output sizes


def conv2d_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
) -> Pair:
    """Size of a convolution's output: ``floor((H + 2p - d(k-1) - 1) / s) + 1`` on each axis.

    >>> conv2d_size((572, 572), 3)
    (570, 570)
    >>> conv2d_size((5, 7), 3, stride=2, padding=1)
    (3, 4)
    """
    H = as_pair(size, "size", 1)
    K = as_pair(kernel_size, "kernel_size", 1)
    s, p, d = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0), as_pair(dilation, "dilation", 1)
    out = []
    for a in range(2):
        extent, room = d[a] * (K[a] - 1) + 1, H[a] + 2 * p[a]
        if extent > room:
            raise ValueError(
                f"the kernel is larger than the padded input: kernel_size {K} with dilation {d} covers "
                f"{extent} on axis {'HW'[a]}, the input {H} with padding {p} has {room}; "
                "use a larger input, more padding or a smaller kernel"
            )
        out.append((room - extent) // s[a] + 1)
    return out[0], out[1]


def conv_transpose2d_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
) -> Pair:
    """Size of a transposed convolution's output: ``(H-1)s - 2p + d(k-1) + output_padding + 1``.

    >>> conv_transpose2d_size((28, 28), 2, stride=2)
    (56, 56)
    >>> conv_transpose2d_size(2, 3, stride=2, padding=1, output_padding=1)
    (4, 4)
    """
    H = as_pair(size, "size", 1)
    K = as_pair(kernel_size, "kernel_size", 1)
    s, p, d = as_pair(stride, "stride", 1), as_pair(padding, "padding", 0), as_pair(dilation, "dilation", 1)
    op = as_pair(output_padding, "output_padding", 0)
    out = []
    for a in range(2):
        if op[a] >= max(s[a], d[a]):
            raise ValueError(
                f"output_padding is {op} with stride {s} and dilation {d}; expected it to be below "
                "max(stride, dilation) on each axis"
            )
        length = (H[a] - 1) * s[a] - 2 * p[a] + d[a] * (K[a] - 1) + op[a] + 1
        if length < 1:
            raise ValueError(
                f"the output would have {length} elements on axis {'HW'[a]}: size {H}, kernel_size {K}, "
                f"stride {s}, padding {p}; use less padding or a larger input"
            )
        out.append(length)
    return out[0], out[1]


def pool2d_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Pair:
    """Size of a pooling's output; ``stride=None`` means the kernel size.

    With ``ceil_mode`` the last window may hang over the right edge, but one that would start
    in the right padding is dropped.

    >>> pool2d_size((5, 5), 2), pool2d_size((5, 5), 2, ceil_mode=True)
    ((2, 2), (3, 3))
    """
    H = as_pair(size, "size", 1)
    K = as_pair(kernel_size, "kernel_size", 1)
    s = K if stride is None else as_pair(stride, "stride", 1)
    p, d = as_pair(padding, "padding", 0), as_pair(dilation, "dilation", 1)
    out = []
    for a in range(2):
        if 2 * p[a] > K[a]:
            raise ValueError(f"padding is {p} with kernel_size {K}; expected at most half the kernel")
        room = H[a] + 2 * p[a] - d[a] * (K[a] - 1) - 1
        length = (_ceil_div(room, s[a]) if ceil_mode else room // s[a]) + 1
        if ceil_mode and (length - 1) * s[a] >= H[a] + p[a]:
            length -= 1
        if length < 1:
            raise ValueError(
                f"the window does not fit: kernel_size {K} with dilation {d} on an input of {H} with "
                f"padding {p}; use a larger input or a smaller kernel"
            )
        # A dilated window can jump over a very small input and see nothing but padding.
        for i in range(length) if d[a] > 1 and p[a] > 0 else ():
            start = i * s[a] - p[a]
            if not any(0 <= start + t * d[a] < H[a] for t in range(K[a])):
                raise ValueError(
                    f"window {i} on axis {'HW'[a]} covers nothing but padding: size {H}, kernel_size {K}, "
                    f"padding {p}, dilation {d}; use less padding or dilation"
                )
        out.append(length)
    return out[0], out[1]


def adaptive_bin(i: int, size: int, output_size: int) -> Pair:
    """Where bin ``i`` of an adaptive pooling starts and stops: ``floor(i*H/OH)`` to ``ceil((i+1)*H/OH)``.

    >>> [adaptive_bin(i, 5, 3) for i in range(3)]
    [(0, 2), (1, 4), (3, 5)]
    """
    return i * size // output_size, _ceil_div((i + 1) * size, output_size)


def pad2d_size(size: IntOrPair, padding: IntOrPair) -> Pair:
    """Size after padding both sides of each axis.

    >>> pad2d_size((4, 5), (1, 2))
    (6, 9)
    """
    (H, W), (ph, pw) = as_pair(size, "size", 1), as_pair(padding, "padding", 0)
    return H + 2 * ph, W + 2 * pw


def crop2d_start(size: IntOrPair, output_size: IntOrPair) -> Pair:
    """First row and column of a centred crop: ``(H - h) // 2``.

    >>> crop2d_start((64, 64), (56, 56))
    (4, 4)
    """
    (H, W), (h, w) = as_pair(size, "size", 1), as_pair(output_size, "output_size", 1)
    if h > H or w > W:
        raise ValueError(f"the crop {(h, w)} is larger than the map {(H, W)}; expected at most that size")
    return (H - h) // 2, (W - w) // 2


# ---------------------------------------------------------------------------------------------------------
# What an output pixel can see


@dataclass(frozen=True)
class Layer:
    """What the size arithmetic needs to know of one convolution, pooling or transposed convolution.

    >>> Layer(3, padding=1)
    Layer(kernel_size=3, stride=1, padding=1, dilation=1, transposed=False)
    """

    kernel_size: IntOrPair
    stride: IntOrPair = 1
    padding: IntOrPair = 0
    dilation: IntOrPair = 1
    transposed: bool = False


@dataclass(frozen=True)
class ReceptiveField:
    """The region of the input that one output pixel depends on, per axis (수용 영역, receptive field).

    ``size`` is its height and width. ``stride`` says how far it moves from one output pixel to the next;
    it is a fraction after upsampling. ``start`` is its first row and column for output pixel (0, 0);
    negative where it begins in the padding.
    """

    size: Pair
    stride: tuple[Fraction, Fraction]
    start: Pair


def _axis(layer: Layer, axis: int) -> tuple[int, int, int, int]:
    return (
        as_pair(layer.kernel_size, "kernel_size", 1)[axis],
        as_pair(layer.stride, "stride", 1)[axis],
        as_pair(layer.padding, "padding", 0)[axis],
        as_pair(layer.dilation, "dilation", 1)[axis],
    )


def input_range(layers: Iterable[Layer], index: int, axis: int = 0) -> Pair:
    """First and last input position (both inclusive) that output position ``index`` depends on.

    Walks from the output back to the input. A convolution or pooling that makes positions a..b reads
    ``a*s - p`` to ``b*s - p + d(k-1)``. A transposed convolution writes input j to ``j*s - p`` up to
    ``j*s - p + d(k-1)``, so a..b come from the j between ``(a + p - d(k-1))/s`` and ``(b + p)/s``.
    Positions below 0 or beyond the input lie in the padding.

    >>> input_range([Layer(3), Layer(2, stride=2)], 1)
    (2, 5)
    """
    first = last = as_int(index, "index", 0)
    for layer in reversed(list(layers)):
        k, s, p, d = _axis(layer, axis)
        reach = d * (k - 1)
        if layer.transposed:
            first, last = _ceil_div(first + p - reach, s), (last + p) // s
        else:
            first, last = first * s - p, last * s - p + reach
    return first, last


def receptive_field(layers: Iterable[Layer]) -> ReceptiveField:
    """Receptive field of one output pixel of a chain of layers, the first layer first.

    The recurrence (Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
    Distill 2019), with ``jump`` the distance in the input between neighbouring positions:
    ``size += (k - 1) d jump``; ``start -= p jump``; ``jump *= s``. A transposed convolution divides the jump,
    and how much an output pixel sees then depends on where it falls; the largest is given.

    >>> vgg_block = [Layer(3, padding=1), Layer(3, padding=1), Layer(2, stride=2)]
    >>> receptive_field(vgg_block).size, receptive_field(vgg_block * 2).size
    ((6, 6), (16, 16))
    """
    chain = list(layers)
    jumps = []
    sizes = []
    starts = []
    for axis in range(2):
        jump, period = Fraction(1), 1
        for layer in chain:
            _, s, _, _ = _axis(layer, axis)
            jump = jump / s if layer.transposed else jump * s
            period *= s if layer.transposed else 1
        ranges = [input_range(chain, i, axis) for i in range(period)]
        sizes.append(max(last - first + 1 for first, last in ranges))
        starts.append(ranges[0][0])
        jumps.append(jump)
    return ReceptiveField((sizes[0], sizes[1]), (jumps[0], jumps[1]), (starts[0], starts[1]))


def chain_size(layers: Iterable[Layer], size: IntOrPair) -> Pair:
    """Output size of a chain of layers for an input of ``size``.

    >>> chain_size([Layer(3), Layer(3), Layer(2, stride=2)], 572)
    (284, 284)
    """
    current = as_pair(size, "size", 1)
    for layer in layers:
        size_of = conv_transpose2d_size if layer.transposed else conv2d_size
        current = size_of(
            current, layer.kernel_size, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
        )
    return current
