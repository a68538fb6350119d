"""What is measured: for each op, shapes as segmentation networks use them, the work in them, and PyTorch's equivalent.

A case is a line of ``CASES``: an op, a name, and the function that makes its arrays (a *builder*). Builders
return a ``Problem``: the forward call, the backward call, and the same in PyTorch. The same case exists in
three sizes: ``full``, ``quick`` (one image, half the height and width) and ``toy`` (a few pixels, so that the
plain loops of the reference can be compared with).

How much work a call is:

- Floating-point operations are counted for convolutions and the linear layer only: two for each weight that
  meets a value, whatever the algorithm; the backward does it twice (to the input, to the weights).
- Bytes are those of every array that goes in and every array that comes out, each counted once. No kernel can
  move fewer, most move more; GB/s is therefore comparable between backends, and never above the memory's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np

from minisegnet import ops, sizes
from minisegnet.arrays import Array

Scale: TypeAlias = Literal["full", "quick", "toy"]

# What each size is replaced by in a toy case. Channels and columns differ, so that mixing up axes shows.
TOY = {"N": 2, "C": 3, "K": 4, "H": 8, "W": 6, "R": 3, "boxes": 20, "rows": 4, "inputs": 5, "outputs": 3}


@dataclass(frozen=True)
class Call:
    """One call of an op with its arguments, and how much work it is."""

    returns: tuple[str, ...]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    reads: tuple[Array, ...]
    flops: int = 0

    def run(self) -> tuple[Array, ...]:
        """Call the op on the backend in use; always a tuple, one array for each name in ``returns``."""
        return as_tuple(self.function(*self.arguments, **self.options))

    def bytes(self, results: Sequence[Array]) -> int:
        """Count every array that goes in and comes out once."""
        return sum(int(a.nbytes) for a in (*self.reads, *results))


@dataclass(frozen=True)
class Problem:
    """One op at one size: forward, backward, and what PyTorch needs to do the same."""

    forward: Call
    backward: Callable[..., Call] | None  # called with what the forward returned
    leaves: tuple[Array, ...] = ()  # what is differentiated, in the order of the backward's results
    dy: Array | None = None
    constants: tuple[Array, ...] = ()  # further arrays for PyTorch: labels, indices, boxes
    torch: Callable[..., Any] | None = None  # torch(torch, F, *leaves, *constants) -> y, or (y, ...)
    torch_is_comparable: bool = True  # False for dropout: PyTorch draws other random bits
    torch_shares_gradient: bool = False  # PyTorch returns views of dy there; copied, as we do, for equal work
    timed_together: bool = False  # forward and backward in one go, too: what a step spends on a layer
    needs_torchvision: bool = False


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    op: str
    name: str
    build: Callable[..., Problem]
    sizes: dict[str, Any] = field(default_factory=dict)
    quick: bool = False

    def problem(self, scale: Scale, dtype: str, seed: int = 0) -> Problem:
        """Make the arrays of this case; the same for the same seed."""
        return self.build(Draw(dtype, seed), **self.at(scale))

    def at(self, scale: Scale) -> dict[str, Any]:
        """Return the sizes at this scale."""
        if scale == "toy":
            return {name: TOY.get(name, value) for name, value in self.sizes.items()}
        if scale == "quick":
            small = {name: self.sizes[name] // 2 for name in ("H", "W") if name in self.sizes}
            return self.sizes | small | ({"N": 1} if "N" in self.sizes else {})
        return self.sizes


class Draw:
    """Random arrays of one dtype. float64 gets the very numbers of float32, so that results can be compared."""

    def __init__(self, dtype: str, seed: int) -> None:
        self.dtype = np.dtype(dtype)
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> Array:
        """Draw standard normal numbers."""
        return self.rng.standard_normal(shape, dtype=np.float32).astype(self.dtype)

    def uniform(self, *shape: int, least: float = 0.0) -> Array:
        """Draw numbers from ``least`` to 1 more."""
        return (self.rng.random(shape, dtype=np.float32) + np.float32(least)).astype(self.dtype)

    def labels(self, classes: int, *shape: int, ignore_index: int) -> Array:
        """Draw labels, one in sixteen of them to be ignored."""
        labels = self.rng.integers(0, classes, shape)
        return np.where(self.rng.random(shape) < 1 / 16, ignore_index, labels)

    def boxes(self, count: int, height: int, width: int) -> Array:
        """Draw boxes (x1, y1, x2, y2) inside an image, at whole pixels: then no rounding decides an overlap."""
        x1, y1 = self.rng.integers(0, width - 4, count), self.rng.integers(0, height - 4, count)
        x2 = self.rng.integers(x1 + 2, np.minimum(x1 + width // 2, width))
        y2 = self.rng.integers(y1 + 2, np.minimum(y1 + height // 2, height))
        return np.stack([x1, y1, x2, y2], axis=1).astype(self.dtype)  # (count, 4)

    def rois(self, count: int, images: int, height: int, width: int) -> Array:
        """Draw regions (batch index, x1, y1, x2, y2)."""
        image = self.rng.integers(0, images, (count, 1)).astype(self.dtype)
        return np.concatenate([image, self.boxes(count, height, width)], axis=1)  # (count, 5)


def call(
    returns: str,
    function: Callable[..., Any],
    *arguments: Any,
    reads: Sequence[Array] | None = None,
    flops: int = 0,
    **options: Any,
) -> Call:
    """Describe a call; ``returns`` names its results, and unless told otherwise it reads all its arrays."""
    if reads is None:
        reads = [a for argument in arguments for a in as_tuple(argument) if isinstance(a, np.ndarray)]
    return Call(tuple(returns.split()), function, arguments, options, tuple(reads), flops)


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a tuple in any case."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


# ---------------------------------------------------------------------------------------------------------
# Convolution and linear


def conv2d_flops(y_shape: Sequence[int], w_shape: Sequence[int]) -> int:
    """Two operations for each weight of a filter at each output: ``2 N K OH OW (C/groups) KH KW``."""
    N, K, OH, OW = y_shape
    _, C_of_group, KH, KW = w_shape
    return 2 * N * K * OH * OW * C_of_group * KH * KW


def conv2d(
    draw: Draw,
    N: int,
    C: int,
    H: int,
    W: int,
    K: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Problem:
    """Build a convolution; without K it is depthwise, one filter for each channel."""
    groups = C if K is None else 1
    K = C if K is None else K
    OH, OW = sizes.conv2d_size((H, W), kernel, stride=stride, padding=padding, dilation=dilation)
    x, dy = draw.normal(N, C, H, W), draw.normal(N, K, OH, OW)
    w, b = draw.normal(K, C // groups, kernel, kernel), draw.normal(K)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    flops = conv2d_flops(dy.shape, w.shape)
    return Problem(
        forward=call("y", ops.conv2d, x, w, b, flops=flops, **options),
        backward=lambda y: call("dx dw db", ops.conv2d_backward, dy, x, w, flops=2 * flops, **options),
        leaves=(x, w, b),
        dy=dy,
        torch=lambda torch, F, x, w, b: F.conv2d(x, w, b, **options),
        timed_together=True,
    )


def _where_sure(dy: Array, before: Array) -> Array:
    """No gradient where rounding may decide on which side of 0 a value falls: the libraries would rightly disagree."""
    return np.where(np.abs(before) < 1e-4 * np.abs(before).max(), 0, dy).astype(dy.dtype)


def conv2d_relu(draw: Draw, N: int, C: int, H: int, W: int, K: int) -> Problem:
    """Build a 3x3 convolution that cuts off what is negative before it writes it."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, K, H, W)
    w, b = draw.normal(K, C, 3, 3), draw.normal(K)
    dy = _where_sure(dy, ops.conv2d(x, w, b, padding=1))
    flops = conv2d_flops(dy.shape, w.shape)
    return Problem(
        forward=call("y", ops.conv2d_relu, x, w, b, flops=flops, padding=1),
        backward=lambda y: call(
            "dx dw db", ops.conv2d_relu_backward, dy, y, x, w, flops=2 * flops, padding=1
        ),
        leaves=(x, w, b),
        dy=dy,
        torch=lambda torch, F, x, w, b: torch.relu(F.conv2d(x, w, b, padding=1)),
        timed_together=True,
    )


