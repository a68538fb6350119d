"""Optimisers, schedules and clipping: against PyTorch's numbers, by hand, and what must never go wrong."""

import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import Tensor, optim
from minisegnet.autograd import record
from minisegnet.optim import SGD, Adam, AdamW, Optimizer, clip_gradients

GOLDEN: dict[str, list[Any]] = json.loads(
    (Path(__file__).parent / "golden" / "optim.json").read_text(encoding="utf-8")
)
OPTIMISERS: dict[str, Any] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}

EVERY: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.1, weight_decay=0.01),
    "adamw": lambda p: AdamW(p, lr=0.1),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


def leaves(dtype: Any = np.float64) -> dict[str, Tensor]:
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {"conv.weight": (2, 3, 3, 3), "conv.bias": (2,), "scale": ()}
    return {n: Tensor(np.asarray(rng.normal(size=s), dtype), requires_grad=True) for n, s in shapes.items()}


def take_steps(optimizer: Optimizer, tensors: dict[str, Tensor], steps: range) -> None:
    """Take steps whose gradients are pure functions of their numbers; every third time, one has none."""
    for t in steps:
        rng = np.random.default_rng(t)
        for i, tensor in enumerate(tensors.values()):
            gradient = np.asarray(rng.normal(size=tensor.shape), tensor.dtype)
            tensor.grad = None if (t + i) % 3 == 0 else gradient
        optimizer.step()


def bits(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.data.tobytes() for name, tensor in tensors.items()}


# ---------------------------------------------------------------------------------------------------------
# PyTorch's numbers


@pytest.mark.parametrize("case", GOLDEN["optimisers"], ids=lambda c: f"{c['optimiser']}-{c['kwargs']}")
def test_golden_steps(case: dict[str, Any]) -> None:
    (start,), (gradients,) = GOLDEN["start"], GOLDEN["gradients"]
    tensors = {name: Tensor(np.array(value), requires_grad=True) for name, value in start.items()}
    w, b, scale = tensors.values()
    what: Any = tensors.items()
    if case["groups"] is not None:
        what = [{"params": [w], **case["groups"][0]}, {"params": [b, scale], **case["groups"][1]}]
    optimizer = OPTIMISERS[case["optimiser"]](what, **case["kwargs"])
    for t, expected in enumerate(case["after"]):
        if case["rates"] is not None:
            optimizer.lr = case["rates"][t]
        for name, tensor in tensors.items():
            gradient = gradients[name][t]
            tensor.grad = None if gradient is None else np.array(gradient)
        optimizer.step()
        found = np.concatenate([tensor.data.ravel() for tensor in tensors.values()])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=f"step {t}")


