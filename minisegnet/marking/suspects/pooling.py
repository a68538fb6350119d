"""Mistakes in poolings and in unpooling."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.suspect import right, suspect

# ---------------------------------------------------------------------------------------------------------
# max_pool2d: the same walk over the windows for all mistakes


def _windows(
    a: SimpleNamespace,
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, int, int, int, float, bool]]]]:
    """Walk over the windows: where the result goes, and its pixels (i, j, row, column, value, inside)."""
    N, C, H, W = a.x.shape
    (KH, KW), (sh, sw) = a.kernel_size, a.stride or a.kernel_size
    (ph, pw), (dh, dw) = a.padding, a.dilation
    OH, OW = right("max_pool2d", a).shape[2:]
    for n, c, oh, ow in np.ndindex(N, C, OH, OW):
        pixels = []
        for i, j in np.ndindex(KH, KW):
            row, column = oh * sh - ph + i * dh, ow * sw - pw + j * dw
            inside = 0 <= row < H and 0 <= column < W
            pixels.append((i, j, row, column, a.x[n, c, row, column] if inside else 0.0, inside))
        yield (n, c, oh, ow), pixels


def _pooled(
    a: SimpleNamespace,
    index: Callable[..., int] | None = None,
    zeros: bool = False,
    beats: Callable[[float, float], bool] = lambda v, best: v > best or v != v,
) -> tuple[Any, Any]:
    """Pool with another index, with zeros around, or with another rule for which pixel wins."""
    y, indices = (np.array(part) for part in (right("max_pool2d", a), right("max_pool2d", a, "indices")))
    W = a.x.shape[3]
    for place, pixels in _windows(a):
        best: tuple[Any, ...] | None = None
        for pixel in pixels:
            if (pixel[5] or zeros) and (best is None or beats(pixel[4], best[4])):
                best = pixel
        if best is None:
            continue
        y[place] = best[4]
        indices[place] = index(a, best, place, pixels[0]) if index else best[2] * W + best[3]
    return y, indices


ZEROS = """the padding takes part as zeros: a window of negative numbers then has the maximum 0. Padding counts
        as minus
    infinity (-np.inf): it never wins"""
suspect("max_pool2d.padding-zero", "max_pool2d", "y", ZEROS)(lambda a: _pooled(a, zeros=True)[0])
suspect("max_pool2d.padding-zero", "max_pool2d", "indices", ZEROS)(lambda a: _pooled(a, zeros=True)[1])
LAST = """of equal maxima the last one is taken; the first one in row-major order counts. Is there a `>=` where
        `>` should
    be?"""
suspect("max_pool2d.last-maximum", "max_pool2d", "indices", LAST)(
    lambda a: _pooled(a, beats=lambda v, best: v >= best or v != v)[1]
)
COLUMN = """of equal maxima the first one column by column is taken; go through the window row by row"""
suspect("max_pool2d.column-first", "max_pool2d", "indices", COLUMN)(
    lambda a: (
        right("max_pool2d", _turned(a), "indices").swapaxes(2, 3) % a.x.shape[2] * a.x.shape[3]
        + right("max_pool2d", _turned(a), "indices").swapaxes(2, 3) // a.x.shape[2]
    )
)


def _turned(a: SimpleNamespace) -> SimpleNamespace:
    turned = {name: getattr(a, name)[::-1] for name in ("kernel_size", "padding", "dilation")}
    stride = None if a.stride is None else a.stride[::-1]
    return SimpleNamespace(**{**vars(a), **turned, "stride": stride, "x": a.x.swapaxes(2, 3)})


START = """a window without a positive number gets 0. The best so far must begin below every number: with -np.inf,
    or with the window's first pixel"""
suspect("max_pool2d.starts-at-zero", "max_pool2d", "y", START)(
    lambda a: np.maximum(right("max_pool2d", a), 0)
)
suspect("max_pool2d.starts-at-zero", "max_pool2d", "indices", START)(
    lambda a: np.where(right("max_pool2d", a) <= 0, 0, right("max_pool2d", a, "indices"))
)


