"""Layers: parameters, and one call into :mod:`minisegnet.functional` each. Names and numbers are PyTorch's."""

from minisegnet.nn.init import creating
from minisegnet.nn.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Identity,
    LeakyReLU,
    Linear,
    MaxPool2d,
    MaxUnpool2d,
    ModuleList,
    ReLU,
    Sequential,
    Sigmoid,
    Upsample,
    set_step,
)
from minisegnet.nn.module import Buffer, Module, Parameter

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Identity",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "MaxUnpool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Upsample",
    "creating",
    "set_step",
]
