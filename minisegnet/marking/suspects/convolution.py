"""Mistakes in convolutions and in the fully connected layer."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.suspect import right, suspect

FLIP = np.s_[:, :, ::-1, ::-1]


# ---------------------------------------------------------------------------------------------------------
# conv2d


@suspect(
    "conv2d.flipped",
    "conv2d",
    "y",
    """your filter is turned around: y[oh, ow] adds w[i, j] * x[oh + i, ow + j],
    with i and j counting the same way in both. Turning it is the convolution of mathematics; ours isn't turned""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d", a, w=a.w[FLIP])


@suspect(
    "conv2d.stride-dilation-swapped",
    "conv2d",
    "y",
    """stride and dilation are swapped: the window moves by
    stride, the taps inside it lie dilation apart: row = oh * stride + i * dilation - padding""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d", a, stride=a.dilation, dilation=a.stride)


@suspect(
    "conv2d.filter-transposed",
    "conv2d",
    "y",
    """the filter's rows and columns are swapped: i of w[k, c, i, j] goes
    with the row of x, j with the column""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d", a, w=a.w.transpose(0, 1, 3, 2)) if a.w.shape[2] == a.w.shape[3] else None


def _padded(a: SimpleNamespace, before: int, after: int, **options: Any) -> Any:
    (ph, pw), none = a.padding, (0, 0)
    widths = (none, none, (before * ph, after * ph), (before * pw, after * pw))
    return right("conv2d", a, x=np.pad(a.x, widths, **options), padding=(0, 0))


ONE_SIDE = """zeros are put on one side only: padding goes to both, p rows above and p below, p columns to the
        left and p
    to the right. Written as an index: row = oh * stride + i * dilation - padding, and rows outside 0..H-1 are
        zeros"""


@suspect("conv2d.padding-one-side", "conv2d", "y", ONE_SIDE)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 2, 0)


@suspect("conv2d.padding-one-side", "conv2d", "y", ONE_SIDE)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 0, 2)


@suspect("conv2d.padding-one-side", "conv2d", "y", ONE_SIDE)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 1, 0)


@suspect("conv2d.padding-one-side", "conv2d", "y", ONE_SIDE)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 0, 1)


@suspect(
    "conv2d.padding-repeats-edge",
    "conv2d",
    "y",
    """the padding repeats the edge of the map; here padding is
    zeros. An index that is clamped to 0..H-1 does this: leave such taps out instead""",
)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 1, 1, mode="edge")


@suspect(
    "conv2d.padding-wraps",
    "conv2d",
    "y",
    """the padding shows the opposite side of the map. An index of -1 is no
    error in Python, it means the last row: leave taps with row < 0 or column < 0 out""",
)
def _(a: SimpleNamespace) -> Any:
    return _padded(a, 1, 1, mode="wrap")


@suspect(
    "conv2d.channels-overwritten",
    "conv2d",
    "y",
    """only the last input channel is seen: the sum runs over the
    channels too. Is there an `=` where `+=` should be, or is y set to 0 inside the loop over c?""",
)
def _(a: SimpleNamespace) -> Any:
    CG = a.w.shape[1]
    return right("conv2d", a, x=a.x[:, CG - 1 :: CG], w=a.w[:, -1:])


