"""Adam and AdamW: each weight gets a step size of its own."""

import math
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.optim.optimizer import Optimizer, Parameters
from minisegnet.optim.schedules import at_least_zero


class Adam(Optimizer):
    r"""Divide a running mean of the gradient by the root of a running mean of its square.

    .. math::
        g &= \nabla L(w) + \lambda w \\
        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
        w &\leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon}, \qquad
        \hat m = \frac{m}{1 - \beta_1^t}, \quad \hat v = \frac{v}{1 - \beta_2^t}

    Where gradients agree, a weight moves by about :math:`\eta` a step, however large or small they are; where they
    are noisy, by less. Both means start at 0, so that the first ones are too small; the division by
    :math:`1 - \beta^t` makes up for it exactly. t counts the updates of each parameter.

    Parameters
    ----------
    parameters
        Tensors, (name, tensor) pairs, or groups of them with settings of their own; see :class:`Optimizer`.
    lr
        Learning rate :math:`\eta`.
    betas
        What the two means keep from step to step, :math:`\beta_1` and :math:`\beta_2`.
    eps
        Keeps the division from 0 where all gradients were 0, :math:`\epsilon`.
    weight_decay
        Pull :math:`\lambda` of the weights towards 0, added to the gradient. It is divided by the root, too, and
        so pulls weights with large gradients less; :class:`AdamW` is meant to cure that.

    Notes
    -----
    PyTorch's ``torch.optim.Adam``. The slots are ``exp_avg`` (m) and ``exp_avg_sq`` (v).

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1.

    Examples
    --------
    The first step is of length lr along each axis, whatever the gradient's size:

    >>> from minisegnet import Tensor
    >>> w = Tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> w.grad = np.array([1000.0, -0.001])
    >>> optimizer.step()
    >>> w.data.round(3)
    array([0.9, 1.1])
    """

    _slot_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _checked_options(self, options: dict[str, Any]) -> dict[str, Any]:
        who = type(self).__name__
        checked: dict[str, Any] = {
            name: at_least_zero(options[name], name, who) for name in ("lr", "eps", "weight_decay")
        }
        betas = options["betas"]
        if not (isinstance(betas, tuple | list) and len(betas) == 2):
            raise TypeError(f"{who}: betas is {betas!r}; expected a pair of numbers such as (0.9, 0.999)")
        checked["betas"] = tuple(checks.number(b, f"betas[{i}]", who) for i, b in enumerate(betas))
        if not all(0 <= b < 1 for b in checked["betas"]):
            raise ValueError(
                f"{who}: betas is {checked['betas']}; expected two numbers from 0 up to but not 1, such as "
                "(0.9, 0.999)"
            )
        return checked

    def _update(self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any]) -> None:
        if options["weight_decay"]:
            grad = grad + options["weight_decay"] * data  # a new array: the parameter's .grad stays as it is
        _adam_update(data, grad, slots, options)

    _decoupled = False  # whether the decay is taken out of the gradient

    def _update_on_device(
        self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any], control: Any
    ) -> None:
        from minisegnet.backends.cupy.update import adam_update

        mean, square = _slots(data, slots)
        adam_update(data, grad, mean, square, control, options, decoupled=self._decoupled)


class AdamW(Adam):
    r"""Adam with its weight decay taken out of the gradient.

    .. math::
        w &\leftarrow (1 - \eta \lambda)\, w \\
        w &\leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    with the means of :class:`Adam` over the plain gradient. The decay now pulls all weights alike.

    Parameters
    ----------
    parameters, lr, betas, eps
        As for :class:`Adam`.
    weight_decay
        Pull :math:`\lambda` of the weights towards 0 in units of the learning rate.

    Notes
    -----
    PyTorch's ``torch.optim.AdamW``.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2.

    Examples
    --------
    A weight without a gradient of the loss only decays:

    >>> from minisegnet import Tensor
    >>> w = Tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.grad = np.array([0.0, 7.0])
    >>> optimizer.step()
    >>> w.data.round(3)
    array([0.95, 0.85])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    _decoupled = True

    def _update(self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any]) -> None:
        data *= 1 - options["lr"] * options["weight_decay"]
        _adam_update(data, grad, slots, options)


def _adam_update(data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any]) -> None:
    beta1, beta2 = options["betas"]
    mean, square = _slots(data, slots)
    mean *= beta1
    mean += (1 - beta1) * grad
    square *= beta2
    square += (1 - beta2) * grad * grad

    # The corrections of the means are plain numbers, so they cost nothing here: m / (1 - beta1^t) becomes
    # part of the learning rate.
    correction1, correction2 = 1 - beta1 ** slots["step"], 1 - beta2 ** slots["step"]
    denominator = np.sqrt(square)
    denominator /= math.sqrt(correction2)
    denominator += options["eps"]
    data -= (options["lr"] / correction1) * mean / denominator


def _slots(data: Array, slots: dict[str, Any]) -> tuple[Array, Array]:
    """Return the two means, which are 0 before the first update."""
    if "exp_avg" not in slots:
        slots["exp_avg"], slots["exp_avg_sq"] = np.zeros_like(data), np.zeros_like(data)
    return slots["exp_avg"], slots["exp_avg_sq"]
