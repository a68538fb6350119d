"""The tape: graphs, leaves, memory, errors, and every differentiable function against numerical gradients."""

import inspect
import threading
import weakref

import numpy as np
import pytest

from minisegnet import functional, ops
from minisegnet.autograd import Tensor, no_grad, record
from minisegnet.ops import use_backend
from minisegnet.testing import check_gradients, distinct_values


@pytest.fixture(autouse=True)
def numpy_backend():
    with use_backend("numpy"):
        yield


def leaf(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def square(x):
    x_data = x.data
    return record(x_data**2, [x], lambda dy: 2 * x_data * dy)


def multiply(a, b):
    a_data, b_data = a.data, b.data
    return record(a_data * b_data, [a, b], lambda dy: (dy * b_data, dy * a_data))


def total(x):
    shape = x.shape
    return record(x.data.sum(), [x], lambda dy: np.full(shape, dy))


# ---------------------------------------------------------------------------------------------------------
# Graphs


def test_one_step():
    x = leaf(1.0, 2.0)
    square(x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad, [2.0, 40.0])


def test_a_diamond_adds_its_two_sides():
    x = leaf(3.0)
    h = square(x)
    (2 * h + square(h)).backward()  # 2 x^2 + x^4
    np.testing.assert_allclose(x.grad, [4 * 3 + 4 * 27])


def test_a_node_waits_for_all_that_was_made_from_it():
    # The short path from x to the result is as direct as can be, the long one comes later; h must not run twice.
    calls = []
    x = leaf(2.0)
    h = record(x.data * 1, [x], lambda dy: calls.append(1) or dy)
    long = h
    for _ in range(5):
        long = 2 * long
    (h + long).backward()
    assert calls == [1]
    np.testing.assert_array_equal(x.grad, [33.0])


def test_nested_diamonds():
    x = leaf(1.0)
    h = x
    for _ in range(60):  # 2**60 paths, 60 nodes
        h = h + h
    h.backward()
    np.testing.assert_array_equal(x.grad, [2.0**60])


def test_one_tensor_twice_in_one_function():
    x = leaf(3.0)
    multiply(x, x).backward()
    np.testing.assert_array_equal(x.grad, [6.0])


def test_deep_chains_do_not_recurse():
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y * 1.0 + x
    y.backward()
    np.testing.assert_array_equal(x.grad, [10_001.0])


def test_deep_chains_are_thrown_away_without_recursion():
    y = leaf(1.0)
    for _ in range(30_000):
        y = y * 1.0
    del y


def test_gradients_accumulate_over_graphs():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        total(square(x)).backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])


def test_a_result_may_be_used_by_two_losses_that_are_added():
    x = leaf(2.0)
    h = square(x)
    (square(h) + 3 * h).backward()
    np.testing.assert_array_equal(x.grad, [4 * 8 + 3 * 4])


def test_none_stops_a_path():
    x, z = leaf(1.0), leaf(1.0)
    record(x.data + z.data, [x, z], lambda dy: (dy, None)).backward()
    assert z.grad is None
    np.testing.assert_array_equal(x.grad, [1.0])


def test_backward_on_a_leaf():
    x = leaf(1.0, 2.0)
    x.backward(np.ones(2))
    x.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_float32_stays_float32():
    x = leaf(1.0, 2.0, dtype=np.float32)
    y = total(np.float64(0.5) * (x * 3 + x))
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_zero_dimensions_stay_arrays():
    x = Tensor(np.array(3.0), requires_grad=True)
    y = 2 * x + x * x.item()
    assert type(y.data) is np.ndarray and y.shape == () and y.ndim == 0
    y.backward()
    y = x * 1 + x * 1
    y.backward()
    assert type(x.grad) is np.ndarray and x.grad == 7.0


# ---------------------------------------------------------------------------------------------------------
# Leaves


def test_only_leaves_keep_gradients():
    x, constant = leaf(1.0), Tensor(np.ones(1))
    h = square(x)
    y = h + constant
    y.backward()
    assert h.grad is None and y.grad is None and constant.grad is None
    assert x.grad is not None


