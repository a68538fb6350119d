"""The training that a learner's kernels are tried on: the demo's shapes and networks, in several sizes."""

import math
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minisegnet import losses, metrics, models, optim
from minisegnet.arrays import Array
from minisegnet.autograd import no_grad
from minisegnet.data.synthetic import Synthetic
from minisegnet.data.synthetic.drawing import SMALLEST
from minisegnet.optim import clip_gradients

TRAINING, TEST = 64, 16  # pictures
LR, CLIP = 0.006, 5.0


class Rung(NamedTuple):
    """One size of the training. The higher, the more it costs and the more there is to learn."""

    size: int
    width: int
    depth: int | None
    batch: int
    classes: int
    least: int  # steps: with fewer, a smaller size learns more

    @property
    def work(self) -> int:
        """How much there is to compute in a step, beside other rungs of the same model."""
        return self.size**2 * self.width**2 * self.batch


# On pictures below 64 a star looks like a circle. There all shapes are one class, "object".
LADDERS = {
    "unet": (
        Rung(8, 1, 1, 2, 2, 1),
        Rung(16, 2, 1, 2, 2, 60),
        Rung(16, 4, 1, 4, 2, 100),
        Rung(32, 4, 2, 4, 2, 100),
        Rung(32, 8, 2, 8, 2, 150),
        Rung(64, 8, 3, 8, 5, 600),
    ),
    "segnet": (Rung(32, 2, None, 2, 2, 1), Rung(32, 4, None, 4, 2, 150), Rung(64, 8, None, 8, 5, 600)),
    "fcn8s": (Rung(32, 2, None, 2, 2, 1), Rung(32, 4, None, 4, 2, 150), Rung(64, 8, None, 8, 5, 600)),
}
MOST = 1000  # steps, as many as the demo's

# The ops that each of them calls, apart from dropout, which is no lesson's. Their backwards are called, too, but not
# that of pad2d: FCN pads the picture itself, and nobody asks for the picture's gradient.
CALLED = {
    "unet": "conv2d conv_transpose2d max_pool2d batch_norm relu concat softmax_cross_entropy",
    "segnet": "conv2d max_pool2d max_unpool2d batch_norm relu softmax_cross_entropy",
    "fcn8s": "conv2d conv_transpose2d max_pool2d batch_norm relu add crop2d pad2d softmax_cross_entropy",
}


def called_by(model: str) -> frozenset[str]:
    """Name the kernels that a model's training calls.

    >>> sorted(called_by("unet") - called_by("segnet"))
    ['concat', 'concat_backward', 'conv_transpose2d', 'conv_transpose2d_backward']
    """
    forward = CALLED[model].split()
    return frozenset([*forward, *(f"{op}_backward" for op in forward if op != "pad2d")])


def choose_model(kernels: Collection[str]) -> str | None:
    """Choose the model that calls most of these kernels; None where none calls any.

    >>> choose_model(["conv2d"]), choose_model(["max_pool2d", "max_unpool2d"]), choose_model(["roi_pool"])
    ('unet', 'segnet', None)
    """
    best = max(LADDERS, key=lambda model: len(called_by(model) & set(kernels)))  # of equals the first
    return best if called_by(best) & set(kernels) else None


class Training:
    """A network, pictures and an optimiser: the same for the same rung, whoever computes."""

    def __init__(self, model: str, rung: Rung, steps: int) -> None:
        depth: dict[str, Any] = {} if rung.depth is None else {"depth": rung.depth}
        self.rung = rung
        self.model: Any = models.build(model, classes=rung.classes, width=rung.width, **depth)
        self.images, self.labels = pictures("train", TRAINING, rung)
        pictures("test", TEST, rung)  # now, while nobody measures
        self.loss_of = losses.build("ce")
        self.optimizer = optim.Adam(self.model.parameters(), lr=LR)
        self.schedule = optim.cosine(LR, max(steps, 1))
        self.done = 0
        self._rng = np.random.default_rng(0)

    def step(self) -> float:
        """Make one step; return the loss."""
        chosen = self._rng.integers(0, TRAINING, self.rung.batch)
        self.model.train()
        self.optimizer.lr = self.schedule(self.done)
        self.optimizer.zero_grad()
        loss = self.loss_of(self.model(self.images[chosen]), self.labels[chosen])
        loss.backward()
        clip_gradients(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.done += 1
        return float(loss.item())

    def miou(self) -> float:
        """Measure the mean IoU on pictures that it wasn't trained on."""
        images, labels = pictures("test", TEST, self.rung)
        evaluation = metrics.Evaluation(self.rung.classes)
        self.model.eval()
        with no_grad():
            for i in range(0, TEST, self.rung.batch):
                found = self.model(images[i : i + self.rung.batch]).data.argmax(axis=1)  # (N, H, W)
                for target, predicted in zip(labels[i : i + self.rung.batch], found, strict=True):
                    evaluation.add(target, predicted)
        return float(evaluation.report().miou)


@lru_cache(maxsize=4)  # both trainings see the same ones
def pictures(split: str, count: int, rung: Rung) -> tuple[Array, Array]:
    """Draw pictures (count, 3, H, W), about 0 and 1 apart, and their labels (count, H, W)."""
    drawn = max(rung.size, SMALLEST)
    factor = math.ceil(drawn / rung.size)  # smaller ones can't be drawn: blocks of pixels become one
    dataset = Synthetic("shapes", split=split, count=count, size=rung.size * factor)
    images, labels = [], []
    for sample in dataset:
        assert sample.labels is not None
        blocks = (rung.size, factor, rung.size, factor)
        images.append(sample.image.reshape(*blocks, 3).mean(axis=(1, 3)))  # (H, W, 3)
        middle = sample.labels[factor // 2 :: factor, factor // 2 :: factor]  # (H, W)
        labels.append(middle if rung.classes > 2 else middle > 0)
    x = np.stack(images).transpose(0, 3, 1, 2) / 127.5 - 1  # (N, 3, H, W)
    return np.ascontiguousarray(x, np.float32), np.stack(labels).astype(np.int64)
