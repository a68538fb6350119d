"""Kernels in CUDA C for NVIDIA's GPUs: one .cu file for each family, and beside it the Python that starts them."""

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
