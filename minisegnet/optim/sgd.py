"""Stochastic gradient descent, with momentum."""

from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.optim.optimizer import Optimizer, Parameters
from minisegnet.optim.schedules import at_least_zero


class SGD(Optimizer):
    r"""Go downhill: a small step against the gradient, with momentum if wanted.

    .. math::
        g &= \nabla L(w) + \lambda w \\
        b &\leftarrow \mu\, b + (1 - \tau)\, g \qquad \text{(the first time: } b \leftarrow g\text{)} \\
        w &\leftarrow w - \eta \cdot \begin{cases}
            b & \text{momentum} \\ g + \mu\, b & \text{Nesterov's} \\ g & \mu = 0 \end{cases}

    A ball that rolls downhill: in the buffer b, gradients that agree add up to a speed of up to
    :math:`1 / (1 - \mu)` gradients, and those that swing from side to side cancel. Nesterov's momentum looks one
    step ahead.

    Parameters
    ----------
    parameters
        Tensors, (name, tensor) pairs, or groups of them with settings of their own; see :class:`Optimizer`.
    lr
        Learning rate :math:`\eta`.
    momentum
        What the speed keeps from step to step, :math:`\mu`; often 0.9. 0 keeps no buffer.
    dampening
        The part :math:`\tau` of the gradient that doesn't enter the buffer.
    weight_decay
        Pull :math:`\lambda` of the weights towards 0, added to the gradient.
    nesterov
        Whether to use Nesterov's momentum. It needs momentum and no dampening.

    Notes
    -----
    PyTorch's ``torch.optim.SGD``. Sutskever et al. write the learning rate inside of b; the two agree as long as
    it doesn't change.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. Sutskever et al., "On the
    importance of initialization and momentum in deep learning", 2013, section 2 (Nesterov's).

    Examples
    --------
    Two steps down the bowl w²/2, whose gradient is w:

    >>> from minisegnet import Tensor
    >>> w = Tensor(np.array([1.0, -2.0]), requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     w.grad = w.data.copy()         # as loss.backward() would leave it
    ...     optimizer.step()
    >>> w.data                             # 1 - 0.1 * 1 = 0.9, then 0.9 - 0.1 * (0.5 * 1 + 0.9)
    array([ 0.76, -1.52])
    """

    _slot_names = ("momentum_buffer",)
    _slots_are_optional = True  # without momentum there is no buffer

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening}
        super().__init__(parameters, options | {"weight_decay": weight_decay, "nesterov": nesterov})

    def _checked_options(self, options: dict[str, Any]) -> dict[str, Any]:
        checked = {
            "lr": at_least_zero(options["lr"], "lr", "SGD"),
            "momentum": at_least_zero(options["momentum"], "momentum", "SGD"),
            "dampening": checks.number(options["dampening"], "dampening", "SGD"),
            "weight_decay": at_least_zero(options["weight_decay"], "weight_decay", "SGD"),
            "nesterov": checks.flag(options["nesterov"], "nesterov", "SGD"),
        }
        if checked["nesterov"] and not (checked["momentum"] > 0 and checked["dampening"] == 0):
            raise ValueError(
                f"SGD: nesterov=True came with momentum={checked['momentum']} and "
                f"dampening={checked['dampening']}; it needs momentum above 0, such as 0.9, and no dampening"
            )
        return checked

    def _update(self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any]) -> None:
        lr, momentum = options["lr"], options["momentum"]
        if options["weight_decay"]:
            grad = grad + options["weight_decay"] * data  # a new array: the parameter's .grad stays as it is
        if momentum:
            buffer = slots.get("momentum_buffer")
            if buffer is None:
                buffer = slots["momentum_buffer"] = np.zeros_like(data)
                buffer += grad
            else:
                buffer *= momentum
                buffer += (1 - options["dampening"]) * grad if options["dampening"] else grad
            grad = grad + momentum * buffer if options["nesterov"] else buffer
        data -= lr * grad

    def _update_on_device(
        self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any], control: Any
    ) -> None:
        from minisegnet.backends.cupy.update import sgd_update

        if options["momentum"] and "momentum_buffer" not in slots:
            slots["momentum_buffer"] = np.zeros_like(data)
        buffer = slots["momentum_buffer"] if options["momentum"] else None
        sgd_update(data, grad, buffer, control, options)
