r"""What a training loop minimises: cross-entropy, Dice, focal, Tversky, Lovász-softmax, and weighted sums of them.

>>> import numpy as np
>>> from minisegnet import Tensor
>>> logits = Tensor(np.log([[3.0, 1.0], [1.0, 1.0], [1.0, 9.0]]), requires_grad=True)  # (N, C) or (N, C, H, W)
>>> loss = build("ce + 0.5*dice", ignore_index=255)
>>> y = loss(logits, np.array([0, 1, 255]))
>>> y.backward()
>>> y.item() > 0, bool(logits.grad[2].any())  # the third pixel is ignored
(True, False)

Each loss takes scores and integer labels and gives a Tensor without axes. Cross-entropy and focal judge every pixel
for itself; in focal the easy ones count less. Dice, Tversky and Lovász-softmax judge each class as one region of the
whole batch, so that a small class weighs as much as a large one.

What the losses have in common:

- ``ignore_index`` is the label of pixels that don't count: whatever their scores are (NaN, too), they touch nothing.
- ``weight`` (C,) weighs classes, ``pixel_weight`` (target's shape) weighs pixels. A pixel of weight 2 counts as if
  it were there twice (but for the mean of ``bce``, which divides by the number of answers, not by their weights).
- Where nothing counts (everything is ignored, or the batch is empty), the loss is 0 and so is the gradient.

Each file has two floors. ``dice_loss`` and ``dice_loss_backward`` are the arithmetic, arrays in and arrays out, written
once for NumPy and CuPy; ``dice`` calls the first and records the second on the tape. ``cross_entropy`` and ``bce`` have
their arithmetic in :mod:`minisegnet.ops`.
"""

from minisegnet.losses.bce import bce
from minisegnet.losses.build import LOSSES, Loss, WeightedSum, build, names
from minisegnet.losses.common import CLASSES, module_of
from minisegnet.losses.cross_entropy import cross_entropy
from minisegnet.losses.dice import dice, dice_loss, dice_loss_backward
from minisegnet.losses.focal import focal, focal_loss, focal_loss_backward
from minisegnet.losses.lovasz import lovasz_softmax, lovasz_softmax_loss, lovasz_softmax_loss_backward
from minisegnet.losses.tversky import tversky, tversky_loss, tversky_loss_backward

__all__ = [
    "CLASSES",
    "LOSSES",
    "Loss",
    "WeightedSum",
    "bce",
    "build",
    "cross_entropy",
    "dice",
    "dice_loss",
    "dice_loss_backward",
    "focal",
    "focal_loss",
    "focal_loss_backward",
    "lovasz_softmax",
    "lovasz_softmax_loss",
    "lovasz_softmax_loss_backward",
    "module_of",
    "names",
    "tversky",
    "tversky_loss",
    "tversky_loss_backward",
]
