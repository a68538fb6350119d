"""Dropout, and the step that its random bits depend on."""

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.nn.module import Module
from minisegnet.sizes import as_int


class Dropout(Module):
    """Dropout in training, nothing in evaluation.

    The random bits are a function of ``(seed, step, layer)``. Seed and layer number are given when the model is
    created; the step moves on with every forward in training, and a training loop may set it
    (``set_step``), so that a resumed run drops what it would have dropped.

    >>> import numpy as np
    >>> dropout = Dropout(0.5)
    >>> first = dropout(np.ones(8)).data
    >>> set_step(dropout, 0)
    >>> np.array_equal(dropout(np.ones(8)).data, first)
    True
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; expected a probability from 0 to 1")
        settings = init.creation()
        self.p, self.seed, self.layer, self.step = p, settings.seed, settings.dropouts, 0
        settings.dropouts += 1

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        if not self.training or self.p == 0:
            return x
        y, _ = functional.dropout(x, self.p, key=(self.seed, self.step, self.layer))
        self.step += 1
        return y


def set_step(model: Module, step: int) -> None:
    """Set the step of every dropout in a model."""
    step = as_int(step, "step", 0)
    for _, module in model.named_modules():
        if isinstance(module, Dropout):
            module.step = step