@pytest.mark.parametrize("case", GOLDEN["schedules"], ids=lambda c: c["schedule"])
def test_golden_schedules(case: dict[str, Any]) -> None:
    schedule = eval(case["schedule"], vars(optim).copy())
    found = [schedule(t) for t in range(len(case["rates"]))]
    np.testing.assert_allclose(found, case["rates"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", GOLDEN["clipping"], ids=lambda c: f"{c['max_norm']}-{c['norm']}")
def test_golden_clipping(case: dict[str, Any]) -> None:
    tensors = []
    for gradient in case["given"]:
        tensors.append(Tensor(np.zeros(np.shape(gradient)), requires_grad=True))
        tensors[-1].grad = np.array(gradient)
    norm = clip_gradients(tensors, case["max_norm"])
    np.testing.assert_allclose(norm, case["norm"], rtol=1e-12)
    for tensor, expected in zip(tensors, case["clipped"], strict=True):
        np.testing.assert_allclose(tensor.grad, expected, rtol=1e-12, atol=1e-15)


def test_golden_has_everything() -> None:
    runs = GOLDEN["optimisers"]
    assert {run["optimiser"] for run in runs} == set(OPTIMISERS)
    assert len(runs) >= 20
    assert len(GOLDEN["schedules"]) >= 7
    assert len(GOLDEN["clipping"]) >= 12


def test_defaults_are_torchs() -> None:
    w = leaf(1.0)
    assert SGD([w], 0.1).param_groups == [
        {"params": [w], "lr": 0.1, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False}
    ]
    adam = {"params": [w], "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}
    assert Adam([w]).param_groups == [adam]
    assert AdamW([w]).param_groups == [adam | {"weight_decay": 1e-2}]


# ---------------------------------------------------------------------------------------------------------
# By hand


def test_schedules_by_hand() -> None:
    assert [optim.constant(0.5)(t) for t in (0, 9)] == [0.5, 0.5]
    assert [optim.step(8.0, 3, 0.5)(t) for t in (0, 2, 3, 5, 6)] == [8, 8, 4, 4, 2]
    assert [optim.poly(4.0, 4, power=1)(t) for t in (0, 1, 2, 3, 4, 5, 100)] == [4, 3, 2, 1, 0, 0, 0]
    cosine = optim.cosine(3.0, 4, final=1.0)
    np.testing.assert_allclose([cosine(t) for t in (0, 2, 4, 5, 9)], [3, 2, 1, 1, 1], rtol=1e-15)
    assert (optim.cosine(3.0, 4)(4), optim.cosine(3.0, 4)(400)) == (0, 0)
    ramp = optim.warmup(optim.constant(1.0), 4)
    assert [ramp(t) for t in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    poly = optim.poly(0.7, 50)
    warm = optim.warmup(poly, 10)
    assert [warm(t) for t in range(9, 60)] == [poly(t) for t in range(9, 60)]
    assert optim.warmup(poly, 0)(0) == optim.warmup(poly, 1)(0) == poly(0)


def test_schedules_remember_nothing() -> None:
    schedule = optim.warmup(optim.cosine(0.3, 100), 7)
    forward = [schedule(t) for t in range(110)]
    assert [schedule(t) for t in reversed(range(110))] == forward[::-1]
    assert all(type(rate) is float for rate in forward)
    assert type(optim.poly(np.float64(0.1), 10)(np.int64(3))) is float  # type: ignore[arg-type]


def test_a_schedule_drives_an_optimiser() -> None:
    w = leaf(1.0)
    optimizer, schedule = SGD([w], lr=1.0), optim.step(0.5, 1, 0.5)
    for t in range(3):
        optimizer.lr = schedule(t)
        w.grad = np.ones(1)
        optimizer.step()
    assert w.data == [1 - 0.5 - 0.25 - 0.125]
    assert optimizer.lr == 0.125


@every
def test_finds_the_bottom_of_a_bowl(make: Callable[[Any], Optimizer]) -> None:
    """The bowl is (a - 3)² + 2 (b + 1)², on the tape; weight decay moves its bottom a little."""
    a, b = leaf(0.0), leaf(0.0)
    optimizer, schedule = make([a, b]), optim.cosine(0.1, 300)
    for t in range(300):
        optimizer.lr = schedule(t)
        optimizer.zero_grad()
        loss = square(a + np.array([-3.0])) + 2 * square(b + np.array([1.0]))
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose([a.data[0], b.data[0]], [3, -1], atol=0.03)


def square(x: Tensor) -> Tensor:
    data = x.data
    return record(data**2, [x], lambda dy: 2 * data * dy)


def test_groups_have_their_own_settings() -> None:
    slow, fast = leaf(1.0), leaf(1.0)
    optimizer = SGD([{"params": slow}, {"params": [("fast", fast)], "lr": 0.5}], lr=0.1)
    slow.grad = fast.grad = np.ones(1)
    optimizer.step()
    assert (slow.data[0], fast.data[0]) == (0.9, 0.5)
    with pytest.raises(ValueError, match=r"different rates, \[0.1, 0.5\]"):
        _ = optimizer.lr
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]


def test_settings_may_change_between_steps() -> None:
    w = leaf(0.0)
    optimizer = SGD([w], lr=1.0)
    for momentum in (0.0, 0.5, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        w.grad = np.ones(1)
        optimizer.step()
    assert w.data == [-(1 + 1 + 1.5)]
    optimizer.param_groups[0]["momentum"] = -1
    with pytest.raises(ValueError, match=r"SGD: momentum is -1"):
        optimizer.step()


# ---------------------------------------------------------------------------------------------------------
# What a step touches


@every
def test_step_writes_in_place_and_leaves_gradients_alone(make: Callable[[Any], Optimizer]) -> None:
    tensors = leaves()
    arrays = {name: tensor.data for name, tensor in tensors.items()}
    optimizer = make(tensors.items())
    for _ in range(2):
        before = bits(tensors)
        for tensor in tensors.values():
            tensor.grad = np.ones_like(tensor.data)
            tensor.grad.flags.writeable = False  # a write would raise
        optimizer.step()
        assert all(tensors[name].data is array for name, array in arrays.items())
        assert all(before[name] != after for name, after in bits(tensors).items())


@every
def test_without_gradient_nothing_moves(make: Callable[[Any], Optimizer]) -> None:
    a, b = leaf(1.0), leaf(2.0)
    optimizer = make([("a", a), ("b", b)])
    a.grad = np.ones(1)
    optimizer.step()
    assert a.data != 1
    assert b.data == 2  # no weight decay either
    assert [int(optimizer.state_dict()[f"{name}.step"]) for name in "ab"] == [1, 0]


@every
def test_float32_stays_float32(make: Callable[[Any], Optimizer]) -> None:
    tensors = leaves(np.float32)
    optimizer = make(tensors.items())
    optimizer.lr = np.float64(0.05)  # type: ignore[assignment]
    optimizer.param_groups[0]["weight_decay"] = np.float64(0.1)
    take_steps(optimizer, tensors, range(4))
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    slots = {
        n: a for n, a in optimizer.state_dict().items() if isinstance(a, np.ndarray) and n[-5:] != ".step"
    }
    assert {a.dtype for a in slots.values()} <= {np.dtype(np.float32)}
    assert all(isinstance(a, np.ndarray) for a in slots.values())


@every
def test_float32_follows_float64(make: Callable[[Any], Optimizer]) -> None:
    narrow, wide = leaves(np.float32), leaves()
    for tensors in (narrow, wide):
        take_steps(make(tensors.items()), tensors, range(6))
    for name, tensor in narrow.items():
        np.testing.assert_allclose(tensor.data, wide[name].data, rtol=2e-5, atol=2e-5)


@every
def test_any_memory_layout(make: Callable[[Any], Optimizer]) -> None:
    straight = leaves()
    turned = {n: Tensor(t.data.copy().T.copy().T, requires_grad=True) for n, t in straight.items()}
    for tensors in (straight, turned):
        take_steps(make(tensors.items()), tensors, range(4))
    for name, tensor in straight.items():
        np.testing.assert_array_equal(tensor.data, turned[name].data)


def test_zero_grad() -> None:
    a, b = leaf(1.0), leaf(2.0)
    optimizer = SGD([a, b], lr=0.1)
    a.grad = np.ones(1)
    optimizer.zero_grad()
    assert a.grad is None
    assert b.grad is None


@pytest.mark.parametrize("gradient", [np.ones(2), np.ones((1, 1)), np.ones(1, np.float32)])
def test_a_wrong_gradient_changes_nothing(gradient: np.ndarray) -> None:
    a, b = leaf(1.0), leaf(2.0)
    optimizer = Adam([("a", a), ("b", b)])
    a.grad, b.grad = np.ones(1), gradient
    with pytest.raises(ValueError, match=r"Adam: parameter b has shape \(1,\), float64 but its gradient"):
        optimizer.step()
    assert a.data == 1
    assert optimizer.state_dict()["a.step"] == 0


def test_a_read_only_parameter_changes_nothing() -> None:
    a, b = leaf(1.0), leaf(2.0)
    optimizer = SGD([a, b], lr=0.1)
    a.grad = b.grad = np.ones(1)
    b.data.flags.writeable = False
    with pytest.raises(ValueError, match=r"parameter 1 is read-only.*Tensor\(array.copy\(\)"):
        optimizer.step()
    assert a.data == 1


# ---------------------------------------------------------------------------------------------------------
# Save and resume


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Write and read a state as a checkpoint would: arrays as bytes, numbers as JSON."""
    file = io.BytesIO()
    np.savez(file, **{n: v for n, v in state.items() if isinstance(v, np.ndarray)})
    text = json.dumps({n: v for n, v in state.items() if not isinstance(v, np.ndarray)})
    file.seek(0)
    with np.load(file) as archive:
        return dict(archive) | json.loads(text)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stop", [0, 1, 5])
def test_resume_is_exact(make: Callable[[Any], Optimizer], dtype: Any, stop: int) -> None:
    whole = leaves(dtype)
    take_steps(make(whole.items()), whole, range(10))

    first = leaves(dtype)
    optimizer = make(first.items())
    take_steps(optimizer, first, range(stop))
    saved = optimizer.state_dict()
    state = through_a_file(saved)
    weights = {name: tensor.data.copy() for name, tensor in first.items()}
    take_steps(optimizer, first, range(stop, 8))  # what was saved doesn't move with it

    second = {name: Tensor(data, requires_grad=True) for name, data in weights.items()}
    resumed = make(second.items())
    resumed.lr = 99.0  # is loaded, too
    for source in (state, saved):
        resumed.load_state_dict(source)
    take_steps(resumed, second, range(stop, 10))
    assert bits(second) == bits(whole)
    np.testing.assert_equal(saved, state)  # nor is what was loaded: it was copied


def test_state_is_flat() -> None:
    w = leaf(1.0, 2.0)
    optimizer = AdamW([("head.weight", w)])
    assert optimizer.state_dict() == {
        "head.weight.step": 0,
        "groups.0.lr": 1e-3,
        "groups.0.betas.0": 0.9,
        "groups.0.betas.1": 0.999,
        "groups.0.eps": 1e-8,
        "groups.0.weight_decay": 1e-2,
    }
    w.grad = np.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["head.weight.step"].dtype == np.int64
    assert state["head.weight.step"].shape == ()
    np.testing.assert_allclose(state["head.weight.exp_avg"], [0.1, 0.1])
    np.testing.assert_allclose(state["head.weight.exp_avg_sq"], [0.001, 0.001])
    assert [key for key in SGD([w, leaf(1.0)], 0.1).state_dict() if "groups" not in key] == [
        "0.step",
        "1.step",
    ]


def test_state_loads_after_settings_changed() -> None:
    """Momentum switched on or off just before saving must not make the state unreadable."""
    for before, after in ((0.0, 0.9), (0.9, 0.0)):
        w = leaf(1.0)
        optimizer = SGD([w], lr=0.1, momentum=before)
        w.grad = np.ones(1)
        optimizer.step()
        optimizer.param_groups[0]["momentum"] = after
        other = SGD([leaf(1.0)], lr=0.1)
        other.load_state_dict(optimizer.state_dict())
        np.testing.assert_equal(other.state_dict(), optimizer.state_dict())


def damaged(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Give wrong states and what the error must name."""
    without = {n: v for n, v in state.items() if n != "a.exp_avg_sq"}
    yield without, r"Missing: a\.exp_avg_sq; not expected: nothing"
    yield {n: v for n, v in state.items() if n != "b.step"}, r"Missing: b\.step; not expected: b\.exp_avg"
    yield {n: v for n, v in state.items() if n != "groups.0.betas.1"}, r"Missing: groups\.0\.betas\.1"
    yield state | {"c.step": np.array(1)}, r"not expected: c\.step"
    yield state | {"groups.1.lr": 0.1}, r"not expected: groups\.1\.lr"
    yield state | {"a.momentum_buffer": np.zeros(2)}, r"not expected: a\.momentum_buffer"
    yield state | {"b.exp_avg": np.zeros(4)}, r"b\.exp_avg has shape \(4,\).*parameter has shape \(3,\)"
    yield state | {"b.exp_avg": np.zeros(3, np.float32)}, r"b\.exp_avg has shape \(3,\), float32"
    yield state | {"b.exp_avg": 3.0}, r"b\.exp_avg is a float; expected an array"
    yield state | {"b.step": np.array(-1)}, r"b\.step is -1"
    yield state | {"b.step": 1.5}, r"b\.step is 1\.5"
    yield state | {"groups.0.lr": -1.0}, r"lr is -1\.0"
    yield state | {"groups.0.lr": "fast"}, r"lr is 'fast'"
    yield {}, r"Missing: groups\.0\.lr, .* and \d+ more"


def test_load_checks_before_it_changes() -> None:
    def trained() -> tuple[dict[str, Tensor], Optimizer]:
        tensors = {"a": leaf(1.0, 2.0), "b": leaf(1.0, 2.0, 3.0)}
        optimizer = Adam(tensors.items(), lr=0.1)
        take_steps(optimizer, tensors, range(3))
        return tensors, optimizer

    tensors, optimizer = trained()
    _, other = trained()
    other.lr = 0.7
    expected = optimizer.state_dict()
    for state, message in damaged(other.state_dict()):
        with pytest.raises((ValueError, TypeError), match=r"Adam: .*" + message):
            optimizer.load_state_dict(state)
        np.testing.assert_equal(optimizer.state_dict(), expected)
    with pytest.raises(ValueError, match="Missing"):
        optimizer.load_state_dict(SGD(tensors.items(), lr=0.1).state_dict())


# ---------------------------------------------------------------------------------------------------------
# Clipping


def test_clipping_keeps_short_gradients_bit_for_bit() -> None:
    a, b = leaf(0.0, 0.0), leaf(0.0)
    a.grad, gradient = np.array([0.3, -0.4]), np.array([0.3, -0.4])
    assert clip_gradients([("a", a), ("b", b)], 1.0) == 0.5
    assert a.grad.tobytes() == gradient.tobytes()
    assert b.grad is None
    assert clip_gradients([b], 1.0) == 0.0  # no gradient at all


def test_clipping_measures_in_float64() -> None:
    w = leaf(0.0, 0.0, dtype=np.float32)
    w.grad = np.array([3e30, 4e30], np.float32)  # their squares don't fit into float32
    assert clip_gradients(w, 1.0) == pytest.approx(5e30, rel=1e-6)
    assert w.grad.dtype == np.float32
    np.testing.assert_allclose(w.grad, [0.6, 0.8], rtol=1e-6)
    w.grad = np.array([3.0, 4.0], np.float32)
    assert clip_gradients(w, math.inf) == 5.0
    assert w.grad.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_clipping_tells_of_nan_and_infinity(bad: float) -> None:
    good, broken = leaf(0.0), leaf(0.0)
    good.grad, broken.grad = np.array([1.0]), np.array([bad])
    with pytest.raises(RuntimeError, match=r"norm of the gradients is (nan|inf); it comes from conv2"):
        clip_gradients([("conv1", good), ("conv2", broken)], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal([*good.grad, *broken.grad], [1.0, bad])  # as they were
    norm = clip_gradients([good, broken], 1.0)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf


# ---------------------------------------------------------------------------------------------------------
# Errors


def result() -> Tensor:
    return 2 * leaf(1.0)


W = leaf(1.0)

ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "empty": (lambda: SGD([], 0.1), ValueError, r"SGD: there are no parameters"),
    "empty group": (lambda: SGD([{"params": []}], 0.1), ValueError, r"there are no parameters"),
    "used generator": (lambda: AdamW(iter(())), ValueError, r"AdamW: .*walked through only once"),
    "one tensor": (lambda: SGD(W, 0.1), TypeError, r"one Tensor; expected a list of them: \[tensor\]"),  # type: ignore[arg-type]
    "a set": (lambda: SGD({W}, 0.1), TypeError, r"parameters is a set"),
    "a dict": (lambda: SGD({"w": W}, 0.1), TypeError, r"is a dict; .*model\.named_parameters\(\)"),  # type: ignore[arg-type]
    "a number": (lambda: SGD(3, 0.1), TypeError, r"parameters is a int; expected a list of Tensors"),  # type: ignore[arg-type]
    "arrays": (lambda: SGD([np.ones(2)], 0.1), TypeError, r"parameter 0 is a ndarray; expected a Tensor"),  # type: ignore[list-item]
    "named array": (lambda: SGD([("w", np.ones(2))], 0.1), TypeError, r"parameter w is a ndarray"),  # type: ignore[list-item]
    "no gradient": (
        lambda: Adam([("w", Tensor(np.ones(2)))]),
        ValueError,
        r"Adam: parameter w does not require a gradient; make it by Tensor\(data, requires_grad=True\)",
    ),
    "not a leaf": (lambda: SGD([result()], 0.1), ValueError, r"parameter 0 is the result of a computation"),
    "twice": (lambda: SGD([("a", W), ("b", W)], 0.1), ValueError, r"parameter b came before, as a"),
    "in two groups": (
        lambda: SGD([{"params": [W]}, {"params": [W]}], 0.1),
        ValueError,
        r"parameter 1 came before, as 0",
    ),
    "same name": (lambda: SGD([("a", W), ("a", leaf(1.0))], 0.1), ValueError, r"two parameters are named a"),
    "group and tensor": (lambda: SGD([{"params": [W]}, leaf(1.0)], 0.1), TypeError, r"mixes groups and"),  # type: ignore[list-item]
    "group typo": (
        lambda: SGD([{"params": [W], "rate": 1}], 0.1),
        ValueError,
        r"keys \['params', 'rate'\]; expected 'params' and any of \['lr', 'momentum'",
    ),
    "group without params": (lambda: SGD([{"lr": 1}], 0.1), ValueError, r"expected 'params'"),
    "group lr": (lambda: SGD([{"params": [W], "lr": -2}], 0.1), ValueError, r"SGD: lr is -2"),
    "negative lr": (lambda: SGD([W], -0.1), ValueError, r"SGD: lr is -0\.1; expected a number of at least 0"),
    "nan lr": (lambda: Adam([W], lr=math.nan), ValueError, r"Adam: lr is nan; expected a finite number"),
    "lr of a wrong kind": (lambda: SGD([W], lr="0.1"), TypeError, r"lr is '0\.1' \(str\)"),  # type: ignore[arg-type]
    "momentum": (lambda: SGD([W], 0.1, momentum=-0.9), ValueError, r"momentum is -0\.9"),
    "weight decay": (lambda: AdamW([W], weight_decay=-1), ValueError, r"AdamW: weight_decay is -1"),
    "eps": (lambda: Adam([W], eps=-1e-8), ValueError, r"eps is -1e-08"),
    "betas": (lambda: Adam([W], betas=(0.9, 1.0)), ValueError, r"betas is \(0\.9, 1\.0\); expected two"),
    "negative beta": (lambda: Adam([W], betas=(-0.1, 0.9)), ValueError, r"betas is \(-0\.1, 0\.9\)"),
    "one beta": (lambda: Adam([W], betas=0.9), TypeError, r"betas is 0\.9; expected a pair"),  # type: ignore[arg-type]
    "nesterov alone": (lambda: SGD([W], 0.1, nesterov=True), ValueError, r"needs momentum above 0, such as"),
    "nesterov with dampening": (
        lambda: SGD([W], 0.1, 0.9, 0.1, nesterov=True),
        ValueError,
        r"nesterov=True came with momentum=0\.9 and dampening=0\.1",
    ),
    "nesterov 1": (lambda: SGD([W], 0.1, 0.9, nesterov=1), TypeError, r"nesterov is 1 \(int\)"),  # type: ignore[arg-type]
    "set lr": (lambda: setattr(SGD([W], 0.1), "lr", -1), ValueError, r"SGD: lr is -1"),
    "constant": (lambda: optim.constant(-1), ValueError, r"constant: lr is -1"),
    "step every": (lambda: optim.step(0.1, 0, 0.1), ValueError, r"step: every is 0"),
    "step factor": (lambda: optim.step(0.1, 5, -0.1), ValueError, r"step: factor is -0\.1"),
    "poly total": (lambda: optim.poly(0.1, 0), ValueError, r"poly: total is 0"),
    "poly power": (lambda: optim.poly(0.1, 9, 0), ValueError, r"poly: power is 0\.0; expected .* above 0"),
    "cosine final": (lambda: optim.cosine(0.1, 9, -1), ValueError, r"cosine: final is -1"),
    "cosine total": (lambda: optim.cosine(0.1, 9.5), TypeError, r"cosine: total is 9\.5"),  # type: ignore[arg-type]
    "warmup of a number": (lambda: optim.warmup(0.1, 5), TypeError, r"schedule is 0\.1.*constant\(lr\)"),  # type: ignore[arg-type]
    "warmup steps": (lambda: optim.warmup(optim.constant(1), -1), ValueError, r"warmup: steps is -1"),
    "negative step": (lambda: optim.poly(0.1, 9)(-1), ValueError, r"poly: step is -1"),
    "half a step": (lambda: optim.constant(0.1)(0.5), TypeError, r"constant: step is 0\.5"),  # type: ignore[arg-type]
    "clip nothing": (lambda: clip_gradients([], 1.0), ValueError, r"clip_gradients: there are no param"),
    "clip array": (lambda: clip_gradients([np.ones(2)], 1.0), TypeError, r"parameter 0 is a ndarray"),  # type: ignore[list-item]
    "clip norm": (lambda: clip_gradients([W], -1.0), ValueError, r"max_norm is -1\.0; expected a length"),
    "clip nan": (lambda: clip_gradients([W], math.nan), ValueError, r"max_norm is nan"),
    "clip kind": (lambda: clip_gradients([W], None), TypeError, r"max_norm is None"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_errors(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
