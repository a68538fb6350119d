"""Layers: parameters, and one call into :mod:`minisegnet.functional` each.

Names, and numbers from given weights, are PyTorch's. Initial weights are not: ours are He's, and biases start at 0.
The equations, worked examples and papers stand with the functions in :mod:`minisegnet.ops`.

>>> import numpy as np
>>> layer = Conv2d(1, 1, 3, padding=1)
>>> [(name, parameter.shape) for name, parameter in layer.named_parameters()]
[('weight', (1, 1, 3, 3)), ('bias', (1,))]
>>> layer(np.ones((1, 1, 4, 4), np.float32)).shape
(1, 1, 4, 4)
"""

from minisegnet.nn.activation import Identity, LeakyReLU, ReLU, Sigmoid
from minisegnet.nn.container import ModuleList, Sequential
from minisegnet.nn.conv import Conv2d, ConvTranspose2d
from minisegnet.nn.dropout import Dropout, set_step
from minisegnet.nn.fused import in_turn
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
    "in_turn",
    "set_step",
]
