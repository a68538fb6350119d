"""FCN-32s, FCN-16s, FCN-8s: a classifier's dense layers become convolutions, and score maps are added up."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from minisegnet import functional, nn
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.models.checks import check_pictures
from minisegnet.models.geometry import layers_of
from minisegnet.models.vgg import VGG, VGG16
from minisegnet.nn import init
from minisegnet.ops.dispatch import to_backend
from minisegnet.sizes import (
    IntOrPair,
    Layer,
    Pair,
    as_pair,
    conv2d_size,
    conv_transpose2d_size,
    crop2d_start,
    pad2d_size,
)

STRIDE = 32  # five poolings: one score of the deepest map stands for 32 x 32 pixels
PAPER_MARGIN = 99  # the paper's first convolution pads by 100, of which a 3x3 kernel uses up one itself

Model = TypeVar("Model", bound="FCN32s")


class FCN32s(nn.Module):
    """FCN-32s: one coarse score map, made 32 times larger. FCN-16s and FCN-8s add skips to it.

    A fully convolutional network (완전 합성곱 신경망, FCN) has no dense layer, so that a picture of any size goes
    in and a map of scores comes out::

        x -- pad -- VGG --> pool3        pool4        pool5
                              |            |            | fc6: 7x7, ReLU, dropout
                              |            |            | fc7: 1x1, ReLU, dropout
                              |            |            | score_fr: 1x1
                              |            |            +--------------- 32x --> crop  FCN-32s
                              |       score_pool4       | upscore2: 2x
                              |            +----- + ----+
                              |                   +--------------------- 16x --> crop  FCN-16s
                         score_pool3              | upscore_pool4: 2x
                              +-------- + --------+
                                        +-------------------------------- 8x --> crop  FCN-8s

    Skips (스킵 연결) bring fine detail: pool4 has a score for every 16 pixels, pool3 for every 8. Score maps are
    *added*, not put side by side. The doublings are transposed convolutions that start as bilinear interpolation and
    are learned. The last enlargement stays bilinear: its weight is a Buffer, which is saved with the model but is no
    parameter, so that no optimiser ever sees it.

    Any input size will do. The picture is padded with zeros, as much above as below and as much left as right, until
    all five poolings come out even (one odd row or column may be left over; the poolings let it stand alone). So every
    crop is central, and nothing shifts.

    - ``padding="same"``: no more padding than that, at most 15 pixels. fc6 pads its map by 3, and the transposed
      convolutions cut off their margin. Cheap on small pictures.
    - ``padding="paper"``: at least the paper's margin; fc6 and the transposed convolutions run without padding,
      and the crop takes off what is left. Where the height and width plus 198 are divisible by 32, or one less, it
      is the paper's network to the pixel; elsewhere up to 15 pixels more than 100 are padded on each side.

    Faithful: with ``width=64, fc_channels=4096, norm=None, padding="paper"`` it is the paper's network on VGG16,
    134,346,581 parameters for 21 classes; all score layers start at zero.
    Simplified: small width; BatchNorm by default, because small models start from nothing instead of from
    ImageNet's weights. The authors' later code holds the doublings fixed as well, as we recall it.

    J. Long, E. Shelhamer and T. Darrell, "Fully convolutional networks for semantic segmentation" (2015),
    sections 3 and 4.

    Parameters
    ----------
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of the backbone's first level.
    fc_channels
        Channels of fc6 and fc7; None: 8 times ``width``.
    convolutions
        How many convolutions each of the five levels has.
    norm
        "batch" or None, for the backbone.
    dropout
        Probability of dropping an element after fc6 and after fc7.
    padding
        "same" or "paper", see above.
    stepwise
        Enlarge by 2, 2 and 8, as FCN-8s does, with however many skips. Then adding a skip changes no bit of the
        output. Without it (the paper's way), FCN-32s enlarges by 32 at once and FCN-16s by 2 and then by 16, which
        is nearly but not quite the same.

    Examples
    --------
    >>> model = FCN32s(3, 2, width=2)
    >>> model(np.zeros((1, 3, 64, 75), np.float32)).shape
    (1, 2, 64, 75)
    >>> model.padding_for((64, 75))  # 75 + 2 * 10 is 95, and the poolings round it up to 96
    (0, 10)
    """

    skips = 0

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 8,
        fc_channels: int | None = None,
        convolutions: Sequence[int] = VGG16,
        norm: str | None = "batch",
        dropout: float = 0.5,
        padding: str = "same",
        stepwise: bool = False,
    ) -> None:
        if len(convolutions) != 5:
            raise ValueError(f"convolutions is {convolutions!r}; FCN needs five levels: pool1 to pool5")
        if padding not in ("same", "paper"):
            raise ValueError(f"padding is {padding!r}; expected 'same' or 'paper'")
        fc_channels = 8 * width if fc_channels is None else fc_channels
        self.in_channels, self.classes, self.width = in_channels, classes, width
        self.padding, self.doublings = padding, 2 if stepwise else self.skips
        self.options: dict[str, Any] = {
            "width": width,
            "fc_channels": fc_channels,
            "convolutions": tuple(convolutions),
            "norm": norm,
            "dropout": dropout,
            "padding": padding,
            "stepwise": stepwise,
        }
        same = padding == "same"

        self.backbone = VGG(in_channels, width=width, convolutions=convolutions, norm=norm)
        _, _, pool3, pool4, pool5 = self.backbone.channels
        self.fc6 = nn.Conv2d(pool5, fc_channels, 7, padding=3 if same else 0)
        self.relu6, self.drop6 = nn.ReLU(), nn.Dropout(dropout)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.relu7, self.drop7 = nn.ReLU(), nn.Dropout(dropout)
        self.score_fr = _zero_scores(fc_channels, classes)
        if self.doublings > 0:
            self.upscore2 = _bilinear_doubling(classes, same)
        if self.skips > 0:
            self.score_pool4 = _zero_scores(pool4, classes)
        if self.doublings > 1:
            self.upscore_pool4 = _bilinear_doubling(classes, same)
        if self.skips > 1:
            self.score_pool3 = _zero_scores(pool3, classes)
        self.upscore = FixedUpsampling(classes, STRIDE // 2**self.doublings, same)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to scores (N, classes, H, W)."""
        check_pictures(x, self.in_channels)
        size = x.shape[2], x.shape[3]
        x = functional.pad2d(x, self.padding_for(size))
        _, _, pool3, pool4, pool5 = self.backbone(x)  # 1/8, 1/16, 1/32 of the size
        scores = self.coarse_scores(pool5)  # (N, classes, 1/32)
        if self.doublings > 0:
            scores = self.upscore2(scores)  # (N, classes, 1/16)
        if self.skips > 0:
            scores = scores + functional.crop2d(self.score_pool4(pool4), scores.shape[2:])
        if self.doublings > 1:
            scores = self.upscore_pool4(scores)  # (N, classes, 1/8)
        if self.skips > 1:
            scores = scores + functional.crop2d(self.score_pool3(pool3), scores.shape[2:])
        return functional.crop2d(self.upscore(scores), size)  # (N, classes, H, W)

    def coarse_scores(self, pool5: Tensor) -> Tensor:
        """Scores of the deepest map: what were a classifier's dense layers, at every place."""
        y = pool5
        for layer in nn.in_turn((self.fc6, self.relu6, self.drop6, self.fc7, self.relu7, self.drop7)):
            y = layer(y)  # (N, fc_channels, h, w), 6 less without padding
        scores: Tensor = self.score_fr(y)  # (N, classes, h, w)
        return scores

    # Sizes

    def padding_for(self, size: IntOrPair) -> Pair:
        """How much is padded above and below, and left and right, of an input of this size."""
        margin = 0 if self.padding == "same" else PAPER_MARGIN
        H, W = as_pair(size, "size", 1)
        # The poolings round up to a multiple of 32. Half of what that adds goes to each side.
        ph, pw = ((-(-(n + 2 * margin) // STRIDE) * STRIDE - n) // 2 for n in (H, W))
        return ph, pw

    def output_size(self, size: IntOrPair) -> Pair:
        """Size of the scores: that of the input, whatever it is."""
        crop2d_start(self.level_sizes(size)[-1], size)  # the crop fits
        return as_pair(size, "size", 1)

    def level_sizes(self, size: IntOrPair) -> list[Pair]:
        """Sizes of the padded picture, the five poolings, the scores, each enlargement.

        >>> with nn.creating(initialise=False):
        ...     model = FCN8s(3, 21, padding="paper")
        >>> [h for h, w in model.level_sizes(500)]  # 500 + 2 * 102; the crop takes 500 of 568
        [704, 352, 176, 88, 44, 22, 16, 34, 70, 568]
        """
        sizes = [pad2d_size(size, self.padding_for(size))]
        sizes += self.backbone.level_sizes(sizes[0])
        same = self.padding == "same"
        sizes.append(conv2d_size(sizes[-1], 7, padding=3 if same else 0))
        for factor in self._factors():
            cut = factor // 2 if same else 0
            sizes.append(conv_transpose2d_size(sizes[-1], 2 * factor, stride=factor, padding=cut))
        return sizes

    def layers(self) -> list[Layer]:
        """List the layers of the longest path, through fc6 and all enlargements, for the functions of ``sizes``.

        They are those of a picture whose sides are multiples of 32. The padding comes first, as a 1x1 layer, and the
        crop last, as a transposed one, whose padding cuts. What the skips see lies within what this path sees.

        >>> from minisegnet.sizes import receptive_field
        >>> layers = FCN32s(3, 2, width=1).layers()
        >>> receptive_field(layers[:-2]).size  # a coarse score; a label mixes two of them, 32 pixels apart
        (404, 404)
        >>> receptive_field(layers).size
        (436, 436)
        """
        pad, crop = self.padding_for(STRIDE), crop2d_start(self.level_sizes(STRIDE)[-1], STRIDE)
        layers = [Layer(1, padding=pad), *self.backbone.layers()]
        layers += layers_of(self.fc6, self.fc7, self.score_fr)
        for factor in self._factors():
            cut = factor // 2 if self.padding == "same" else 0
            layers.append(Layer(2 * factor, factor, cut, transposed=True))
        return [*layers, Layer(1, padding=crop, transposed=True)]

    def _factors(self) -> list[int]:
        """List how many times larger each enlargement makes its map."""
        return [2] * self.doublings + [STRIDE // 2**self.doublings]

    # Staged training

    @classmethod
    def _with_weights_of(cls: type[Model], model: "FCN32s", expected: "type[FCN32s]") -> Model:
        """Build this kind of model around the weights of one with fewer skips."""
        if type(model) is not expected:
            raise TypeError(f"got a {type(model).__name__}; expected a trained {expected.__name__}")
        with nn.creating(dtype=model.fc6.weight.dtype, seed=model.drop6.seed):
            skipped = cls(model.in_channels, model.classes, **model.options)
        state = model.state_dict()
        del state["upscore.weight"]  # fixed, and of another size
        skipped.load_state_dict(state, strict=False)
        skipped.train(model.training)
        return skipped


class FCN16s(FCN32s):
    """FCN-16s: doubles the coarse scores, adds those of pool4, and enlarges 16 times.

    The figure, the options and the sizes are told at :class:`FCN32s`. 134,364,410 parameters at the paper's size.

    Examples
    --------
    >>> coarse = FCN32s(3, 2, width=2)
    >>> model = FCN16s.from_fcn32s(coarse)
    >>> bool((model.fc6.weight.data == coarse.fc6.weight.data).all()), bool(model.score_pool4.weight.data.any())
    (True, False)
    """

    skips = 1

    @classmethod
    def from_fcn32s(cls, model: FCN32s) -> "FCN16s":
        """Go on from a trained FCN-32s (section 4.2).

        All weights are copied. The new skip's scores are zero, and 2x starts as bilinear interpolation: the output is
        FCN-32s's coarse scores, enlarged by 2 and then by 16. Make a new optimiser for the new model.
        """
        return cls._with_weights_of(model, FCN32s)


class FCN8s(FCN16s):
    """FCN-8s: as FCN-16s, then doubles again, adds the scores of pool3, and enlarges 8 times.

    The figure, the options and the sizes are told at :class:`FCN32s`. 134,376,863 parameters at the paper's size.

    Examples
    --------
    >>> model = FCN8s.from_fcn16s(FCN16s(3, 2, width=2))
    >>> [name for name, module in model.named_children() if "score" in name]
    ['score_fr', 'upscore2', 'score_pool4', 'upscore_pool4', 'score_pool3', 'upscore']
    """

    skips = 2

    @classmethod
    def from_fcn16s(cls, model: FCN16s) -> "FCN8s":
        """Go on from a trained FCN-16s: the output starts as its fused scores, enlarged by 2 and then by 8."""
        return cls._with_weights_of(model, FCN16s)


# ---------------------------------------------------------------------------------------------------------
# The parts


class FixedUpsampling(nn.Module):
    """Bilinear enlargement as a transposed convolution that isn't learned.

    The weight (classes, 1, 2s, 2s) is a Buffer: it is in the state dict but not among the parameters. Each class is
    enlarged by itself (``groups``). Away from the border this is ``resize_bilinear``; at the border the result is
    too small, because beyond it nothing is mixed in.
    """

    def __init__(self, classes: int, factor: int, same: bool) -> None:
        one: Array = init.bilinear((1, 1, 2 * factor, 2 * factor))
        weight = np.repeat(one, classes, axis=0).astype(init.creation().dtype)
        self.weight = nn.Buffer(to_backend(weight))
        self.classes, self.factor, self.cut = classes, factor, factor // 2 if same else 0

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes, h, w) to ``factor`` times the size, and a margin where it isn't cut off."""
        return functional.conv_transpose2d(
            x, self.weight, stride=self.factor, padding=self.cut, groups=self.classes
        )


def _bilinear_doubling(classes: int, same: bool) -> nn.ConvTranspose2d:
    """Make a learned transposed convolution that starts as bilinear interpolation, each class by itself."""
    layer = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1 if same else 0, bias=False)
    layer.weight = nn.Parameter(init.new_weight(layer.weight.shape, lambda shape, _: init.bilinear(shape)))
    return layer


def _zero_scores(channels: int, classes: int) -> nn.Conv2d:
    """Make a 1x1 convolution that starts by scoring everything 0."""
    layer = nn.Conv2d(channels, classes, 1)
    layer.weight = nn.Parameter(init.new_constant(layer.weight.shape, 0))
    return layer
