"""One differentiable function per op: it calls the op and records the op's backward on the tape.

Names and signatures are those of ``minisegnet.ops``; what each function computes is told there. Tensors and
arrays may be mixed, the result is a Tensor. Where an op returns indices or statistics beside y, so does its
function, as arrays: ``y, indices = max_pool2d(x, 2)``. The losses return the loss alone. ``nms`` isn't here: it
picks indices, and there is nothing to differentiate.

Every function has the same shape. Take the arrays out of the tensors; call the op; record the backward. From
the line ``x = array_of(x)`` on, x is an array. What the backward's lambda names is what stays in memory until it
has run, so it names no more than it needs: relu its y, resize a size and no array at all. These arrays are
kept, not copied: don't change them in place between forward and backward.

>>> import numpy as np
>>> x = Tensor(np.array([[-1.0, 2.0]]), requires_grad=True)
>>> relu(x).backward(np.array([[10.0, 10.0]]))
>>> x.grad
array([[ 0., 10.]])
"""

from collections.abc import Sequence
from typing import Any

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.inputs import Input, array_of, constant_of, requires_grad
from minisegnet.sizes import IntOrPair

# ---------------------------------------------------------------------------------------------------------
# Convolution and linear


def conv2d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Slide filters over the input and sum products.

    Backward: dx spreads dy through the filters, dw sums dy times what each weight met, db sums dy.
    """
    inputs, need_dx = (x, w, b), requires_grad(x)
    x, w, b = array_of(x), array_of(w), array_of(b)
    geometry: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = ops.conv2d(x, w, b, **geometry)
    return record(y, inputs, lambda dy: ops.conv2d_backward(dy, x, w, **geometry, need_dx=need_dx))


def conv2d_relu(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve and cut off what is negative, in one op.

    Backward: dy where y > 0, else 0; then as in a convolution.
    """
    inputs, need_dx = (x, w, b), requires_grad(x)
    x, w, b = array_of(x), array_of(w), array_of(b)
    geometry: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = ops.conv2d_relu(x, w, b, **geometry)
    return record(y, inputs, lambda dy: ops.conv2d_relu_backward(dy, y, x, w, **geometry, need_dx=need_dx))


