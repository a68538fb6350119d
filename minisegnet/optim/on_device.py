"""Updates on a GPU that the host doesn't wait for: rate, counts and the verdict about a step lie on the device.

In a training on the CPU the host looks at each loss, cuts the gradients down, and makes the step or doesn't. On a GPU
each look would wait until the device has done all its work, and the device would then wait for new work. So here the
device decides: a kernel measures the gradients and finds whether loss and gradients are finite, and the kernels that
update the weights do nothing where they aren't, from that step on. The host looks when it likes.
"""

from collections.abc import Sequence

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.backends.cupy import update
from minisegnet.ops.dispatch import array_module, is_cupy
from minisegnet.optim.optimizer import Optimizer


class OnDevice:
    """An optimiser's updates, decided on the device.

    Parameters
    ----------
    optimizer
        Its parameters lie on the GPU. Their counts are those of the device from here on; ``fetch_counts`` brings them
        back.
    clip
        The length that the gradients are cut down to; infinity: not at all.

    Attributes
    ----------
    row
        (3,), float64, on the device: loss, length of the gradients before they are cut, and 1 where this or an earlier
        step was not made.
    """

    def __init__(self, optimizer: Optimizer, clip: float) -> None:
        self.optimizer, self.clip = optimizer, clip
        parameters = [tensor for group in optimizer.param_groups for tensor in group["params"]]
        self.like: Array = parameters[0].data
        xp = self.xp = array_module(self.like)
        counts = optimizer.update_counts
        self.numbers = {name: number for number, name in enumerate(counts)}
        self.counts: Array = xp.asarray(np.array(list(counts.values()), np.int64))
        self.rates: Array = xp.zeros(len(optimizer.param_groups), np.float64)
        self.factor: Array = xp.ones(1, np.float64)
        self.halted: Array = xp.zeros(1, np.int32)
        self.row: Array = xp.zeros(3, np.float64)
        self._updated: dict[tuple[str, ...], Array] = {}

    def set_rates(self) -> None:
        """Bring the groups' learning rates to the device."""
        for number, group in enumerate(self.optimizer.param_groups):
            self.rates[number : number + 1].fill(group["lr"])

    def step(self, loss: Tensor, buffers: Sequence[tuple[Tensor, Array]]) -> None:
        """Judge a step by its loss and the gradients; make it, or halt.

        Parameters
        ----------
        loss
            Of this step; ``backward`` has been called.
        buffers
            The model's buffers and the arrays that they had before the step. These get the new values, and stay the
            buffers' arrays.
        """
        named = [t for group in self.optimizer.param_groups for t in group["params"] if t.grad is not None]
        gradients = [_in_order(tensor.grad) for tensor in named]
        update.judge(loss.data, gradients, self.clip, row=self.row, factor=self.factor, halted=self.halted)
        updated = tuple(self.optimizer.step_on_device(self._control))
        if updated not in self._updated:
            counted = np.array([name in updated for name in self.numbers], np.uint8)
            self._updated[updated] = self.xp.asarray(counted)
        update.count_updates(self.counts, self._updated[updated], self.halted, like=self.like)
        for buffer, old in buffers:
            if buffer.data is not old:
                update.take_over(old, _in_order(buffer.data), self.halted)
                buffer.data = old

    def _control(self, group: int, name: str) -> update.Control:
        number = self.numbers[name]
        return update.Control(
            self.rates[group : group + 1], self.counts[number : number + 1], self.factor, self.halted
        )

    def fetch_counts(self) -> None:
        """Tell the optimiser how often each parameter was updated. This waits for the device."""
        # Not to_numpy, which also raises for what kernels have found: that is told by who made the step.
        counts: Array = self.counts.get() if is_cupy(self.counts) else self.counts  # type: ignore[attr-defined]
        self.optimizer.update_counts = dict(zip(self.numbers, counts.tolist(), strict=True))


def _in_order(array: Array | None) -> Array:
    """Return the array in C order, as kernels want it."""
    assert array is not None
    return array if array.flags.c_contiguous else array.copy(order="C")
