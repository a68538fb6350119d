"""Kernels in CUDA C for NVIDIA's GPUs: one .cu file for each family, and beside it the Python that starts them."""

<<<<<<< HEAD
from .activation import relu, relu_backward
from .conv import conv2d, conv2d_backward, conv_transpose2d, conv_transpose2d_backward
from .linear import linear, linear_backward
from .loss import (
    bce_with_logits,
    bce_with_logits_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from .norm import batch_norm, batch_norm_backward

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "bce_with_logits",
    "bce_with_logits_backward",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "linear",
    "linear_backward",
    "relu",
    "relu_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]
=======
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
from .dropout import dropout, dropout_backward
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
>>>>>>> cuda-harness