def test_a_leaf_that_nothing_reached_has_none():
    x, z = leaf(1.0), leaf(1.0)
    square(x).backward()
    assert z.grad is None


def test_detach_stops_gradients():
    x = leaf(3.0)
    h = square(x)
    assert h.detach().data is h.data and not h.detach().requires_grad
    multiply(x, h.detach()).backward()
    np.testing.assert_array_equal(x.grad, [9.0])


def test_freezing_a_leaf():
    x, w = leaf(3.0), leaf(2.0)
    w.requires_grad = False
    multiply(x, w).backward()
    assert w.grad is None


def test_gradients_share_no_memory():
    x, z, mine = leaf(1.0, 2.0), leaf(1.0, 2.0), np.array([1.0, 1.0])
    record(x.data + z.data, [x, z], lambda dy: (dy, dy)).backward(mine)
    assert not np.shares_memory(x.grad, z.grad)
    assert not np.shares_memory(x.grad, mine) and not np.shares_memory(z.grad, mine)
    x.grad += 100
    np.testing.assert_array_equal(z.grad, [1.0, 1.0])
    np.testing.assert_array_equal(mine, [1.0, 1.0])


def test_accumulation_does_not_write_into_an_array_that_was_handed_out():
    x = leaf(1.0)
    square(x).backward()
    first = x.grad
    square(x).backward()
    np.testing.assert_array_equal(first, [2.0])
    np.testing.assert_array_equal(x.grad, [4.0])


def test_joining_paths_does_not_write_into_an_array_that_others_hold():
    x, z, mine = leaf(1.0), leaf(1.0), np.ones(1)
    h = 2 * x
    result = record(h.data + x.data + z.data, [h, x, z], lambda dy: (dy, dy, dy))
    result.backward(mine)  # x gets dy itself, and more through h later
    np.testing.assert_array_equal(x.grad, [3.0])
    np.testing.assert_array_equal(z.grad, [1.0])
    np.testing.assert_array_equal(mine, [1.0])


# ---------------------------------------------------------------------------------------------------------
# Memory


class Watched(np.ndarray):
    """An array that can be watched by a weak reference."""


def watched_square(x, watch):
    x_data = x.data.copy().view(Watched)
    watch.append(weakref.ref(x_data))
    return record((x_data**2).view(np.ndarray), [x], lambda dy: np.asarray(2 * x_data * dy))


def alive(watch):
    return sum(reference() is not None for reference in watch)


def test_activations_live_until_backward_and_no_longer():
    watch = []
    x = leaf(1.0)
    y = x
    for _ in range(4):
        y = watched_square(y, watch)
    assert alive(watch) == 4
    y.backward()
    assert alive(watch) == 0  # although y is still there


def test_activations_are_let_go_one_after_the_other():
    watch, counts = [], []
    x = leaf(1.0)
    y = x
    for _ in range(4):
        y = record(y.data * 1, [y], lambda dy: counts.append(alive(watch)) or dy)
        y = watched_square(y, watch)
    y.backward()
    assert counts == [3, 2, 1, 0]


def test_nothing_is_kept_without_a_backward():
    watch = []
    y = watched_square(watched_square(leaf(1.0), watch), watch)
    assert alive(watch) == 2
    del y
    assert alive(watch) == 0  # at once: no cycles that wait for the garbage collector


def test_nothing_is_kept_under_no_grad_or_without_a_leaf():
    watch = []
    with no_grad():
        y = watched_square(leaf(1.0), watch)
    z = watched_square(Tensor(np.ones(1)), watch)
    assert alive(watch) == 0
    assert not y.requires_grad and not z.requires_grad and y.node is None and z.node is None


def test_a_node_does_not_keep_what_its_backward_does_not_name():
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    h = 2 * x
    watch = [weakref.ref(h)]
    y = functional.resize_nearest(h, 8)
    del h
    assert alive(watch) == 0 and y.requires_grad


# ---------------------------------------------------------------------------------------------------------
# no_grad


def test_no_grad_ends_with_its_block():
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            assert not square(x).requires_grad
        assert not square(x).requires_grad
    assert square(x).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        _ = 1 / 0
    assert square(x).requires_grad


