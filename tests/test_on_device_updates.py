"""The kernels that end a training step, run on the CPU: the same weights as the optimisers in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minisegnet import Tensor, nn, ops
from minisegnet.optim import SGD, Adam, AdamW, clip_gradients
from minisegnet.optim.on_device import OnDevice

pytestmark = pytest.mark.skipif(
    ops.why_not("cuda-on-cpu") is not None, reason=str(ops.why_not("cuda-on-cpu"))
)

MAKERS = {
    "adam": lambda p: Adam(p, lr=0.1, betas=(0.8, 0.95)),
    "adam, decay": lambda p: Adam(p, lr=0.1, weight_decay=0.2),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.3),
    "sgd": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.25, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
}


def gradients_of(generator, parameters, scale):
    return [scale * generator.normal(size=p.shape).astype(p.dtype) for p in parameters]


def by_numpy(optimizer, parameters, gradients, limit):
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else gradient.copy()
    norm = clip_gradients(parameters, limit)
    optimizer.step()
    return norm


def by_kernels(updates, parameters, gradients, loss=1.0, buffers=()):
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    updates.set_rates()
    updates.step(Tensor(np.array(loss, parameters[0].dtype)), buffers)
    return updates.row.tolist()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_and_lengths_are_those_of_numpy(name, dtype):
    @settings(max_examples=6)
    @given(
        st.lists(st.integers(0, 700), min_size=1, max_size=3),
        st.sampled_from([0.01, 1.0, np.inf]),
        st.integers(0, 9),
    )
    def check(sizes, limit, seed):
        generator = np.random.default_rng(seed)
        start = [generator.normal(size=n).astype(dtype) for n in sizes]
        ours, theirs = [[nn.Parameter(a.copy()) for a in start] for _ in range(2)]
        first, second = MAKERS[name](ours), MAKERS[name](theirs)
        updates = OnDevice(first, limit)
        for step in range(3):
            gradients = gradients_of(generator, ours, 10.0 ** (step - 1))
            if step == 1 and len(sizes) > 1:
                gradients[0] = None  # it isn't updated, and not counted
            first.lr = second.lr = 0.1 / (step + 1)
            norm = by_numpy(second, theirs, gradients, limit)
            assert by_kernels(updates, ours, gradients) == pytest.approx([1.0, norm, 0.0], rel=1e-12)
        tolerance = 1e-6 if dtype == np.float32 else 1e-14
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=10 * tolerance, atol=tolerance)
        updates.fetch_counts()
        assert first.update_counts == second.update_counts

    check()


@pytest.mark.parametrize(("gradient", "loss"), [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan), (1.0, -np.inf)])
def test_after_an_unsound_step_nothing_moves(gradient, loss):
    parameter, buffer = nn.Parameter(np.array([1.0, 2.0])), Tensor(np.array([3.0]))
    updates = OnDevice(Adam([parameter], lr=0.1), np.inf)

    def step(value, loss=1.0):
        old, buffer.data = buffer.data, buffer.data + 1
        row = by_kernels(updates, [parameter], [np.array([1.0, value])], loss, [(buffer, old)])
        updates.fetch_counts()
        return row[2], parameter.data.tolist(), buffer.data.tolist(), updates.optimizer.update_counts

    halted, *sound = step(1.0)
    assert halted == 0 and sound[1] == [4.0] and sound[2] == {"0": 1}
    assert step(gradient, loss) == (1, *sound)
    assert step(1.0) == (1, *sound), "until somebody has looked"
    updates.halted.fill(0)
    assert step(1.0)[3] == {"0": 2}


def test_a_rate_that_is_not_brought_over_does_not_count():
    """The rate is read from the device: what a recorded step needs."""
    parameter = nn.Parameter(np.array([1.0]))
    updates = OnDevice(SGD([parameter], lr=0.5), np.inf)
    updates.set_rates()
    updates.optimizer.lr = 100.0
    parameter.grad = np.array([1.0])
    updates.step(Tensor(np.array(0.0)), ())
    assert parameter.data.tolist() == [0.5]