INDICES: dict[str, tuple[str, Callable[..., int]]] = {
    "index-padded-width": (
        """indices count in the padded map; they are positions in the map itself: row * W + column, with W the
        width of x
        without padding, and row and column counted from the map's first pixel""",
        lambda a, p, place, first: (p[2] + a.padding[0]) * (a.x.shape[3] + 2 * a.padding[1]) + p[3] + a.padding[1],
    ),
    "index-not-shifted": (
        """indices count rows and columns from the padding's corner: take the padding off, (row - p) * W +
        (column - p)""",
        lambda a, p, place, first: (p[2] + a.padding[0]) * a.x.shape[3] + p[3] + a.padding[1],
    ),
    "index-row-not-shifted": (
        """the row in indices counts from the padding's corner, the column from the map's: take the padding off the row,
        too""",
        lambda a, p, place, first: (p[2] + a.padding[0]) * a.x.shape[3] + p[3],
    ),
    "index-wide": (
        """the padded width is used in the index: row * W + column, with W the width of x without padding""",
        lambda a, p, place, first: p[2] * (a.x.shape[3] + 2 * a.padding[1]) + p[3],
    ),
    "index-in-window": (
        """indices count inside the window; they are positions in the whole map: (oh * stride + i) * W + (ow *
        stride + j),
        less the padding""",
        lambda a, p, place, first: p[0] * a.kernel_size[1] + p[1],
    ),
    "index-height-for-width": (
        """the index multiplies the row by the height: row * W + column, with W the width (the length of a row)""",
        lambda a, p, place, first: p[2] * a.x.shape[2] + p[3],
    ),
    "index-column-first": (
        """the index counts down the columns: position = row * W + column""",
        lambda a, p, place, first: p[3] * a.x.shape[2] + p[2],
    ),
    "index-whole-array": (
        """indices count through the whole array; each map is counted for itself, from 0 to H*W - 1""",
        lambda a, p, place, first: (place[0] * a.x.shape[1] + place[1]) * a.x[0, 0].size + p[2] * a.x.shape[3] + p[3],
    ),
    "index-output-width": (
        """the index multiplies the row by the width of the result: row * W + column, with W the width of x""",
        lambda a, p, place, first: p[2] * right("max_pool2d", a).shape[3] + p[3],
    ),
}  # fmt: skip
for _name, (_hint, _index) in INDICES.items():
    suspect(f"max_pool2d.{_name}", "max_pool2d", "indices", _hint)(
        lambda a, index=_index: _pooled(a, index)[1]
    )

NAN = """a NaN in the window is hidden: `value > best` is False when one of them is NaN. A NaN wins: test
    `value > best or value != value` (only NaN differs from itself); np.max keeps it, np.fmax and np.nanmax don't"""
suspect("max_pool2d.nan-hidden", "max_pool2d", "y", NAN)(
    lambda a: _pooled(a, beats=lambda v, best: v > best)[0]
)
suspect("max_pool2d.nan-hidden", "max_pool2d", "y", NAN)(
    lambda a: _pooled(a, beats=lambda v, best: v > best or best != best)[0]
)
suspect(
    "max_pool2d.first-nan",
    "max_pool2d",
    "indices",
    """with several NaN in a window the index is that of the last one
    (PyTorch's rule); yours is the first""",
)(lambda a: _pooled(a, beats=lambda v, best: v > best or (v != v and best == best))[1])
ONE = """without a stride the window moves by its own size: stride=None means kernel_size, not 1"""
for _output in ("y", "indices"):
    suspect("max_pool2d.stride-default", "max_pool2d", _output, ONE)(
        lambda a, output=_output: right("max_pool2d", a, output, stride=a.stride or (1, 1))
    )
    suspect(
        "max_pool2d.stride-ignored",
        "max_pool2d",
        _output,
        """the window moves by its own size, whatever stride is""",
    )(lambda a, output=_output: right("max_pool2d", a, output, stride=None))