@suspect(
    "conv2d.first-channel-only",
    "conv2d",
    "y",
    """only the first input channel is seen: the sum runs over all
    the channels of x""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d", a, x=a.x[:, :: a.w.shape[1]], w=a.w[:, :1])


@suspect(
    "conv2d.taps-overwritten",
    "conv2d",
    "y",
    """every product replaces the sum so far, so that only the last one
    is left: is there an `=` where `+=` should be?""",
)
def _(a: SimpleNamespace) -> Any:
    y = np.zeros(right("conv2d", a).shape)
    for n, k, c, oh, ow, i, j, row, column in taps(a, *y.shape[2:]):
        y[n, k, oh, ow] = a.w[k, c % a.w.shape[1], i, j] * a.x[n, c, row, column]
    return y if a.b is None else y + a.b[:, None, None]


@suspect(
    "conv2d.groups-ignored",
    "conv2d",
    "y",
    """every filter looks at the first group's channels: filter k belongs
    to group k // (K // groups), whose channels begin at group * (C // groups)""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d", a, x=a.x[:, : a.w.shape[1]], groups=1)


@suspect(
    "conv2d.groups-interleaved",
    "conv2d",
    "y",
    """filters are dealt out to the groups one by one (k % groups); a
    group is a run of neighbours: filters 0 to K/groups - 1 are group 0""",
)
def _(a: SimpleNamespace) -> Any:
    K, G = len(a.w), a.groups
    order = np.argsort(np.arange(K) % G, kind="stable")
    y = np.empty_like(right("conv2d", a))
    y[:, order] = right("conv2d", a, w=a.w[order], b=None if a.b is None else a.b[order])
    return y


@suspect(
    "conv2d.bias-many-times",
    "conv2d",
    "y",
    """the bias is added more than once: once for every place, outside of the
    loops over channels and taps""",
)
def _(a: SimpleNamespace) -> Any:
    return None if a.b is None else right("conv2d", a, b=a.b * a.w[0].size)


@suspect(
    "conv2d.bias-many-times",
    "conv2d",
    "y",
    """the bias is added once for every input channel: add it once for every
    place, outside of the loop over c""",
)
def _(a: SimpleNamespace) -> Any:
    return None if a.b is None else right("conv2d", a, b=a.b * a.w.shape[1])


# ---------------------------------------------------------------------------------------------------------
# conv2d_backward

FLIP_HINT = """the filter is turned the wrong way. In the forward, tap (i, j) carries row oh*s - p + i*d to
        output row oh;
    dx sends dy back over the same tap: dx[row] += w[i, j] * dy[oh]. Written as a convolution of dy, that needs the
    filter turned around, w[:, :, ::-1, ::-1]"""


@suspect("conv2d_backward.dx-flip", "conv2d_backward", "dx", FLIP_HINT)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d_backward", a, "dx", w=a.w[FLIP])


def taps(a: SimpleNamespace, OH: int, OW: int, inside: bool = True) -> Iterator[tuple[int, ...]]:
    """Walk over all products of a convolution: n, k, c, oh, ow, i, j and the pixel that they meet."""
    (N, _, H, W), (K, CG, KH, KW) = a.x.shape, a.w.shape
    (sh, sw), (ph, pw), (dh, dw) = a.stride, a.padding, a.dilation
    for n, k, oh, ow, cg, i, j in np.ndindex(N, K, OH, OW, CG, KH, KW):
        row, column = oh * sh - ph + i * dh, ow * sw - pw + j * dw
        if not inside or (0 <= row < H and 0 <= column < W):
            yield n, k, k // (K // a.groups) * CG + cg, oh, ow, i, j, row, column


OVERWRITTEN = """where windows overlap, only the last one counts: a pixel that several windows see gets a gradient
    from each of them. Is there an `=` where `+=` should be?"""


@suspect("conv2d_backward.dx-overwritten", "conv2d_backward", "dx", OVERWRITTEN)
def _(a: SimpleNamespace) -> Any:
    dx = np.zeros(a.x.shape)
    for n, k, c, oh, ow, i, j, row, column in taps(a, *a.dy.shape[2:]):
        dx[n, c, row, column] = a.w[k, c % a.w.shape[1], i, j] * a.dy[n, k, oh, ow]
    return dx


@suspect("conv2d_backward.dx-overwritten", "conv2d_backward", "dx", OVERWRITTEN)
def _(a: SimpleNamespace) -> Any:
    dx, CG, KG = np.zeros(a.x.shape), a.w.shape[1], len(a.w) // a.groups
    for n, k, c, oh, ow, i, j, row, column in taps(a, *a.dy.shape[2:]):
        ks = slice(k // KG * KG, k // KG * KG + KG)  # all filters of the group at once, window by window
        dx[n, c, row, column] = np.sum(a.w[ks, c % CG, i, j] * a.dy[n, ks, oh, ow])
    return dx


@suspect("conv2d_backward.dx-overwritten", "conv2d_backward", "dx", OVERWRITTEN)
def _(a: SimpleNamespace) -> Any:
    dx, CG, KG = np.zeros(a.x.shape), a.w.shape[1], len(a.w) // a.groups
    by_tap = sorted(taps(a, *a.dy.shape[2:]), key=lambda t: (t[5], t[6]))  # tap by tap, as im2col does
    for n, k, c, oh, ow, i, j, row, column in by_tap:
        ks = slice(k // KG * KG, k // KG * KG + KG)
        dx[n, c, row, column] = np.sum(a.w[ks, c % CG, i, j] * a.dy[n, ks, oh, ow])
    return dx


@suspect(
    "conv2d_backward.filters-overwritten",
    "conv2d_backward",
    "dx",
    """only the last filter's share of dx is left: every
    filter sees the pixel, so that dx sums over k too (`+=`)""",
)
def _(a: SimpleNamespace) -> Any:
    if a.groups > 1:
        return None
    return right("conv2d_backward", a, "dx", w=a.w[-1:], dy=a.dy[:, -1:])


def _moved(a: SimpleNamespace, **changes: Any) -> Any:
    """Compute dx and dw with another rule for which pixel a tap meets; pixels outside are left out."""
    b = SimpleNamespace(**{**vars(a), **changes})
    dx, dw = np.zeros(a.x.shape), np.zeros(a.w.shape)
    for n, k, c, oh, ow, i, j, row, column in taps(b, *a.dy.shape[2:]):
        dx[n, c, row, column] += a.w[k, c % a.w.shape[1], i, j] * a.dy[n, k, oh, ow]
        dw[k, c % a.w.shape[1], i, j] += a.x[n, c, row, column] * a.dy[n, k, oh, ow]
    return dx, dw


for _part, _name in enumerate(("dx", "dw")):

    @suspect(
        f"conv2d_backward.{_name}-padding-ignored",
        "conv2d_backward",
        _name,
        f"""{_name} uses the padded map's rows and
        columns for the map's own: padded row r is row r - padding of x. {
            "Cut dx out of the padded one by [p : p + H, p : p + W]"
            if _name == "dx"
            else "Pad x as the forward does, or subtract the padding in the index"
        }""",
    )
    def _(a: SimpleNamespace, part: int = _part) -> Any:
        return _moved(a, padding=(0, 0))[part]

    @suspect(
        f"conv2d_backward.{_name}-stride-ignored",
        "conv2d_backward",
        _name,
        f"""{_name} forgets the stride: output row oh
        looked at rows oh * stride - padding + i * dilation, and that is where its gradient belongs""",
    )
    def _(a: SimpleNamespace, part: int = _part) -> Any:
        return _moved(a, stride=(1, 1))[part]

    @suspect(
        f"conv2d_backward.{_name}-dilation-ignored",
        "conv2d_backward",
        _name,
        f"""{_name} forgets the dilation: tap i
        met row oh * stride - padding + i * dilation""",
    )
    def _(a: SimpleNamespace, part: int = _part) -> Any:
        return _moved(a, dilation=(1, 1))[part]

    @suspect(
        f"conv2d_backward.{_name}-stride-dilation-swapped",
        "conv2d_backward",
        _name,
        f"""stride and dilation are
        swapped in {_name}: row = oh * stride - padding + i * dilation""",
    )
    def _(a: SimpleNamespace, part: int = _part) -> Any:
        return _moved(a, stride=a.dilation, dilation=a.stride)[part]


@suspect(
    "conv2d_backward.groups-ignored",
    "conv2d_backward",
    "dx",
    """all filters send their gradient to the first group's
    channels: filter k belongs to group k // (K // groups), whose channels begin at group * (C // groups)""",
)
def _(a: SimpleNamespace) -> Any:
    dx, CG = np.zeros(a.x.shape), a.w.shape[1]
    first = right("conv2d_backward", a, "dx", x=a.x[:, :CG], groups=1)
    dx[:, :CG] = first
    return dx


@suspect(
    "conv2d_backward.groups-ignored",
    "conv2d_backward",
    "dw",
    """dw of every filter is made with the first group's
    channels: filter k belongs to group k // (K // groups), whose channels begin at group * (C // groups)""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d_backward", a, "dw", x=a.x[:, : a.w.shape[1]], groups=1)


@suspect(
    "conv2d_backward.channels-swapped",
    "conv2d_backward",
    "dx",
    """w's first two axes are mixed up: w is (K, C, KH,
    KW), and dx[c] sums w[k, c] * dy[k] over k""",
)
def _(a: SimpleNamespace) -> Any:
    K, C = a.w.shape[:2]
    return (
        right("conv2d_backward", a, "dx", w=a.w.transpose(1, 0, 2, 3)) if K == C and a.groups == 1 else None
    )


@suspect(
    "conv2d_backward.dw-flip",
    "conv2d_backward",
    "dw",
    """dw comes out turned around: dw[i, j] sums dy[oh, ow] times
    the pixel that tap (i, j) met, x[oh*s - p + i*d, ow*s - p + j*d]; nothing is turned in dw""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv2d_backward", a, "dw")[FLIP]


BATCH = """only one picture's share is left: {what} is summed over the whole batch, n = 0..N-1. Is it set anew for
    every picture (`=` for `+=`)?"""
MEAN = """{what} is divided by {by}: gradients are sums. If the loss is a mean, its 1/N is in dy already"""


def _gradients(op: str) -> None:
    """Register what goes wrong alike with the weights' and the bias's gradients of all such layers."""

    def one(part: str, which: Any) -> Any:
        def run(a: SimpleNamespace) -> Any:
            return right(op, a, part, dy=a.dy[which], x=a.x[which]) if len(a.dy) else None

        return run

    def mean(part: str, places: bool) -> Any:
        def run(a: SimpleNamespace) -> Any:
            count = len(a.dy) * (a.dy[0, 0].size if places else 1)
            return right(op, a, part) / count

        return run

    def places(a: SimpleNamespace) -> Any:
        return right(op, a, "db") / a.dy[0, 0].size

    for part in ("dw", "db"):
        for which in (np.s_[-1:], np.s_[:1]):
            suspect(f"{op}.{part}-one-picture", op, part, BATCH.format(what=part))(one(part, which))
        suspect(f"{op}.{part}-mean", op, part, MEAN.format(what=part, by="the number of pictures N"))(
            mean(part, False)
        )
        if op != "linear_backward":
            by = "the number of places (N * OH * OW)"
            suspect(f"{op}.{part}-mean", op, part, MEAN.format(what=part, by=by))(mean(part, True))
    if op != "linear_backward":
        suspect(f"{op}.db-mean", op, "db", MEAN.format(what="db", by="OH * OW"))(places)
        hint = "only the last dy of each channel is left in db: is there an `=` where `+=` should be?"
        suspect(f"{op}.db-overwritten", op, "db", hint)(lambda a: a.dy[-1, :, -1, -1])
        hint = "db is one number a channel: sum dy over the pictures and all places, dy.sum(axis=(0, 2, 3))"
        for axes in ((2, 3), (0,), (1, 2, 3), (0, 1, 2, 3), (0, 1), (0, 2), (0, 3), (1,)):

            def summed(a: SimpleNamespace, axes: tuple[int, ...] = axes) -> Any:
                return a.dy.sum(axis=axes)

            suspect(f"{op}.db-axes", op, "db", hint)(summed)
    else:
        hint = "db sums dy over the rows of the batch, dy.sum(axis=0)"
        suspect(f"{op}.db-axes", op, "db", hint)(lambda a: a.dy.sum(axis=1))
        suspect(f"{op}.db-axes", op, "db", hint)(lambda a: a.dy)
        suspect(f"{op}.db-axes", op, "db", hint)(lambda a: a.dy.sum())


for _op in ("conv2d_backward", "conv_transpose2d_backward", "linear_backward"):
    _gradients(_op)


# ---------------------------------------------------------------------------------------------------------
# conv_transpose2d


def _paint(a: SimpleNamespace, order: str) -> Any:
    """Paint copies that replace what lies under them."""
    (N, C, H, W), (_, KG, KH, KW) = a.x.shape, a.w.shape
    (sh, sw), (ph, pw), (dh, dw) = a.stride, a.padding, a.dilation
    y = np.zeros(right("conv_transpose2d", a).shape)
    CG = C // a.groups
    walks = {
        "copies": ((n, c, h, w, k, i, j) for n, c, h, w, k, i, j in np.ndindex(N, C, H, W, KG, KH, KW)),
        "places": ((n, c, h, w, k, i, j) for n, h, w, c, k, i, j in np.ndindex(N, H, W, C, KG, KH, KW)),
        "taps": ((n, c, h, w, k, i, j) for n, i, j, c, h, w, k in np.ndindex(N, KH, KW, C, H, W, KG)),
    }
    for n, c, h, w, k, i, j in walks[order]:
        oh, ow = h * sh - ph + i * dh, w * sw - pw + j * dw
        if 0 <= oh < y.shape[2] and 0 <= ow < y.shape[3]:
            group = c // CG
            value = a.w[c, k, i, j] * a.x[n, c, h, w]
            if order != "copies":  # channels are summed, copies at other places are replaced
                cs = slice(group * CG, group * CG + CG)
                value = np.sum(a.w[cs, k, i, j] * a.x[n, cs, h, w])
            y[n, group * KG + k, oh, ow] = value
    return y if a.b is None else y + a.b[:, None, None]


for _order in ("copies", "places", "taps"):

    @suspect(
        "conv_transpose2d.overwritten",
        "conv_transpose2d",
        "y",
        """where copies of the filter overlap, only the
        last one is left; they add up: is there an `=` where `+=` should be?""",
    )
    def _(a: SimpleNamespace, order: str = _order) -> Any:
        return _paint(a, order)


@suspect(
    "conv_transpose2d.flipped",
    "conv_transpose2d",
    "y",
    """the copies of the filter are turned around. Pixel (h, w)
    paints w[i, j] at row h*s - p + i*d. Written as a convolution over x with zeros between its pixels, the
        filter must be
    turned: w[:, :, ::-1, ::-1]""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv_transpose2d", a, w=a.w[FLIP])


@suspect(
    "conv_transpose2d.filter-axes",
    "conv_transpose2d",
    "y",
    """w's first two axes are mixed up: here w is (C_in,
    C_out/groups, KH, KW), the input channels come first, the other way round than in conv2d""",
)
def _(a: SimpleNamespace) -> Any:
    C, K = a.w.shape[:2]
    return right("conv_transpose2d", a, w=a.w.transpose(1, 0, 2, 3)) if C == K and a.groups == 1 else None


@suspect(
    "conv_transpose2d.stride-dilation-swapped",
    "conv_transpose2d",
    "y",
    """stride and dilation are swapped: copies lie
    stride apart, the taps of one copy lie dilation apart""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv_transpose2d", a, stride=a.dilation, dilation=a.stride)


@suspect(
    "conv_transpose2d.stride-off-by-one",
    "conv_transpose2d",
    "y",
    """too many zeros are put between the pixels:
    stride s means s - 1 zeros between two neighbours""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv_transpose2d", a, stride=(a.stride[0] + 1, a.stride[1] + 1))


PADDING = """padding adds here, it must strip: p rows and columns are cut off each side of the painted map.
        Written as a
    convolution over x with zeros between, its padding is dilation * (KH - 1) - padding"""


def _as_convolution(a: SimpleNamespace, extra: Any) -> Any:
    N, C, H, W = a.x.shape
    (sh, sw), (dh, dw) = a.stride, a.dilation
    _, _, KH, KW = a.w.shape
    if a.groups > 1:
        return None
    wide = np.zeros((N, C, (H - 1) * sh + 1, (W - 1) * sw + 1), a.x.dtype)
    wide[:, :, ::sh, ::sw] = a.x
    padding = extra(dh * (KH - 1), a.padding[0]), extra(dw * (KW - 1), a.padding[1])
    filters = a.w.transpose(1, 0, 2, 3)[FLIP]
    b = SimpleNamespace(
        x=wide, w=filters, b=a.b, stride=(1, 1), padding=padding, dilation=a.dilation, groups=1
    )
    return right("conv2d", b)


@suspect("conv_transpose2d.padding-adds", "conv_transpose2d", "y", PADDING)
def _(a: SimpleNamespace) -> Any:
    return _as_convolution(a, lambda reach, p: p)


@suspect("conv_transpose2d.padding-adds", "conv_transpose2d", "y", PADDING)
def _(a: SimpleNamespace) -> Any:
    return _as_convolution(a, lambda reach, p: reach + p)


@suspect(
    "conv_transpose2d.groups-ignored",
    "conv_transpose2d",
    "y",
    """input channels paint into the first group's outputs:
    input channel c belongs to group c // (C // groups), whose outputs begin at group * KG""",
)
def _(a: SimpleNamespace) -> Any:
    y = np.zeros(right("conv_transpose2d", a).shape)
    y[:, : a.w.shape[1]] = right("conv_transpose2d", a, b=None, groups=1)
    return y if a.b is None else y + a.b[:, None, None]


@suspect(
    "conv_transpose2d.output-padding-top",
    "conv_transpose2d",
    "y",
    """output_padding keeps rows at the bottom and columns
    at the right; yours stand at the top and left""",
)
def _(a: SimpleNamespace) -> Any:
    y = right("conv_transpose2d", a, b=None, padding=(0, 0), output_padding=(0, 0))
    OH, OW = right("conv_transpose2d", a).shape[2:]
    (ph, pw), (oh, ow) = a.padding, a.output_padding
    y = np.pad(y, ((0, 0), (0, 0), (oh, 0), (ow, 0)))[:, :, ph : ph + OH, pw : pw + OW]
    return y if a.b is None else y + a.b[:, None, None]


@suspect(
    "conv_transpose2d_backward.dx-flip",
    "conv_transpose2d_backward",
    "dx",
    """the filter is turned around: dx is the plain
    convolution of dy with w, dx[h] sums w[i] * dy[h*s - p + i*d]; nothing is turned""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv_transpose2d_backward", a, "dx", w=a.w[FLIP])


@suspect(
    "conv_transpose2d_backward.dw-flip",
    "conv_transpose2d_backward",
    "dw",
    """dw comes out turned around: dw[i, j] sums
    x[h, w] * dy[h*s - p + i*d, w*s - p + j*d]""",
)
def _(a: SimpleNamespace) -> Any:
    return right("conv_transpose2d_backward", a, "dw")[FLIP]


@suspect(
    "conv_transpose2d_backward.channels-swapped",
    "conv_transpose2d_backward",
    "dx",
    """w's first two axes are mixed up: w
    is (C_in, C_out/groups, KH, KW), and dx[c] sums w[c, k] * dy[k] over k""",
)
def _(a: SimpleNamespace) -> Any:
    C, K = a.w.shape[:2]
    swapped = a.w.transpose(1, 0, 2, 3)
    return right("conv_transpose2d_backward", a, "dx", w=swapped) if C == K and a.groups == 1 else None


def _collected(a: SimpleNamespace, **changes: Any) -> Any:
    """Compute dx and dw of a transposed convolution with another rule for the place that a tap painted."""
    b = SimpleNamespace(**{**vars(a), **changes})
    (N, C, H, W), (_, KG, KH, KW) = a.x.shape, a.w.shape
    (sh, sw), (ph, pw), (dh, dw_) = b.stride, b.padding, b.dilation
    dx, dw = np.zeros(a.x.shape), np.zeros(a.w.shape)
    for n, c, h, w, k, i, j in np.ndindex(N, C, H, W, KG, KH, KW):
        oh, ow = h * sh - ph + i * dh, w * sw - pw + j * dw_
        if 0 <= oh < a.dy.shape[2] and 0 <= ow < a.dy.shape[3]:
            gradient = a.dy[n, c // (C // a.groups) * KG + k, oh, ow]
            dx[n, c, h, w] += a.w[c, k, i, j] * gradient
            dw[c, k, i, j] += a.x[n, c, h, w] * gradient
    return dx, dw


for _part, _name in enumerate(("dx", "dw")):
    for _option, _none in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1))):

        @suspect(
            f"conv_transpose2d_backward.{_name}-{_option}-ignored",
            "conv_transpose2d_backward",
            _name,
            f"""{_name} forgets the {_option}: pixel h painted rows h * stride - padding + i * dilation of y,
        and there
            it collects its gradient""",
        )
        def _(a: SimpleNamespace, part: int = _part, option: str = _option, none: Any = _none) -> Any:
            return _collected(a, **{option: none})[part]


# ---------------------------------------------------------------------------------------------------------
# linear


@suspect(
    "linear.w-transposed", "linear", "y", """w is used the wrong way round: w is (out, in), y = x @ w.T + b"""
)
def _(a: SimpleNamespace) -> Any:
    return right("linear", a, w=a.w.T) if a.w.shape[0] == a.w.shape[1] else None


@suspect(
    "linear_backward.w-transposed",
    "linear_backward",
    "dx",
    """w is used the wrong way round: w is (out, in), and
    dx = dy @ w""",
)
def _(a: SimpleNamespace) -> Any:
    return a.dy @ a.w.T if a.w.shape[0] == a.w.shape[1] else None


@suspect(
    "linear_backward.dw-transposed",
    "linear_backward",
    "dw",
    "dw is (in, out); w is (out, in), so dw = dy.T @ x",
)
def _(a: SimpleNamespace) -> Any:
    return a.x.T @ a.dy


for _part, _name in enumerate(("dx", "dw")):
    for _option in ("stride", "padding", "dilation"):
        for _how, _words in ((np.s_[::-1], "swapped"), (0, "one-for-both"), (1, "one-for-both")):

            @suspect(
                f"conv2d_backward.{_name}-{_option}-{_words}",
                "conv2d_backward",
                _name,
                f"""height and width are mixed up in {_option}: a pair is (h, w), the first for rows, the
        second for columns""",
            )
            def _(a: SimpleNamespace, part: int = _part, option: str = _option, how: Any = _how) -> Any:
                value = getattr(a, option)
                return _moved(a, **{option: value[::-1] if isinstance(how, slice) else (value[how],) * 2})[
                    part
                ]


for _part, _name in enumerate(("dx", "dw")):
    for _option in ("stride", "padding", "dilation"):
        for _how, _words in ((np.s_[::-1], "swapped"), (0, "one-for-both"), (1, "one-for-both")):

            @suspect(
                f"conv_transpose2d_backward.{_name}-{_option}-{_words}",
                "conv_transpose2d_backward",
                _name,
                f"""height and width are mixed up in {_option}: a pair is (h, w), the first for rows, the
        second for columns""",
            )
            def _(a: SimpleNamespace, part: int = _part, option: str = _option, how: Any = _how) -> Any:
                value = getattr(a, option)
                return _collected(
                    a, **{option: value[::-1] if isinstance(how, slice) else (value[how],) * 2}
                )[part]
