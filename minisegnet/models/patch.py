"""The patch classifier, which labels one pixel at a time, and its fully convolutional twin, which saves the repeats."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minisegnet import nn
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.models.checks import check_pictures
from minisegnet.models.geometry import layers_of
from minisegnet.sizes import IntOrPair, Layer, Pair, as_int, as_pair, chain_size, conv2d_size
from minisegnet.tracing import traced

STRIDE = 4  # two poolings of stride 2: how far the twin's outputs lie apart in the picture


class PatchClassifier(nn.Module):
    """Cut out a patch, classify its centre pixel, move on, repeat.

    How networks labelled pixels before FCN: sliding windows (슬라이딩 윈도우). A small net with dense layers at its
    end looks at a patch and says what the pixel in its centre is::

        patch 21 -- conv 3x3 -- pool 3/2 -- conv 3x3 -- pool 3/2 -- flatten -- dense -- dense
              21          19          9           7           3     9 x 2w       8w     classes

    ("conv" and the first dense layer are followed by ReLU; the small numbers are heights and widths, w the width.)

    A larger picture is covered by patches 4 pixels apart, and output (i, j) belongs to pixel
    (4i + 10, 4j + 10). Neighbouring patches overlap, so that the same convolutions are computed again and again.
    :class:`PatchFCN` computes each once and gives the same numbers; ``multiply_adds`` of both says what it saves.

    Nothing is padded. With padding each patch would see zeros at its own border, where the twin sees the picture, and
    they would no longer agree.

    Faithful: a classifier of the centre pixel, with valid convolutions and dense layers.
    Simplified: two convolutions where D. Ciresan et al. had four, as we recall it; every fourth pixel where they had
    every one.

    D. Ciresan et al., "Deep neural networks segment neuronal membranes in electron microscopy images" (2012),
    section 2; J. Long et al., "Fully convolutional networks" (2015), section 3.1, for the twin.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of scores.
    width
        Channels of the first convolution; the second has twice as many, the dense layer 8 times.
    patch
        Height and width of the patch: 9 plus a multiple of 4, so that the poolings come out even and there is
        a pixel in the centre.

    Examples
    --------
    >>> model = PatchClassifier(3, 2, width=2)
    >>> model(np.zeros((2, 3, 21, 21), np.float32)).shape  # two patches
    (2, 2, 1, 1)
    >>> model(np.zeros((1, 3, 32, 30), np.float32)).shape  # nine patches of one picture
    (1, 2, 3, 3)
    >>> model.output_size((64, 64))
    (11, 11)
    """

    def __init__(self, in_channels: int, classes: int, *, width: int = 8, patch: int = 21) -> None:
        side = _dense_side(patch)
        self.in_channels, self.classes, self.width, self.patch = in_channels, classes, width, patch
        # Channels and side of the map that the dense layers see.
        self.top, self.side = 2 * width, side
        self.features = _features(in_channels, width)
        self.fc1 = nn.Linear(self.top * self.side**2, 8 * width)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to scores (N, classes, OH, OW), one for each patch."""
        check_pictures(x, self.in_channels)
        N = x.shape[0]
        OH, OW = self.output_size((x.shape[2], x.shape[3]))
        patches = cut_windows(x, self.patch, STRIDE)  # (N OH OW, C, patch, patch)
        y = flatten(self.features(patches))  # (N OH OW, top side side)
        y = self.fc2(self.relu1(self.fc1(y)))  # (N OH OW, classes)
        return windows_to_maps(y, N, (OH, OW))  # (N, classes, OH, OW)

    def output_size(self, size: IntOrPair) -> Pair:
        """How many patches fit below each other and side by side, 4 pixels apart."""
        H, W = as_pair(size, "size", 1)
        if min(H, W) < self.patch:
            raise ValueError(
                f"the input is {H} x {W}, smaller than a patch; every size from {self.patch} x {self.patch} up fits"
            )
        return conv2d_size((H, W), self.patch, stride=STRIDE)

    def layers(self) -> list[Layer]:
        """List the layers for the functions of ``sizes``, the first dense one as the convolution that it becomes.

        >>> from minisegnet.sizes import receptive_field
        >>> layers = PatchClassifier(1, 2).layers()
        >>> chain_size(layers, 64), receptive_field(layers).size
        ((11, 11), (21, 21))
        """
        return [*layers_of(self.features), Layer(self.side), Layer(1)]

    def centre(self, i: int) -> int:
        """Row (or column) of the picture that output row (or column) i labels.

        >>> PatchClassifier(1, 2).centre(0)
        10
        """
        return STRIDE * i + self.patch // 2

    def twin(self) -> "PatchFCN":
        """Make the fully convolutional network with the same weights."""
        with nn.creating(dtype=self.fc1.weight.dtype, initialise=False):
            twin = PatchFCN(self.in_channels, self.classes, width=self.width, patch=self.patch)
        state = self.state_dict()
        for name, channels, side in (("fc1", self.top, self.side), ("fc2", 8 * self.width, 1)):
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            state[f"{name}.weight"], state[f"{name}.bias"] = dense_to_conv(weight, bias, channels, side)
        twin.load_state_dict(state)
        twin.train(self.training)
        return twin

    def multiply_adds(self, size: IntOrPair) -> int:
        """Multiplications (each with an addition) for one picture: those of a patch, times the patches.

        >>> model = PatchClassifier(1, 2, width=1)
        >>> 1 * 9 * 19 * 19 + 1 * 9 * 2 * 7 * 7 + 2 * 9 * 8 + 8 * 2
        4291
        >>> model.multiply_adds(21), model.multiply_adds(25)  # one patch; four patches
        (4291, 17164)
        """
        OH, OW = self.output_size(size)
        dense = self.fc1.weight.data.size + self.fc2.weight.data.size
        return OH * OW * (_feature_cost(self.features, as_pair(self.patch, "patch")) + dense)