# ---------------------------------------------------------------------------------------------------------
# Backward and unpooling: each value has one place


def _scattered(values: Any, indices: Any, size: tuple[int, int], add: bool, width: int | None = None) -> Any:
    """Write values to their places; add where one place comes twice, or let the last one stay."""
    N, C = values.shape[:2]
    H, W = size
    result = np.zeros((N, C, H, W))
    for n, c, h, w in np.ndindex(*values.shape):
        row, column = divmod(int(indices[n, c, h, w]), width or W)
        if not (row < H and column < W):
            raise IndexError
        if add:
            result[n, c, row, column] += values[n, c, h, w]
        else:
            result[n, c, row, column] = values[n, c, h, w]
    return result


suspect("max_pool2d_backward.overwritten", "max_pool2d_backward", "dx", """a pixel that won several windows
        gets only the last
    one's gradient; they add up. `dx[place] = dy` should be `+=`; and `dx[places] += dy` with an array of
        places adds only
    once for each: np.add.at adds every one""")(
    lambda a: _scattered(a.dy, a.indices, a.input_size, add=False)
)  # fmt: skip
WIDTH = """the index is taken apart with the wrong width: row, column = divmod(index, W), with W the width of
        the large
    map ({name}'s last number)"""
suspect("max_pool2d_backward.wrong-width", "max_pool2d_backward", "dx", WIDTH.format(name="input_size"))(
    lambda a: _scattered(a.dy, a.indices, a.input_size, True, a.dy.shape[3])
)
suspect("max_pool2d_backward.wrong-width", "max_pool2d_backward", "dx", WIDTH.format(name="input_size"))(
    lambda a: _scattered(a.dy, a.indices, a.input_size, True, a.input_size[0])
)


def _last_writer(a: SimpleNamespace) -> Any:
    dx = np.zeros(a.indices.shape)
    for n, c in np.ndindex(*a.indices.shape[:2]):
        flat = a.indices[n, c].reshape(-1)
        last = {int(index): place for place, index in enumerate(flat)}
        for index, place in last.items():
            dx[n, c].reshape(-1)[place] = a.dy[n, c].reshape(-1)[index]
    return dx


suspect("max_unpool2d.adds", "max_unpool2d", "y", """where an index comes twice, the values are added; the last
        one, in row-major
    order, replaces the others""")(lambda a: _scattered(a.x, a.indices, a.output_size, add=True))  # fmt: skip
suspect("max_unpool2d.first-stays", "max_unpool2d", "y", """where an index comes twice, the first value stays;
        the last one, in
    row-major order, replaces the others""")(
    lambda a: _scattered(
        a.x[:, :, ::-1, ::-1], a.indices[:, :, ::-1, ::-1], a.output_size, add=False
    )
)  # fmt: skip
suspect("max_unpool2d.wrong-width", "max_unpool2d", "y", WIDTH.format(name="output_size"))(
    lambda a: _scattered(a.x, a.indices, a.output_size, False, a.x.shape[3])
)
suspect("max_unpool2d.wrong-width", "max_unpool2d", "y", WIDTH.format(name="output_size"))(
    lambda a: _scattered(a.x, a.indices, a.output_size, False, a.output_size[0])
)
suspect("max_unpool2d.wrong-width", "max_unpool2d", "y", WIDTH.format(name="output_size"))(
    lambda a: _scattered(a.x, a.indices, a.output_size, False, 2 * a.x.shape[3])
)
suspect("max_unpool2d_backward.only-last", "max_unpool2d_backward", "dx", """where an index comes twice, only
        one of the values gets
    the gradient; every value reads the gradient at its own place, dx = dy[index]""")(_last_writer)  # fmt: skip