def test_no_grad_as_a_decorator():
    @no_grad()
    def predict(x):
        return square(x)

    x = leaf(1.0)
    assert not predict(x).requires_grad and not predict(x).requires_grad
    assert square(x).requires_grad


def test_no_grad_holds_for_its_own_thread():
    x, results = leaf(1.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: results.append(square(x).requires_grad))
        thread.start()
        thread.join()
    assert results == [True]


def test_backward_works_under_no_grad():
    x = leaf(1.0)
    y = square(x)
    with no_grad():
        y.backward()
    np.testing.assert_array_equal(x.grad, [2.0])


# ---------------------------------------------------------------------------------------------------------
# Errors


def test_a_second_backward_says_what_to_do():
    x = leaf(1.0)
    y = square(x)
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time.*run the forward pass again, or add the losses up"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [2.0])


def test_a_second_backward_through_a_shared_part_changes_no_gradient():
    x, w = leaf(1.0), leaf(1.0)
    h = square(x)
    first, second = 2 * h, multiply(h, w)
    first.backward()
    with pytest.raises(RuntimeError, match="second time"):
        second.backward()
    assert w.grad is None
    np.testing.assert_array_equal(x.grad, [4.0])


def test_backward_without_gradient_is_for_one_element():
    with pytest.raises(
        ValueError, match=r"for one element, this tensor has shape \(2,\); reduce it to a loss"
    ):
        square(leaf(1.0, 2.0)).backward()
    x = Tensor(np.ones((1, 1)), requires_grad=True)
    square(x).backward()
    np.testing.assert_array_equal(x.grad, [[2.0]])


def test_backward_starts_with_one_even_where_the_loss_is_not_a_number():
    x = leaf(np.nan)
    (2 * x).backward()
    np.testing.assert_array_equal(x.grad, [2.0])


def test_the_gradient_is_checked():
    y = square(leaf(1.0, 2.0))
    with pytest.raises(
        ValueError, match=r"shape \(3,\), float64 arrived for a tensor of shape \(2,\), float64"
    ):
        y.backward(np.ones(3))
    with pytest.raises(ValueError, match=r"float32 arrived for a tensor of .* float64"):
        y.backward(np.ones(2, np.float32))
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        y.backward([1.0, 1.0])
    with pytest.raises(TypeError, match=r"got Tensor; pass its \.data"):
        y.backward(Tensor(np.ones(2)))


def test_backward_needs_something_to_differentiate():
    with pytest.raises(RuntimeError, match=r"does not require a gradient.*requires_grad=True.*no_grad\(\)"):
        Tensor(np.ones(1)).backward()
    with no_grad():
        y = square(leaf(1.0))
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        y.backward()


def test_wrong_backward_functions_are_reported():
    x, z = leaf(1.0, 2.0), leaf(1.0, 2.0)
    with pytest.raises(ValueError, match="returned 1 gradients for 2 inputs"):
        record(x.data + z.data, [x, z], lambda dy: dy).backward(np.ones(2))
    with pytest.raises(
        ValueError, match=r"a gradient of shape \(1,\), float64 arrived for a tensor of shape \(2,\)"
    ):
        record(x.data * 1, [x], lambda dy: dy[:1]).backward(np.ones(2))
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got float"):
        record(x.data.sum(), [x], lambda dy: 1.0).backward()
    assert x.grad is None and z.grad is None


def test_what_a_tensor_wraps():
    with pytest.raises(TypeError, match=r"expected a NumPy or CuPy array, got list; pass np.asarray"):
        Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"got Tensor; pass its \.data"):
        Tensor(leaf(1.0))
    with pytest.raises(TypeError, match="a tensor of int64 cannot require a gradient"):
        Tensor(np.arange(3), requires_grad=True)
    array = np.arange(6).reshape(2, 3)
    tensor = Tensor(array)
    assert (
        tensor.data is array and tensor.shape == (2, 3) and tensor.ndim == 2 and tensor.dtype == array.dtype
    )
    assert Tensor(np.array([2.5])).item() == 2.5
    with pytest.raises(ValueError):
        tensor.item()