class PatchFCN(nn.Module):
    """The patch classifier's twin: every layer slides, the dense ones as convolutions.

    Output (i, j) is what :class:`PatchClassifier` says of the patch at (4i, 4j), but what patches share is computed
    once. Make it by ``PatchClassifier.twin()``, or train it itself::

        picture H -- conv 3x3 -- pool 3/2 -- conv 3x3 -- pool 3/2 -- conv 3x3 -- conv 1x1
                                                                     (was dense) (was dense)

    The parameters, their meaning and the sizes are those of :class:`PatchClassifier`.

    Examples
    --------
    >>> model = PatchClassifier(3, 2, width=2)
    >>> twin = model.twin()
    >>> x = np.random.default_rng(0).normal(size=(1, 3, 30, 30)).astype(np.float32)
    >>> bool(abs(twin(x).data - model(x).data).max() < 1e-5)
    True
    """

    def __init__(self, in_channels: int, classes: int, *, width: int = 8, patch: int = 21) -> None:
        side = _dense_side(patch)
        self.in_channels, self.classes, self.width, self.patch = in_channels, classes, width, patch
        self.features = _features(in_channels, width)
        self.fc1 = nn.Conv2d(2 * width, 8 * width, side)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Conv2d(8 * width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to scores (N, classes, OH, OW)."""
        check_pictures(x, self.in_channels)
        y = self.features(x)  # (N, 2w, OH + side - 1, OW + side - 1)
        scores: Tensor = self.fc2(self.relu1(self.fc1(y)))  # (N, classes, OH, OW)
        return scores

    def output_size(self, size: IntOrPair) -> Pair:
        """As :meth:`PatchClassifier.output_size`."""
        return chain_size(self.layers(), size)

    def layers(self) -> list[Layer]:
        """List the layers for the functions of ``sizes``: what :class:`PatchClassifier` has."""
        return layers_of(self.features, self.fc1, self.fc2)

    def multiply_adds(self, size: IntOrPair) -> int:
        """Multiplications (each with an addition) for one picture.

        >>> PatchFCN(1, 2, width=1).multiply_adds(21)  # a single patch: there is nothing to save
        4291
        """
        OH, OW = self.output_size(size)
        dense = self.fc1.weight.data.size + self.fc2.weight.data.size
        return _feature_cost(self.features, as_pair(size, "size")) + OH * OW * dense


# ---------------------------------------------------------------------------------------------------------
# Dense layers as convolutions


def dense_to_conv(weight: Array, bias: Array, channels: int, size: IntOrPair) -> tuple[Array, Array]:
    r"""Turn a dense layer into the convolution that computes the same.

    A dense layer after ``flatten`` sums over all channels and places of a (C, H, W) map. So does a convolution whose
    kernel is as large as the map: :math:`w[k, c, i, j] = W[k, (c H + i) W + j]`. The numbers stay, only the shape is
    new. On a larger map the kernel slides. For VGG16: fc6 on a 512 x 7 x 7 map becomes a 7x7 convolution; fc7 and the
    scores, which see a 1 x 1 map, become 1x1 convolutions.

    Parameters
    ----------
    weight
        (K, channels * H * W), of the dense layer.
    bias
        (K,).
    channels, size
        Of the map that was flattened.

    Returns
    -------
    weight, bias
        (K, channels, H, W) and (K,), as new arrays.

    Notes
    -----
    Long et al. (2015), section 3.1. Backward: that of the convolution.

    Examples
    --------
    >>> w, b = dense_to_conv(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([5.0]), 1, 2)
    >>> w
    array([[[[1., 2.],
             [3., 4.]]]])
    """
    H, W = as_pair(size, "size", 1)
    channels = as_int(channels, "channels", 1)
    if weight.ndim != 2 or weight.shape[1] != channels * H * W or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"weight has shape {weight.shape} and bias {bias.shape}; expected (K, {channels * H * W}) and (K,) for a "
            f"map of {channels} channels and size {(H, W)}"
        )
    return weight.reshape(weight.shape[0], channels, H, W).copy(), bias.copy()


# ---------------------------------------------------------------------------------------------------------
# The parts


def _dense_side(patch: int) -> int:
    """Height and width of the map that the dense layers see."""
    if as_int(patch, "patch", 13) % 4 != 1:
        raise ValueError(f"patch is {patch}; expected 9 plus a multiple of 4: 13, 17, 21, 25, ...")
    return (patch - 9) // 4


def _features(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(width, 2 * width, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    )


def _feature_cost(features: Iterable[nn.Module], size: Pair) -> int:
    """Multiply-adds of the convolutions: each weight is used once for every output place."""
    cost = 0
    for layer in features:
        size = chain_size(layers_of(layer), size)
        if isinstance(layer, nn.Conv2d):
            cost += layer.weight.data.size * size[0] * size[1]
    return cost


@traced
def cut_windows(x: Tensor, size: int, stride: int) -> Tensor:
    """Cut out all windows of a picture, row by row: (N, C, H, W) to (N OH OW, C, size, size).

    Backward: every window's gradient is added where it was cut out.

    >>> x = Tensor(np.arange(9.0).reshape(1, 1, 3, 3))
    >>> cut_windows(x, 2, 1).data[1, 0]
    array([[1., 2.],
           [4., 5.]])
    """
    N, C, H, W = x.shape
    OH, OW = conv2d_size((H, W), size, stride=stride)
    places = [
        (slice(top, top + size), slice(left, left + size))
        for top in range(0, OH * stride, stride)
        for left in range(0, OW * stride, stride)
    ]
    data = x.data
    windows = np.stack([data[:, :, rows, columns] for rows, columns in places], axis=1)  # (N, OH OW, C, …)

    def backward(dy: Array) -> Array:
        dy = dy.reshape(N, OH * OW, C, size, size)
        dx = np.zeros_like(dy, shape=(N, C, H, W))
        for i, (rows, columns) in enumerate(places):
            dx[:, :, rows, columns] += dy[:, i]
        return dx

    return record(windows.reshape(N * OH * OW, C, size, size), [x], backward)


@traced
def flatten(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C H W). Backward: the old shape again.

    >>> flatten(Tensor(np.zeros((2, 3, 4, 4)))).shape
    (2, 48)
    """
    shape = x.shape
    return record(x.data.reshape(shape[0], math.prod(shape[1:])), [x], lambda dy: dy.reshape(shape))


@traced
def windows_to_maps(y: Tensor, N: int, size: Pair) -> Tensor:
    """(N OH OW, K) to (N, K, OH, OW). Backward: the way back."""
    OH, OW = size
    K = y.shape[1]
    moved: Any = np.moveaxis(y.data.reshape(N, OH, OW, K), 3, 1)
    return record(moved.copy(), [y], lambda dy: np.moveaxis(dy, 1, 3).reshape(N * OH * OW, K))