def _gathered(a: SimpleNamespace, width: int) -> Any:
    dx = np.zeros(a.indices.shape)
    for n, c, h, w in np.ndindex(*a.indices.shape):
        dx[n, c, h, w] = a.dy[n, c][divmod(int(a.indices[n, c, h, w]), width)]
    return dx


suspect("max_unpool2d_backward.wrong-width", "max_unpool2d_backward", "dx", """the index is taken apart with
        the wrong width: row,
    column = divmod(index, W), with W the width of dy""")(lambda a: _gathered(a, a.indices.shape[3]))  # fmt: skip
suspect("max_unpool2d_backward.wrong-width", "max_unpool2d_backward", "dx", """the index is taken apart with
        the height: row,
    column = divmod(index, W), with W the width of dy""")(lambda a: _gathered(a, a.dy.shape[2]))  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Averages


def _sums(a: SimpleNamespace) -> Any:
    """Return the sum of each window, padding being zeros."""
    whole = right("avg_pool2d", a, count_include_pad=False)
    (KH, KW), (sh, sw), (ph, pw) = a.kernel_size, a.stride or a.kernel_size, a.padding
    H, W = a.x.shape[2:]
    sums = np.array(whole)
    for oh, ow in np.ndindex(*whole.shape[2:]):
        height = min(oh * sh - ph + KH, H) - max(oh * sh - ph, 0)
        width = min(ow * sw - pw + KW, W) - max(ow * sw - pw, 0)
        sums[:, :, oh, ow] *= height * width
    return sums


suspect("avg_pool2d.no-division", "avg_pool2d", "y", """these are the sums of the windows: divide by the number of
    pixels""")(_sums)  # fmt: skip
suspect("avg_pool2d.ceil-overhang-counted", "avg_pool2d", "y", """a window that hangs over the edge (ceil_mode)
        is divided by its
    full size; what lies beyond map and padding doesn't count""")(
    lambda a: _sums(a) / (a.kernel_size[0] * a.kernel_size[1]) if a.count_include_pad else None
)  # fmt: skip
suspect("avg_pool2d.stride-default", "avg_pool2d", "y", ONE)(
    lambda a: right("avg_pool2d", a, stride=a.stride or (1, 1))
)
suspect(
    "avg_pool2d.stride-ignored", "avg_pool2d", "y", """the window moves by its own size, whatever stride is"""
)(lambda a: right("avg_pool2d", a, stride=None))


def _spread(a: SimpleNamespace, divide: bool, add: bool) -> Any:
    """Give every pixel of a window its share of dy; with mistakes."""
    H, W = a.input_size
    (KH, KW), (sh, sw), (ph, pw) = a.kernel_size, a.stride or a.kernel_size, a.padding
    dx = np.zeros((*a.dy.shape[:2], H, W))
    for oh, ow in np.ndindex(*a.dy.shape[2:]):
        top, left = oh * sh - ph, ow * sw - pw
        bottom, right_ = min(top + KH, H + ph), min(left + KW, W + pw)
        rows, columns = slice(max(top, 0), min(bottom, H)), slice(max(left, 0), min(right_, W))
        inside = (rows.stop - rows.start) * (columns.stop - columns.start)
        count = (bottom - top) * (right_ - left) if a.count_include_pad else inside
        share = a.dy[:, :, oh, ow, None, None] / (count if divide else 1)
        if add:
            dx[:, :, rows, columns] += share
        else:
            dx[:, :, rows, columns] = share
    return dx


suspect("avg_pool2d_backward.no-division", "avg_pool2d_backward", "dx", """every pixel gets all of the window's
        gradient: the forward
    divides by the number of pixels, so that each gets 1/n of
        it""")(lambda a: _spread(a, divide=False, add=True))  # fmt: skip
suspect("avg_pool2d_backward.overwritten", "avg_pool2d_backward", "dx", """where windows overlap, only the last
        one counts: is
    there an `=` where `+=` should be?""")(lambda a: _spread(a, divide=True, add=False))  # fmt: skip