def test_repr():
    assert repr(leaf(1.0, 2.0)) == "Tensor(array([1., 2.]), requires_grad=True)"
    assert repr(Tensor(np.zeros((2, 1)))) == "Tensor(array([[0.],\n              [0.]]))"


def test_operators():
    x, array = leaf(1.0, 2.0), np.array([10.0, 20.0])
    np.testing.assert_array_equal((x + array).data, [11.0, 22.0])
    np.testing.assert_array_equal((array + x).data, [11.0, 22.0])
    np.testing.assert_array_equal((x * np.float64(2)).data, [2.0, 4.0])
    np.testing.assert_array_equal((np.float64(2) * x).data, [2.0, 4.0])
    np.testing.assert_array_equal((np.int64(2) * x).data, [2.0, 4.0])
    assert (array + x).requires_grad and (np.float64(2) * x).requires_grad
    with pytest.raises(ValueError, match=r"\(2,\)"):
        x + np.ones(3)
    for wrong in (lambda: x + 1, lambda: x * x, lambda: x * array, lambda: array * x, lambda: x * "2"):
        with pytest.raises(TypeError):
            wrong()


# ---------------------------------------------------------------------------------------------------------
# functional: one function per op


def names_of_ops():
    plain = [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))]
    tools = {"current_backend", "exact_convolutions", "to_backend", "to_numpy", "why_not"}
    return [name for name in plain if not name.endswith("_backward") and name not in tools]


@pytest.mark.parametrize("name", names_of_ops())
def test_each_op_has_a_function_of_the_same_signature(name):
    if name == "nms":
        assert not hasattr(functional, "nms")  # it picks indices
        return
    op, function = inspect.signature(getattr(ops, name)), inspect.signature(getattr(functional, name))
    assert [(p.name, p.kind, p.default) for p in function.parameters.values()] == [
        (p.name, p.kind, p.default) for p in op.parameters.values()
    ]


def test_nothing_else_stands_in_functional():
    functions = [
        n
        for n, f in inspect.getmembers(functional, inspect.isfunction)
        if f.__module__ == functional.__name__
    ]
    assert {n for n in functions if not n.startswith("_")} == set(names_of_ops()) - {"nms"}


F = functional
ROIS = np.array([[0.0, 0.3, 1.2, 4.1, 3.4], [1.0, 2.0, 0.0, 5.0, 3.0], [0.0, 1.0, 1.0, 3.0, 2.0]])
TARGET = np.array([[[0, 2], [1, 1], [255, 0]], [[2, 2], [255, 1], [0, 1]]])
RATIOS = np.random.default_rng(5).uniform(size=(2, 3, 2))
CLASS_WEIGHT, PIXEL_WEIGHT = np.array([1.0, 0.5, 2.0]), np.random.default_rng(6).uniform(size=(2, 3, 2))
MEAN, VARIANCE = np.array([0.1, -0.2]), np.array([1.5, 0.5])

