"""The definition of every op in plain loops: what all other backends are compared with.

Slow on purpose. Nothing here is clever, so that each kernel can be read as the exact meaning of its op.
"""

from .activation import (
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
from .arrange import (
    add,
    add_backward,
    concat,
    concat_backward,
    crop2d,
    crop2d_backward,
    pad2d,
    pad2d_backward,
)
from .boxes import nms
from .conv import (
    conv2d,
    conv2d_backward,
    conv2d_relu,
    conv2d_relu_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
)
from .dropout import dropout, dropout_backward
from .linear import linear, linear_backward
from .loss import (
    bce_with_logits,
    bce_with_logits_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from .norm import batch_norm, batch_norm_backward, batch_norm_relu, batch_norm_relu_backward
from .pool import (
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
from .resize import resize_bilinear, resize_bilinear_backward, resize_nearest, resize_nearest_backward
from .roi import roi_align, roi_align_backward, roi_pool, roi_pool_backward

__all__ = [
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
    "dropout",
    "dropout_backward",
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
]