suspect("global_avg_pool2d.axes", "global_avg_pool2d", "y", """the mean is taken over the wrong axes: each map
        of each picture has
    its own, x.mean(axis=(2, 3), keepdims=True)""")(
    lambda a: np.broadcast_to(a.x.mean(axis=(0, 2, 3), keepdims=True), (*a.x.shape[:2], 1, 1))
)  # fmt: skip
for _axes in ((0, 2, 3), (1, 2, 3), (0, 1), (1,), (2, 3), (2,), (3,)):
    for _keep in (True, False):
        suspect("global_avg_pool2d.axes", "global_avg_pool2d", "y", """the mean is taken over the wrong axes,
        or the axes of 1
            are lost: each map of each picture has its own, x.mean(axis=(2, 3), keepdims=True), of shape (N, C,
        1, 1)""")(
            lambda a, axes=_axes, keep=_keep: a.x.mean(axis=axes, keepdims=keep) if a.x.size else None
        )  # fmt: skip
suspect("global_avg_pool2d.no-division", "global_avg_pool2d", "y", """these are sums: divide by H * W""")(
    lambda a: a.x.sum(axis=(2, 3), keepdims=True)
)
suspect("global_avg_pool2d_backward.no-division", "global_avg_pool2d_backward", "dx", """every pixel gets all
        of the gradient: the
    forward divides by H * W, so that each gets dy / (H * W)""")(
    lambda a: np.broadcast_to(a.dy, (*a.dy.shape[:2], *a.input_size))
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Bins


def _binned(a: SimpleNamespace, reduce: Callable[..., Any]) -> Any:
    H, W = a.x.shape[2:]
    OH, OW = a.output_size
    y = np.zeros((*a.x.shape[:2], OH, OW))
    for i, j in np.ndindex(OH, OW):
        rows, columns = slice(i * H // OH, (i + 1) * H // OH), slice(j * W // OW, (j + 1) * W // OW)
        if rows.start == rows.stop or columns.start == columns.stop:
            raise ValueError
        y[:, :, i, j] = reduce(a.x[:, :, rows, columns], axis=(2, 3))
    return y


BIN_END = """the bins end too early: bin i goes from floor(i*H/OH) to ceil((i+1)*H/OH); where H isn't a
        multiple of OH, two
    bins share a row"""
suspect("adaptive_avg_pool2d.bin-end", "adaptive_avg_pool2d", "y", BIN_END)(lambda a: _binned(a, np.mean))
suspect("adaptive_max_pool2d.bin-end", "adaptive_max_pool2d", "y", BIN_END)(lambda a: _binned(a, np.max))


def _bins_back(a: SimpleNamespace, divide: bool, add: bool) -> Any:
    (H, W), (OH, OW) = a.input_size, a.dy.shape[2:]
    dx = np.zeros((*a.dy.shape[:2], H, W))
    for i, j in np.ndindex(OH, OW):
        rows, columns = slice(i * H // OH, -(-(i + 1) * H // OH)), slice(j * W // OW, -(-(j + 1) * W // OW))
        share = a.dy[:, :, i, j, None, None] / (dx[0, 0, rows, columns].size if divide else 1)
        if add:
            dx[:, :, rows, columns] += share
        else:
            dx[:, :, rows, columns] = share
    return dx


suspect("adaptive_avg_pool2d_backward.no-division", "adaptive_avg_pool2d_backward", "dx", """every pixel of a
        bin gets all of its
    gradient; each gets 1/n of it, n the number of pixels in the
        bin""")(lambda a: _bins_back(a, False, True))  # fmt: skip
suspect("adaptive_avg_pool2d_backward.overwritten", "adaptive_avg_pool2d_backward", "dx", """where two bins
        share a row, only the last
    one counts: is there an `=` where `+=` should be?""")(lambda a: _bins_back(a, True, False))  # fmt: skip