CASES = {
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        [(2, 4, 5, 6), (4, 2, 3, 2), (4,)],
    ),
    "conv2d_relu": (
        lambda x, w, b: F.conv2d_relu(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        [(2, 4, 5, 6), (4, 2, 3, 2), (4,)],
    ),
    "conv_transpose2d": (
        lambda x, w, b: F.conv_transpose2d(
            x, w, b, stride=(2, 3), padding=1, output_padding=(1, 2), dilation=(1, 2), groups=2
        ),
        [(2, 4, 3, 2), (4, 1, 3, 2), (2,)],
    ),
    "linear": (F.linear, [(3, 4), (2, 4), (2,)]),
    "max_pool2d": (
        lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=1, ceil_mode=True),
        [(2, 2, 6, 5)],
    ),
    "max_unpool2d": (lambda x: F.max_unpool2d(x, np.array([[[[0, 7], [9, 4]]]]), (3, 4)), [(1, 1, 2, 2)]),
    "avg_pool2d": (
        lambda x: F.avg_pool2d(x, (3, 2), stride=(2, 1), padding=1, ceil_mode=True, count_include_pad=False),
        [(2, 2, 6, 5)],
    ),
    "global_avg_pool2d": (F.global_avg_pool2d, [(2, 3, 4, 5)]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), [(2, 2, 5, 7)]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), [(2, 2, 5, 7)]),
    "resize_bilinear": (lambda x: F.resize_bilinear(x, (5, 2), align_corners=True), [(2, 1, 3, 4)]),
    "resize_nearest": (lambda x: F.resize_nearest(x, (5, 2)), [(2, 1, 3, 4)]),
    "crop2d": (lambda x: F.crop2d(x, (3, 2)), [(2, 1, 5, 5)]),
    "pad2d": (lambda x: F.pad2d(x, (2, 1), mode="reflect"), [(2, 1, 3, 4)]),
    "concat": (lambda a, b, c: F.concat([a, b, c], axis=-2), [(2, 1, 3), (2, 4, 3), (2, 2, 3)]),
    "add": (F.add, [(2, 3), (2, 3)]),
    "roi_pool": (lambda x: F.roi_pool(x, ROIS, (2, 3), spatial_scale=0.9), [(2, 2, 5, 6)]),
    "roi_align": (
        lambda x: F.roi_align(x, ROIS, (2, 3), spatial_scale=0.9, sampling_ratio=2, aligned=True),
        [(2, 2, 5, 6)],
    ),
    "batch_norm": (
        lambda x, gamma, beta: F.batch_norm(x, gamma, beta, MEAN, VARIANCE, training=True),
        [(3, 2, 2, 3), (2,), (2,)],
    ),
    "batch_norm, evaluation": (
        lambda x, gamma, beta: F.batch_norm(x, gamma, beta, MEAN, VARIANCE, training=False),
        [(3, 2, 2, 3), (2,), (2,)],
    ),
    "batch_norm, no parameters": (
        lambda x: F.batch_norm(x, None, None, None, None, training=True),
        [(3, 2, 2, 3)],
    ),
    "batch_norm_relu": (
        lambda x, gamma, beta: F.batch_norm_relu(x, gamma, beta, MEAN, VARIANCE, training=True),
        [(3, 2, 2, 3), (2,), (2,)],
    ),
    "batch_norm_relu, evaluation": (
        lambda x, gamma, beta: F.batch_norm_relu(x, gamma, beta, MEAN, VARIANCE, training=False),
        [(3, 2, 2, 3), (2,), (2,)],
    ),
    "relu": (F.relu, [(3, 4)]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), [(3, 4)]),
    "sigmoid": (F.sigmoid, [(3, 4)]),
    "softmax": (lambda x: F.softmax(x, axis=-2), [(2, 3, 4)]),
    "log_softmax": (lambda x: F.log_softmax(x, axis=-2), [(2, 3, 4)]),
    "dropout": (lambda x: F.dropout(x, 0.4, key=(1, 2, 3)), [(5, 6)]),
    "softmax_cross_entropy": (
        lambda x: F.softmax_cross_entropy(
            x, TARGET, weight=CLASS_WEIGHT, pixel_weight=PIXEL_WEIGHT, ignore_index=255
        ),
        [(2, 3, 3, 2)],
    ),
    "softmax_cross_entropy, none": (
        lambda x: F.softmax_cross_entropy(x, TARGET, ignore_index=255, reduction="none"),
        [(2, 3, 3, 2)],
    ),
    "bce_with_logits": (
        lambda x: F.bce_with_logits(x, RATIOS, weight=np.array([[1.0], [0.5], [2.0]]), reduction="mean"),
        [(2, 3, 2)],
    ),
    "bce_with_logits, sum": (lambda x: F.bce_with_logits(x, RATIOS, reduction="sum"), [(2, 3, 2)]),
}


def test_every_function_has_a_case():
    assert {name.partition(",")[0] for name in CASES} == set(names_of_ops()) - {"nms"}


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_the_functions(name):
    function, shapes = CASES[name]
    check_gradients(
        function, *[Tensor(distinct_values(s, seed=i), requires_grad=True) for i, s in enumerate(shapes)]
    )


