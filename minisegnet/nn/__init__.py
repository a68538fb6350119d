"""Layers: parameters, and one call into :mod:`minisegnet.functional` each. Names and numbers are PyTorch's."""

from minisegnet.nn.activation import Identity, LeakyReLU, ReLU, Sigmoid
from minisegnet.nn.container import ModuleList, Sequential
from minisegnet.nn.conv import Conv2d, ConvTranspose2d
from minisegnet.nn.dropout import Dropout, set_step
from minisegnet.nn.init import creating
from minisegnet.nn.linear import Linear
from minisegnet.nn.module import Buffer, Module, Parameter
from minisegnet.nn.norm import BatchNorm2d
from minisegnet.nn.pool import AvgPool2d, MaxPool2d, MaxUnpool2d
from minisegnet.nn.resize import Upsample

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