def conv_transpose2d(
    x: Input,
    w: Input,
    b: Input | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Let every input pixel paint a scaled copy of the filter.

    Backward: dx is the convolution of dy with the filters; dw and db as in a convolution.
    """
    inputs = (x, w, b)
    x, w, b = array_of(x), array_of(w), array_of(b)
    geometry: Any = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
        "groups": groups,
    }
    y = ops.conv_transpose2d(x, w, b, **geometry)
    return record(y, inputs, lambda dy: ops.conv_transpose2d_backward(dy, x, w, **geometry))


def linear(x: Input, w: Input, b: Input | None = None) -> Tensor:
    """Multiply by a matrix: y = x wᵀ + b.

    Backward: dx = dy w, dw = dyᵀ x, db sums dy over the rows.
    """
    inputs = (x, w, b)
    x, w, b = array_of(x), array_of(w), array_of(b)
    return record(ops.linear(x, w, b), inputs, lambda dy: ops.linear_backward(dy, x, w))


# ---------------------------------------------------------------------------------------------------------
# Pooling and unpooling


def max_pool2d(
    x: Input,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Array]:
    """Keep the largest value of each window; return it and where it was.

    Backward: each dy is added where its maximum was.
    """
    y, indices = ops.max_pool2d(
        array_of(x), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    size = x.shape[2:]
    return record(y, [x], lambda dy: ops.max_pool2d_backward(dy, indices, size)), indices


def max_unpool2d(x: Input, indices: Input, output_size: IntOrPair) -> Tensor:
    """Put each value where its index says; everything else is 0.

    Backward: each input reads dy at its own index.
    """
    indices = constant_of(indices, "indices")
    y = ops.max_unpool2d(array_of(x), indices, output_size)
    return record(y, [x], lambda dy: ops.max_unpool2d_backward(dy, indices))


def avg_pool2d(
    x: Input,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Average each window.

    Backward: each dy is shared out equally over its window.
    """
    window: Any = {
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
    }
    y, size = ops.avg_pool2d(array_of(x), kernel_size, **window), x.shape[2:]
    return record(y, [x], lambda dy: ops.avg_pool2d_backward(dy, size, kernel_size, **window))


def global_avg_pool2d(x: Input) -> Tensor:
    """Average each channel's whole map.

    Backward: dy / (H W) everywhere.
    """
    y, size = ops.global_avg_pool2d(array_of(x)), x.shape[2:]
    return record(y, [x], lambda dy: ops.global_avg_pool2d_backward(dy, size))


def adaptive_max_pool2d(x: Input, output_size: IntOrPair) -> tuple[Tensor, Array]:
    """Keep the largest value of each of OH x OW bins; return it and where it was.

    Backward: each dy is added where its maximum was.
    """
    y, indices = ops.adaptive_max_pool2d(array_of(x), output_size)
    size = x.shape[2:]
    return record(y, [x], lambda dy: ops.max_pool2d_backward(dy, indices, size)), indices


def adaptive_avg_pool2d(x: Input, output_size: IntOrPair) -> Tensor:
    """Average each of OH x OW bins.

    Backward: each dy is shared out equally over its bin.
    """
    y, size = ops.adaptive_avg_pool2d(array_of(x), output_size), x.shape[2:]
    return record(y, [x], lambda dy: ops.adaptive_avg_pool2d_backward(dy, size))


# ---------------------------------------------------------------------------------------------------------
# Sizes and places


def resize_bilinear(x: Input, size: IntOrPair, *, align_corners: bool = False) -> Tensor:
    """Resize by linear interpolation along both axes.

    Backward: each dy goes back to the four pixels it was mixed from, with the same weights.
    """
    y, input_size = ops.resize_bilinear(array_of(x), size, align_corners=align_corners), x.shape[2:]
    return record(
        y, [x], lambda dy: ops.resize_bilinear_backward(dy, input_size, align_corners=align_corners)
    )


def resize_nearest(x: Input, size: IntOrPair) -> Tensor:
    """Resize by repeating or dropping pixels.

    Backward: each pixel sums the gradients of its copies.
    """
    y, input_size = ops.resize_nearest(array_of(x), size), x.shape[2:]
    return record(y, [x], lambda dy: ops.resize_nearest_backward(dy, input_size))


def crop2d(x: Input, size: IntOrPair) -> Tensor:
    """Cut out the centre.

    Backward: dy in the centre, 0 around it.
    """
    y, input_size = ops.crop2d(array_of(x), size), x.shape[2:]
    return record(y, [x], lambda dy: ops.crop2d_backward(dy, input_size))


def pad2d(x: Input, padding: IntOrPair, *, mode: str = "zero") -> Tensor:
    """Put a border of zeros, or of reflected pixels, around each map.

    Backward: the border is cut off; what was reflected adds its dy to the pixel that it came from.
    """
    y = ops.pad2d(array_of(x), padding, mode=mode)
    return record(y, [x], lambda dy: ops.pad2d_backward(dy, padding, mode=mode))


def concat(arrays: Sequence[Input], *, axis: int = 1) -> Tensor:
    """Put arrays one after the other along an axis.

    Backward: dy is cut into the same pieces.
    """
    parts: Any = [array_of(a) for a in arrays] if isinstance(arrays, list | tuple) else arrays
    y = ops.concat(parts, axis=axis)  # refuses what is no list
    sizes = [a.shape[axis] for a in arrays]
    return record(y, arrays, lambda dy: ops.concat_backward(dy, sizes, axis=axis))


def add(a: Input, b: Input) -> Tensor:
    """Add two arrays of equal shapes.

    Backward: dy for both.
    """
    return record(ops.add(array_of(a), array_of(b)), (a, b), ops.add_backward)


# ---------------------------------------------------------------------------------------------------------
# Regions of interest


def roi_pool(
    x: Input, rois: Input, output_size: IntOrPair, *, spatial_scale: float = 1.0
) -> tuple[Tensor, Array]:
    """Max-pool each region into OH x OW bins; return it and where each maximum was.

    Backward: each dy is added where its maximum was; regions that overlap add up.
    """
    rois = constant_of(rois, "rois")
    y, argmax = ops.roi_pool(array_of(x), rois, output_size, spatial_scale=spatial_scale)
    shape: Any = x.shape
    return record(y, [x], lambda dy: ops.roi_pool_backward(dy, argmax, rois, shape)), argmax


def roi_align(
    x: Input,
    rois: Input,
    output_size: IntOrPair,
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = False,
) -> Tensor:
    """Average bilinear samples of each region into OH x OW bins.

    Backward: each dy goes back to the pixels that its samples were mixed from, with the same weights.
    """
    rois = constant_of(rois, "rois")
    sampling: Any = {"spatial_scale": spatial_scale, "sampling_ratio": sampling_ratio, "aligned": aligned}
    y = ops.roi_align(array_of(x), rois, output_size, **sampling)
    shape: Any = x.shape
    return record(y, [x], lambda dy: ops.roi_align_backward(dy, rois, shape, **sampling))


# ---------------------------------------------------------------------------------------------------------
# Normalisation, activations, dropout


def batch_norm(
    x: Input,
    gamma: Input | None,
    beta: Input | None,
    running_mean: Input | None,
    running_var: Input | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array, Array | None, Array | None]:
    """Normalise each channel; return y, mean, inv_std and the new running mean and variance.

    Backward: dbeta sums dy, dgamma sums dy x̂; in training dx also goes through mean and variance.
    """
    inputs = (x, gamma, beta)
    x, gamma = array_of(x), array_of(gamma)
    y, mean, inv_std, running_mean, running_var = ops.batch_norm(
        x,
        gamma,
        array_of(beta),
        constant_of(running_mean, "running_mean"),
        constant_of(running_var, "running_var"),
        training=training,
        momentum=momentum,
        eps=eps,
    )
    result = record(
        y, inputs, lambda dy: ops.batch_norm_backward(dy, x, gamma, mean, inv_std, training=training)
    )
    return result, mean, inv_std, running_mean, running_var


def batch_norm_relu(
    x: Input,
    gamma: Input | None,
    beta: Input | None,
    running_mean: Input | None,
    running_var: Input | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Array, Array, Array | None, Array | None]:
    """Normalise each channel and cut off what is negative, in one op; return what ``batch_norm`` returns.

    Backward: dy where y > 0, else 0; then as in batch_norm.
    """
    inputs = (x, gamma, beta)
    x, gamma = array_of(x), array_of(gamma)
    y, mean, inv_std, running_mean, running_var = ops.batch_norm_relu(
        x,
        gamma,
        array_of(beta),
        constant_of(running_mean, "running_mean"),
        constant_of(running_var, "running_var"),
        training=training,
        momentum=momentum,
        eps=eps,
    )
    result = record(
        y,
        inputs,
        lambda dy: ops.batch_norm_relu_backward(dy, y, x, gamma, mean, inv_std, training=training),
    )
    return result, mean, inv_std, running_mean, running_var


def relu(x: Input) -> Tensor:
    """Cut off what is negative.

    Backward: dy where y > 0, else 0.
    """
    y = ops.relu(array_of(x))
    return record(y, [x], lambda dy: ops.relu_backward(dy, y))


def leaky_relu(x: Input, slope: float = 0.01) -> Tensor:
    """Scale what is negative by the slope.

    Backward: dy where y > 0, else slope dy.
    """
    y = ops.leaky_relu(array_of(x), slope)
    return record(y, [x], lambda dy: ops.leaky_relu_backward(dy, y, slope))


def sigmoid(x: Input) -> Tensor:
    """Squeeze each number between 0 and 1.

    Backward: dy y (1 - y).
    """
    y = ops.sigmoid(array_of(x))
    return record(y, [x], lambda dy: ops.sigmoid_backward(dy, y))


def softmax(x: Input, *, axis: int = 1) -> Tensor:
    """Turn scores into probabilities that sum to 1 along the axis.

    Backward: y (dy - sum(dy y)).
    """
    y = ops.softmax(array_of(x), axis=axis)
    return record(y, [x], lambda dy: ops.softmax_backward(dy, y, axis=axis))


def log_softmax(x: Input, *, axis: int = 1) -> Tensor:
    """Take the logarithm of the softmax, without its underflow.

    Backward: dy - exp(y) sum(dy).
    """
    y = ops.log_softmax(array_of(x), axis=axis)
    return record(y, [x], lambda dy: ops.log_softmax_backward(dy, y, axis=axis))


def dropout(x: Input, p: float, *, key: Sequence[int]) -> tuple[Tensor, Array]:
    """Set each element to 0 with probability p and scale up the rest; return it and the mask of the kept.

    Backward: dy / (1 - p) where kept, else 0.
    """
    y, mask = ops.dropout(array_of(x), p, key=key)
    return record(y, [x], lambda dy: ops.dropout_backward(dy, mask, p)), mask


# ---------------------------------------------------------------------------------------------------------
# Losses


def softmax_cross_entropy(
    logits: Input,
    target: Input,
    *,
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Measure how surprised the softmax is by the true class.

    Backward: (probabilities - one-hot target) times the weights and dy.
    """
    target = constant_of(target, "target")
    counting: Any = {
        "weight": constant_of(weight, "weight"),
        "pixel_weight": constant_of(pixel_weight, "pixel_weight"),
        "ignore_index": ignore_index,
        "reduction": reduction,
    }
    loss, probs = ops.softmax_cross_entropy(array_of(logits), target, **counting)
    return record(
        loss, [logits], lambda dy: ops.softmax_cross_entropy_backward(dy, probs, target, **counting)
    )


def bce_with_logits(
    logits: Input,
    target: Input,
    *,
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Measure how surprised the sigmoid is by targets between 0 and 1.

    Backward: (sigmoid(logits) - target) times the weights and dy.
    """
    inputs = [logits]
    logits, target = array_of(logits), constant_of(target, "target")
    counting: Any = {
        "weight": constant_of(weight, "weight"),
        "pixel_weight": constant_of(pixel_weight, "pixel_weight"),
        "ignore_index": ignore_index,
        "reduction": reduction,
    }
    loss = ops.bce_with_logits(logits, target, **counting)
    return record(loss, inputs, lambda dy: ops.bce_with_logits_backward(dy, logits, target, **counting))
