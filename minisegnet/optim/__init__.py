"""How gradients become better weights: optimisers, schedules of the learning rate, gradient clipping.

One step of training, with a learning rate that follows a schedule:

>>> import numpy as np
>>> from minisegnet import Tensor
>>> w = Tensor(np.array([[4.0]]), requires_grad=True)
>>> optimizer = SGD([w], lr=0.1, momentum=0.9)
>>> schedule = warmup(poly(0.1, total=100), steps=5)
>>> optimizer.lr = schedule(0)
>>> optimizer.zero_grad()
>>> (2 * w).backward()                 # the loss is 2 w
>>> norm = clip_gradients([w], max_norm=1.0)
>>> norm                               # before clipping
2.0
>>> optimizer.step()
>>> w.data.round(3)                    # 4 - 0.1 / 5 * 1
array([[3.98]])

Optimisers, their arguments and their formulas are those of ``torch.optim``.
"""

from minisegnet.optim.adam import Adam, AdamW
from minisegnet.optim.clip import clip_gradients
from minisegnet.optim.optimizer import Optimizer
from minisegnet.optim.schedules import Schedule, constant, cosine, poly, step, warmup
from minisegnet.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "Schedule",
    "clip_gradients",
    "constant",
    "cosine",
    "poly",
    "step",
    "warmup",
]
