"""The public kernels: maths, argument checks and dispatch. Arrays in, arrays out.

Every op is a plain function with a partner that ends in ``_backward`` and takes the gradient with respect to the
op's output first. Which backend runs them is chosen by :func:`use_backend`.
"""

from minisegnet.exactness import exact_convolutions
from minisegnet.ops.activation import (
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
)
from minisegnet.ops.arrange import (
    add,
    add_backward,
    concat,
    concat_backward,
    crop2d,
    crop2d_backward,
    pad2d,
    pad2d_backward,
)
from minisegnet.ops.boxes import nms
from minisegnet.ops.conv import (
    conv2d,
    conv2d_backward,
    conv2d_relu,
    conv2d_relu_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
)
from minisegnet.ops.dispatch import BACKENDS, current_backend, to_backend, to_numpy, use_backend, why_not
from minisegnet.ops.dropout import dropout, dropout_backward
from minisegnet.ops.linear import linear, linear_backward
from minisegnet.ops.loss import (
    bce_with_logits,
    bce_with_logits_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from minisegnet.ops.norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_relu,
    batch_norm_relu_backward,
)
from minisegnet.ops.pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_unpool2d,
    max_unpool2d_backward,
)
from minisegnet.ops.resize import (
    resize_bilinear,
    resize_bilinear_backward,
    resize_nearest,
    resize_nearest_backward,
)
from minisegnet.ops.roi import roi_align, roi_align_backward, roi_pool, roi_pool_backward

__all__ = [
    "BACKENDS",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "add",
    "add_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_relu",
    "batch_norm_relu_backward",
    "bce_with_logits",
    "bce_with_logits_backward",
    "concat",
    "concat_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_relu",
    "conv2d_relu_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "crop2d",
    "crop2d_backward",
    "current_backend",
    "dropout",
    "dropout_backward",
    "exact_convolutions",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_unpool2d",
    "max_unpool2d_backward",
    "nms",
    "pad2d",
    "pad2d_backward",
    "relu",
    "relu_backward",
    "resize_bilinear",
    "resize_bilinear_backward",
    "resize_nearest",
    "resize_nearest_backward",
    "roi_align",
    "roi_align_backward",
    "roi_pool",
    "roi_pool_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "to_backend",
    "to_numpy",
    "use_backend",
    "why_not",
]