def conv_transpose2d(
    draw: Draw, N: int, C: int, H: int, W: int, K: int, kernel: int, stride: int, padding: int = 0
) -> Problem:
    """Build a transposed convolution: the work of the convolution that leads back from y to x."""
    OH, OW = sizes.conv_transpose2d_size((H, W), kernel, stride=stride, padding=padding)
    x, dy = draw.normal(N, C, H, W), draw.normal(N, K, OH, OW)
    w, b = draw.normal(C, K, kernel, kernel), draw.normal(K)
    options: dict[str, Any] = {"stride": stride, "padding": padding}
    flops = conv2d_flops(x.shape, w.shape)
    return Problem(
        forward=call("y", ops.conv_transpose2d, x, w, b, flops=flops, **options),
        backward=lambda y: call(
            "dx dw db", ops.conv_transpose2d_backward, dy, x, w, flops=2 * flops, **options
        ),
        leaves=(x, w, b),
        dy=dy,
        torch=lambda torch, F, x, w, b: F.conv_transpose2d(x, w, b, **options),
        timed_together=True,
    )


def linear(draw: Draw, rows: int, inputs: int, outputs: int) -> Problem:
    """Build a fully connected layer."""
    x, dy = draw.normal(rows, inputs), draw.normal(rows, outputs)
    w, b = draw.normal(outputs, inputs), draw.normal(outputs)
    flops = 2 * rows * inputs * outputs
    return Problem(
        forward=call("y", ops.linear, x, w, b, flops=flops),
        backward=lambda y: call("dx dw db", ops.linear_backward, dy, x, w, flops=2 * flops),
        leaves=(x, w, b),
        dy=dy,
        torch=lambda torch, F, x, w, b: F.linear(x, w, b),
    )


