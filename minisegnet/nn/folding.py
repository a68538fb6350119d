"""Batch normalisation folded into the convolution in front of it, for a model that has learned all that it will."""

import copy
from itertools import pairwise
from typing import TypeGuard

import numpy as np

from minisegnet.constants import constant
from minisegnet.nn.activation import Identity
from minisegnet.nn.container import Sequential
from minisegnet.nn.conv import Conv2d, ConvTranspose2d
from minisegnet.nn.module import Module, Parameter
from minisegnet.nn.norm import BatchNorm2d


def folded(model: Module) -> Module:
    r"""Return a copy of a model, for evaluation, whose convolutions do the work of the batch normalisation behind them.

    In evaluation a batch normalisation multiplies each channel by a number and adds another. The convolution in front
    of it can do that by itself, with other weights:

    .. math::
        \gamma\,\frac{(w * x + b) - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta
        = (s\,w) * x + \big(s\,(b - \mu) + \beta\big), \qquad s = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}

    The result is the same up to rounding, and takes less time. Where the two stand in a ``Sequential``, the
    normalisation becomes an ``Identity``; all others stay. A transposed convolution is as good as an ordinary one, if
    it has one group. The copy shares nothing with the model.

    Its parameters are read-only. So kernels keep what they compute from the filters, where otherwise each call would
    compute it again (``minisegnet.constants``). To learn on, take the model; it stays as it was.

    >>> from minisegnet import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    >>> [type(module).__name__ for module in folded(model)]
    ['Conv2d', 'Identity', 'ReLU']
    """
    model = copy.deepcopy(model).eval()
    for _, parent in model.named_modules():
        if isinstance(parent, Sequential):
            children = list(parent.named_children())
            for (_, layer), (name, norm) in pairwise(children):
                if _can_fold(layer) and type(norm) is BatchNorm2d:
                    _fold(layer, norm)
                    setattr(parent, name, Identity().eval())
    for parameter in model.parameters():
        if isinstance(parameter.data, np.ndarray):  # on a GPU, no kernel keeps anything
            parameter.data = constant(parameter.data)
    return model


def _can_fold(layer: Module) -> TypeGuard[Conv2d | ConvTranspose2d]:
    return type(layer) is Conv2d or (type(layer) is ConvTranspose2d and layer.groups == 1)


def _fold(layer: Conv2d | ConvTranspose2d, norm: BatchNorm2d) -> None:
    """Change the weights in double precision, so that they are rounded once."""
    weight = layer.weight.data  # (K, C/groups, KH, KW), or (C, K, KH, KW)
    mean, variance, gamma, beta = (
        tensor.data.astype(np.float64)
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    scale = gamma / np.sqrt(variance + norm.eps)  # (K,)
    bias = 0.0 if layer.bias is None else layer.bias.data.astype(np.float64)
    each = scale[:, None, None] if isinstance(layer, ConvTranspose2d) else scale[:, None, None, None]
    layer.weight = Parameter((weight * each).astype(weight.dtype))
    layer.bias = Parameter((scale * (bias - mean) + beta).astype(weight.dtype))
