"""Kernels in CUDA C for NVIDIA's GPUs: one .cu file for each family, and beside it the Python that starts them."""

from .activation import relu, relu_backward

__all__ = [
    "relu",
    "relu_backward",
]