# ---------------------------------------------------------------------------------------------------------
# Pooling


def max_pool2d(
    draw: Draw, N: int, C: int, H: int, W: int, kernel: int, stride: int, padding: int = 0
) -> Problem:
    """Build a max pooling with indices."""
    OH, OW = sizes.pool2d_size((H, W), kernel, stride=stride, padding=padding)
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, OH, OW)
    options: dict[str, Any] = {"stride": stride, "padding": padding}
    return Problem(
        forward=call("y indices", ops.max_pool2d, x, kernel, **options),
        backward=lambda y, indices: call("dx", ops.max_pool2d_backward, dy, indices, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.max_pool2d(x, kernel, return_indices=True, **options),
    )


def max_unpool2d(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build SegNet's unpooling, with indices as 2x2 pooling makes them: one in each 2x2 square."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, 2 * H, 2 * W)
    row = 2 * np.arange(H)[:, None] + draw.rng.integers(0, 2, (N, C, H, W))
    column = 2 * np.arange(W) + draw.rng.integers(0, 2, (N, C, H, W))
    indices = row * (2 * W) + column  # (N, C, H, W)
    return Problem(
        forward=call("y", ops.max_unpool2d, x, indices, (2 * H, 2 * W)),
        backward=lambda y: call("dx", ops.max_unpool2d_backward, dy, indices),
        leaves=(x,),
        dy=dy,
        constants=(indices,),
        torch=lambda torch, F, x, indices: F.max_unpool2d(x, indices, 2, output_size=(2 * H, 2 * W)),
    )


def avg_pool2d(draw: Draw, N: int, C: int, H: int, W: int, kernel: int, stride: int) -> Problem:
    """Build an average pooling."""
    x = draw.normal(N, C, H, W)
    dy = draw.normal(N, C, *sizes.pool2d_size((H, W), kernel, stride=stride))
    return Problem(
        forward=call("y", ops.avg_pool2d, x, kernel, stride=stride),
        backward=lambda y: call("dx", ops.avg_pool2d_backward, dy, (H, W), kernel, stride=stride),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.avg_pool2d(x, kernel, stride=stride),
    )


def global_avg_pool2d(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build the mean of each channel."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, 1, 1)
    return Problem(
        forward=call("y", ops.global_avg_pool2d, x),
        backward=lambda y: call("dx", ops.global_avg_pool2d_backward, dy, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.adaptive_avg_pool2d(x, 1),
    )


def adaptive_max_pool2d(draw: Draw, N: int, C: int, H: int, W: int, bins: int) -> Problem:
    """Build an adaptive max pooling; its backward is max_pool2d_backward."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, bins, bins)
    return Problem(
        forward=call("y indices", ops.adaptive_max_pool2d, x, bins),
        backward=lambda y, indices: call("dx", ops.max_pool2d_backward, dy, indices, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.adaptive_max_pool2d(x, bins, return_indices=True),
    )


def adaptive_avg_pool2d(draw: Draw, N: int, C: int, H: int, W: int, bins: int) -> Problem:
    """Build an adaptive average pooling."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, bins, bins)
    return Problem(
        forward=call("y", ops.adaptive_avg_pool2d, x, bins),
        backward=lambda y: call("dx", ops.adaptive_avg_pool2d_backward, dy, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.adaptive_avg_pool2d(x, bins),
    )


# ---------------------------------------------------------------------------------------------------------
# Resizing, padding, joining


def resize_bilinear(
    draw: Draw, N: int, C: int, H: int, W: int, factor: int, align_corners: bool = False
) -> Problem:
    """Build an enlargement by linear interpolation."""
    size = (factor * H, factor * W)
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, *size)
    corners: dict[str, Any] = {"align_corners": align_corners}
    return Problem(
        forward=call("y", ops.resize_bilinear, x, size, **corners),
        backward=lambda y: call("dx", ops.resize_bilinear_backward, dy, (H, W), **corners),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.interpolate(x, size, mode="bilinear", **corners),
    )


def resize_nearest(draw: Draw, N: int, C: int, H: int, W: int, factor: int) -> Problem:
    """Build an enlargement by repeating pixels."""
    size = (factor * H, factor * W)
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, *size)
    return Problem(
        forward=call("y", ops.resize_nearest, x, size),
        backward=lambda y: call("dx", ops.resize_nearest_backward, dy, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.interpolate(x, size, mode="nearest"),
    )


def concat(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build U-Net's skip: two arrays of C channels become one of 2C."""
    a, b, dy = draw.normal(N, C, H, W), draw.normal(N, C, H, W), draw.normal(N, 2 * C, H, W)
    return Problem(
        forward=call("y", ops.concat, [a, b]),
        backward=lambda y: call("da db", ops.concat_backward, dy, (C, C)),
        leaves=(a, b),
        dy=dy,
        torch=lambda torch, F, a, b: torch.cat([a, b], dim=1),
        torch_shares_gradient=True,
    )


def add(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build FCN's skip: a sum."""
    a, b, dy = (draw.normal(N, C, H, W) for _ in range(3))
    return Problem(
        forward=call("y", ops.add, a, b),
        backward=lambda y: call("da db", ops.add_backward, dy),
        leaves=(a, b),
        dy=dy,
        torch=lambda torch, F, a, b: a + b,
        torch_shares_gradient=True,
    )


def crop2d(draw: Draw, N: int, C: int, H: int, W: int, border: int) -> Problem:
    """Build a centred crop; what lies outside is never read."""
    h, w = H - 2 * border, W - 2 * border
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, h, w)
    rows, columns = slice(border, border + h), slice(border, border + w)
    return Problem(
        forward=call("y", ops.crop2d, x, (h, w), reads=[x[:, :, rows, columns]]),
        backward=lambda y: call("dx", ops.crop2d_backward, dy, (H, W)),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: x[:, :, rows, columns].contiguous(),  # a copy, as ours is
    )


def pad2d(draw: Draw, N: int, C: int, H: int, W: int, padding: int, mode: str) -> Problem:
    """Build a border."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, H + 2 * padding, W + 2 * padding)
    torch_mode = {"zero": "constant", "reflect": "reflect"}[mode]
    return Problem(
        forward=call("y", ops.pad2d, x, padding, mode=mode),
        backward=lambda y: call("dx", ops.pad2d_backward, dy, padding, mode=mode),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.pad(x, (padding,) * 4, mode=torch_mode),
    )


# ---------------------------------------------------------------------------------------------------------
# Regions and boxes

STRIDE_OF_FEATURES = 16  # the image is this many times larger than the feature map, as after four poolings


def roi_pool(draw: Draw, N: int, C: int, H: int, W: int, R: int, bins: int) -> Problem:
    """Build a pooling of R regions."""
    x, dy = draw.normal(N, C, H, W), draw.normal(R, C, bins, bins)
    rois = draw.rois(R, N, H * STRIDE_OF_FEATURES, W * STRIDE_OF_FEATURES)
    scale = 1 / STRIDE_OF_FEATURES
    return Problem(
        forward=call("y argmax", ops.roi_pool, x, rois, bins, spatial_scale=scale),
        backward=lambda y, argmax: call("dx", ops.roi_pool_backward, dy, argmax, rois, x.shape),
        leaves=(x,),
        dy=dy,
        constants=(rois,),
        torch=lambda torch, F, x, rois: _torchvision("roi_pool")(x, rois, bins, scale),
        needs_torchvision=True,
    )


def roi_pool_one_by_one(draw: Draw, N: int, C: int, H: int, W: int, R: int, bins: int) -> Problem:
    """Build the same with regions inside the map, which PyTorch without torchvision pools one after the other."""
    x, dy = draw.normal(N, C, H, W), draw.normal(R, C, bins, bins)
    rois = draw.rois(R, N, H, W)  # corners are pixels of the map itself: nothing is rounded
    return Problem(
        forward=call("y argmax", ops.roi_pool, x, rois, bins),
        backward=lambda y, argmax: call("dx", ops.roi_pool_backward, dy, argmax, rois, x.shape),
        leaves=(x,),
        dy=dy,
        constants=(rois.astype(np.int64),),
        torch=lambda torch, F, x, rois: torch.stack(
            [
                F.adaptive_max_pool2d(x[n, :, top : bottom + 1, left : right + 1], bins)
                for n, left, top, right, bottom in rois.tolist()
            ]
        ),
    )


def roi_align(draw: Draw, N: int, C: int, H: int, W: int, R: int, bins: int) -> Problem:
    """Build RoIAlign of R regions, with 2 x 2 samples in each bin."""
    x, dy = draw.normal(N, C, H, W), draw.normal(R, C, bins, bins)
    rois = draw.rois(R, N, H * STRIDE_OF_FEATURES, W * STRIDE_OF_FEATURES)
    options: dict[str, Any] = {"spatial_scale": 1 / STRIDE_OF_FEATURES, "sampling_ratio": 2, "aligned": True}
    return Problem(
        forward=call("y", ops.roi_align, x, rois, bins, **options),
        backward=lambda y: call("dx", ops.roi_align_backward, dy, rois, x.shape, **options),
        leaves=(x,),
        dy=dy,
        constants=(rois,),
        torch=lambda torch, F, x, rois: _torchvision("roi_align")(x, rois, bins, **options),
        needs_torchvision=True,
    )


def nms(draw: Draw, boxes: int, iou_threshold: float) -> Problem:
    """Build a choice among overlapping boxes; it has no backward."""
    corners, scores = draw.boxes(boxes, 512, 512), draw.rng.permutation(boxes).astype(draw.dtype)
    return Problem(
        forward=call("kept", ops.nms, corners, scores, iou_threshold=iou_threshold),
        backward=None,
        constants=(corners, scores),
        torch=lambda torch, F, corners, scores: _torchvision("nms")(corners, scores, iou_threshold),
        needs_torchvision=True,
    )


def _torchvision(name: str) -> Any:
    return getattr(import_module("torchvision.ops"), name)  # optional, so imported where it is used


# ---------------------------------------------------------------------------------------------------------
# Normalisation, losses, activations


def batch_norm(draw: Draw, N: int, C: int, H: int, W: int, training: bool) -> Problem:
    """Build a batch normalisation."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, H, W)
    gamma, beta, mean, var = draw.normal(C), draw.normal(C), draw.normal(C), draw.uniform(C, least=1)
    return Problem(
        forward=call(
            "y mean inv_std running_mean running_var",
            *(ops.batch_norm, x, gamma, beta, mean, var),
            training=training,
        ),
        backward=lambda y, mean, inv_std, *_: call(
            "dx dgamma dbeta", ops.batch_norm_backward, dy, x, gamma, mean, inv_std, training=training
        ),
        leaves=(x, gamma, beta),
        dy=dy,
        constants=(mean.copy(), var.copy()),  # PyTorch overwrites its own
        torch=lambda torch, F, x, gamma, beta, mean, var: F.batch_norm(x, mean, var, gamma, beta, training),
    )


def batch_norm_relu(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build what stands behind nearly every convolution of a network in training, in one op."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, H, W)
    gamma, beta, mean, var = draw.normal(C), draw.normal(C), draw.normal(C), draw.uniform(C, least=1)
    dy = _where_sure(dy, ops.batch_norm(x, gamma, beta, mean, var, training=True)[0])
    return Problem(
        forward=call(
            "y mean inv_std running_mean running_var",
            *(ops.batch_norm_relu, x, gamma, beta, mean, var),
            training=True,
        ),
        backward=lambda y, mean, inv_std, *_: call(
            "dx dgamma dbeta", ops.batch_norm_relu_backward, dy, y, x, gamma, mean, inv_std, training=True
        ),
        leaves=(x, gamma, beta),
        dy=dy,
        constants=(mean.copy(), var.copy()),  # PyTorch overwrites its own
        torch=lambda torch, F, x, gamma, beta, mean, var: torch.relu(
            F.batch_norm(x, mean, var, gamma, beta, True)
        ),
    )


IGNORE = 255


def softmax_cross_entropy(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build the loss of a segmentation network, some pixels ignored."""
    logits, target = draw.normal(N, C, H, W), draw.labels(C, N, H, W, ignore_index=IGNORE)
    dloss = np.ones((), draw.dtype)
    ignore: dict[str, Any] = {"ignore_index": IGNORE}
    return Problem(
        forward=call("loss probs", ops.softmax_cross_entropy, logits, target, **ignore),
        backward=lambda loss, probs: call(
            "dlogits", ops.softmax_cross_entropy_backward, dloss, probs, target, **ignore
        ),
        leaves=(logits,),
        dy=dloss,
        constants=(target,),
        torch=lambda torch, F, logits, target: F.cross_entropy(logits, target, **ignore),
    )


def bce_with_logits(draw: Draw, N: int, C: int, H: int, W: int) -> Problem:
    """Build the loss of a two-class network."""
    logits, target = draw.normal(N, C, H, W), np.round(draw.uniform(N, C, H, W))
    dloss = np.ones((), draw.dtype)
    return Problem(
        forward=call("loss", ops.bce_with_logits, logits, target),
        backward=lambda loss: call("dlogits", ops.bce_with_logits_backward, dloss, logits, target),
        leaves=(logits,),
        dy=dloss,
        constants=(target,),
        torch=lambda torch, F, logits, target: F.binary_cross_entropy_with_logits(logits, target),
    )


SLOPE = 0.01
KEY = (1, 2, 3)  # dropout's seed, step and layer


def activation(
    draw: Draw,
    N: int,
    C: int,
    H: int,
    W: int,
    *,
    forward: Callable[..., Array],
    backward: Callable[..., Array],
    torch: Callable[..., Any],
    extra: tuple[float, ...] = (),
) -> Problem:
    """Build an op whose backward needs dy and y only."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, H, W)
    return Problem(
        forward=call("y", forward, x, *extra),
        backward=lambda y: call("dx", backward, dy, y, *extra),
        leaves=(x,),
        dy=dy,
        torch=torch,
    )


relu = partial(
    activation, forward=ops.relu, backward=ops.relu_backward, torch=lambda torch, F, x: torch.relu(x)
)
leaky_relu = partial(
    activation,
    forward=ops.leaky_relu,
    backward=ops.leaky_relu_backward,
    torch=lambda torch, F, x: F.leaky_relu(x, SLOPE),
    extra=(SLOPE,),
)
sigmoid = partial(
    activation, forward=ops.sigmoid, backward=ops.sigmoid_backward, torch=lambda torch, F, x: torch.sigmoid(x)
)
softmax = partial(
    activation,
    forward=ops.softmax,
    backward=ops.softmax_backward,
    torch=lambda torch, F, x: torch.softmax(x, 1),
)
log_softmax = partial(
    activation,
    forward=ops.log_softmax,
    backward=ops.log_softmax_backward,
    torch=lambda torch, F, x: torch.log_softmax(x, 1),
)


def dropout(draw: Draw, N: int, C: int, H: int, W: int, p: float) -> Problem:
    """Build a dropout."""
    x, dy = draw.normal(N, C, H, W), draw.normal(N, C, H, W)
    return Problem(
        forward=call("y mask", ops.dropout, x, p, key=KEY),
        backward=lambda y, mask: call("dx", ops.dropout_backward, dy, mask, p),
        leaves=(x,),
        dy=dy,
        torch=lambda torch, F, x: F.dropout(x, p, training=True),
        torch_is_comparable=False,
    )


# ---------------------------------------------------------------------------------------------------------
# The table


def _maps(C: int, H: int, N: int = 8) -> dict[str, Any]:
    """Return the sizes of a batch of square feature maps."""
    return {"N": N, "C": C, "H": H, "W": H}


# Channels in, channels out, height = width: the levels of a small U-Net, from the picture down.
WIDTHS = ((3, 16, 128), (16, 16, 128), (32, 32, 64), (64, 64, 64), (128, 128, 32), (256, 256, 16))


def _three_by_three(C: int, K: int, H: int) -> Case:
    return Case("conv2d", f"3x3, {C} to {K}", conv2d, {**_maps(C, H), "K": K, "padding": 1}, quick=C == 64)


CASES = (
    *(_three_by_three(C, K, H) for C, K, H in WIDTHS),
    Case("conv2d", "3x3 stride 2", conv2d, {**_maps(64, 64), "K": 64, "padding": 1, "stride": 2}),
    Case("conv2d", "3x3 dilation 2", conv2d, {**_maps(64, 64), "K": 64, "padding": 2, "dilation": 2}),
    Case("conv2d", "1x1", conv2d, {**_maps(64, 64), "K": 64, "kernel": 1}, quick=True),
    Case("conv2d", "1x1, 16 to 21", conv2d, {**_maps(16, 128), "K": 21, "kernel": 1}),
    Case("conv2d", "3x3 depthwise", conv2d, {**_maps(64, 64), "padding": 1}),
    Case("conv2d_relu", "3x3", conv2d_relu, {**_maps(64, 64), "K": 64}),
    Case(
        "conv_transpose2d",
        "2x2 stride 2",
        conv_transpose2d,
        {**_maps(64, 32), "K": 32, "kernel": 2, "stride": 2},
    ),
    Case(
        "conv_transpose2d",
        "4x4 stride 2",
        conv_transpose2d,
        {**_maps(21, 32), "K": 21, "kernel": 4, "stride": 2, "padding": 1},
        quick=True,
    ),
    Case("linear", "dense", linear, {"rows": 256, "inputs": 1024, "outputs": 1024}),
    Case("max_pool2d", "2x2", max_pool2d, {**_maps(32, 128), "kernel": 2, "stride": 2}, quick=True),
    Case("max_pool2d", "3x3 stride 2", max_pool2d, {**_maps(64, 64), "kernel": 3, "stride": 2, "padding": 1}),
    Case("max_unpool2d", "2x2", max_unpool2d, _maps(32, 64)),
    Case("avg_pool2d", "2x2", avg_pool2d, {**_maps(32, 128), "kernel": 2, "stride": 2}),
    Case("global_avg_pool2d", "whole map", global_avg_pool2d, _maps(256, 32)),
    Case("adaptive_max_pool2d", "6x6 bins", adaptive_max_pool2d, {**_maps(256, 32), "bins": 6}),
    Case("adaptive_avg_pool2d", "6x6 bins", adaptive_avg_pool2d, {**_maps(256, 32), "bins": 6}),
    Case("resize_bilinear", "x2", resize_bilinear, {**_maps(32, 64), "factor": 2}, quick=True),
    Case(
        "resize_bilinear",
        "x8 align_corners",
        resize_bilinear,
        {**_maps(21, 16), "factor": 8, "align_corners": True},
    ),
    Case("resize_nearest", "x2", resize_nearest, {**_maps(32, 64), "factor": 2}),
    Case("concat", "two skips", concat, _maps(32, 128)),
    Case("add", "skip", add, _maps(32, 128)),
    Case("crop2d", "border 2", crop2d, {**_maps(32, 136), "border": 2}),
    Case("pad2d", "zero 2", pad2d, {**_maps(32, 128), "padding": 2, "mode": "zero"}),
    Case("pad2d", "reflect 2", pad2d, {**_maps(32, 128), "padding": 2, "mode": "reflect"}),
    Case("roi_pool", "64 regions 7x7", roi_pool, {**_maps(64, 32, N=2), "R": 64, "bins": 7}),
    Case(
        "roi_pool",
        "64 regions 7x7, one by one",
        roi_pool_one_by_one,
        {**_maps(64, 32, N=2), "R": 64, "bins": 7},
    ),
    Case("roi_align", "64 regions 7x7", roi_align, {**_maps(64, 32, N=2), "R": 64, "bins": 7}),
    Case("nms", "IoU 0.5", nms, {"boxes": 1000, "iou_threshold": 0.5}, quick=True),
    Case("batch_norm", "training", batch_norm, {**_maps(32, 128), "training": True}, quick=True),
    Case("batch_norm", "training", batch_norm, {**_maps(256, 16), "training": True}),
    Case("batch_norm", "evaluation", batch_norm, {**_maps(32, 128), "training": False}),
    Case("batch_norm_relu", "training", batch_norm_relu, _maps(32, 128)),
    Case("softmax_cross_entropy", "21 classes", softmax_cross_entropy, _maps(21, 128), quick=True),
    Case("bce_with_logits", "mask", bce_with_logits, _maps(1, 256)),
    Case("softmax", "21 classes", softmax, _maps(21, 128)),
    Case("log_softmax", "21 classes", log_softmax, _maps(21, 128)),
    Case("relu", "map", relu, _maps(32, 128), quick=True),
    Case("leaky_relu", "map", leaky_relu, _maps(32, 128)),
    Case("sigmoid", "map", sigmoid, _maps(32, 128)),
    Case("dropout", "p 0.5", dropout, {**_maps(32, 128), "p": 0.5}),
)


def select(names: Sequence[str] | None, scale: Scale = "full") -> tuple[Case, ...]:
    """Choose cases: those of the named ops, or all; without names, ``quick`` has a few, of every kind of op."""
    known = {case.op for case in CASES}
    unknown = sorted(set(names or ()) - known)
    if unknown:
        raise ValueError(f"no benchmark of {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    chosen = [case for case in CASES if case.op in (names or known)]
    if scale == "quick" and not names:
        chosen = [case for case in chosen if case.quick]
    different = {repr((case.op, case.name, case.at(scale))): case for case in reversed(chosen)}
    return tuple(reversed(different.values()))  # toy cases can be equal, where only their sizes differed