@pytest.mark.parametrize("name", CASES)
def test_functions_take_arrays_and_record_one_node(name):
    function, shapes = CASES[name]
    arrays = [distinct_values(s, seed=i) for i, s in enumerate(shapes)]
    plain = function(*arrays)
    plain, extra = (plain[0], plain[1:]) if isinstance(plain, tuple) else (plain, ())
    assert isinstance(plain, Tensor) and not plain.requires_grad
    assert all(a is None or isinstance(a, np.ndarray) for a in extra)
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    taped = function(*leaves)
    taped = taped[0] if isinstance(taped, tuple) else taped
    np.testing.assert_array_equal(taped.data, plain.data)
    assert taped.node.inputs[: len(leaves)] == leaves


def test_conv2d_computes_dx_only_where_it_is_wanted(monkeypatch):
    asked = []
    backward = ops.conv2d_backward
    monkeypatch.setattr(
        ops, "conv2d_backward", lambda *a, **k: asked.append(k["need_dx"]) or backward(*a, **k)
    )
    x, w = np.ones((1, 1, 3, 3)), Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    dy = np.ones((1, 1, 2, 2))
    F.conv2d(x, w).backward(dy)
    F.conv2d(Tensor(x), w).backward(dy)
    F.conv2d(Tensor(x, requires_grad=True), w).backward(dy)
    assert asked == [False, False, True]


def test_constants_may_be_tensors_without_gradient():
    x = Tensor(distinct_values((2, 3, 3, 2)), requires_grad=True)
    loss = F.softmax_cross_entropy(x, Tensor(TARGET), weight=Tensor(CLASS_WEIGHT), ignore_index=255)
    assert loss.shape == ()
    loss.backward()
    assert x.grad.shape == x.shape


def wanting(array):
    return Tensor(np.asarray(array, np.float64), requires_grad=True)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("rois", lambda x: F.roi_align(x, wanting(ROIS), 2)),
        ("rois", lambda x: F.roi_pool(x, wanting(ROIS), 2)),
        ("indices", lambda x: F.max_unpool2d(x, wanting(np.zeros(x.shape)), (8, 8))),
        ("target", lambda x: F.softmax_cross_entropy(x, wanting(TARGET))),
        ("target", lambda x: F.bce_with_logits(x, wanting(np.zeros(x.shape)))),
        ("weight", lambda x: F.softmax_cross_entropy(x, TARGET, weight=wanting(CLASS_WEIGHT))),
        ("pixel_weight", lambda x: F.bce_with_logits(x, x.data, pixel_weight=wanting(PIXEL_WEIGHT))),
        ("running_mean", lambda x: F.batch_norm(x, None, None, wanting(MEAN), VARIANCE, training=True)),
        ("running_var", lambda x: F.batch_norm(x, None, None, MEAN, wanting(VARIANCE), training=True)),
    ],
)
def test_constants_that_require_a_gradient_are_refused(name, call):
    with pytest.raises(ValueError, match=rf"^{name} requires a gradient.* pass {name}\.detach\(\)"):
        call(Tensor(distinct_values((2, 3, 3, 2)), requires_grad=True))


@pytest.mark.parametrize("backend", ["reference", "numpy", "numba"])
def test_a_small_network_learns(backend):
    if ops.why_not(backend):
        pytest.skip(ops.why_not(backend))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 1, 8, 8)).astype(np.float32)
    target = (x[:, 0] > 0).astype(np.int64)
    w1 = Tensor(0.5 * rng.standard_normal((4, 1, 3, 3), np.float32), requires_grad=True)
    w2 = Tensor(0.5 * rng.standard_normal((2, 8, 1, 1), np.float32), requires_grad=True)
    losses = []
    with use_backend(backend):
        for _ in range(30):
            w1.grad = w2.grad = None
            h = F.relu(F.conv2d(x, w1, padding=1))
            small, indices = F.max_pool2d(h, 2)
            up = F.max_unpool2d(small, indices, (8, 8))
            loss = F.softmax_cross_entropy(F.conv2d(F.concat([h, up]), w2), target)
            loss.backward()
            for w in (w1, w2):
                w.data = w.data - 0.5 * w.grad
            losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
