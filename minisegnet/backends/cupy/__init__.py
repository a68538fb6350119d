"""Kernels in CUDA C for NVIDIA's GPUs: one .cu file for each family, and beside it the Python that starts them."""

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
