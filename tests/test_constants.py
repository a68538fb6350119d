"""What kernels keep of arrays that never change."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

from minisegnet import constants, nn, no_grad, ops
from minisegnet.arrays import Array
from minisegnet.constants import constant, derived


def counting(array: Array) -> tuple[Callable[[], Array], list[int]]:
    calls: list[int] = []

    def make() -> Array:
        calls.append(1)
        return array * 2

    return make, calls


def test_a_constant_is_a_copy_that_nobody_can_change() -> None:
    source = np.arange(6.0).reshape(2, 3).T
    copy = constant(source)
    source[0, 0] = 7
    assert copy[0, 0] == 0 and copy.flags.owndata and copy.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        copy += 1


def test_of_a_constant_it_is_computed_once_for_each_name() -> None:
    array = constant(np.arange(3.0))
    make, calls = counting(array)
    first = derived(array, "a", make)
    assert derived(array, "a", make) is first and len(calls) == 1
    assert derived(array, ("a", 1), make) is not first and len(calls) == 2


@pytest.mark.parametrize("kind", ["ordinary", "read-only", "view of a constant"])
def test_of_any_other_array_it_is_computed_each_time(kind: str) -> None:
    array = np.arange(3.0)
    if kind == "read-only":  # whoever has a view from before can still write
        array.flags.writeable = False
    if kind == "view of a constant":
        array = constant(array)[:]
    make, calls = counting(array)
    derived(array, "a", make)
    derived(array, "a", make)
    assert len(calls) == 2


def test_one_that_was_made_writeable_is_a_constant_no_longer() -> None:
    array = constant(np.arange(3.0))
    make, calls = counting(array)
    derived(array, "a", make)
    array.flags.writeable = True
    array[:] = 5
    assert derived(array, "a", make)[0] == 10
    array.flags.writeable = False
    array.flags.writeable = True
    array[:] = 6
    assert derived(array, "a", make)[0] == 12 and len(calls) == 3


def test_what_was_kept_goes_with_the_array() -> None:
    before = len(constants._kept)
    array = constant(np.arange(3.0))
    derived(array, "a", lambda: np.ones(3))
    assert len(constants._kept) == before + 1
    del array
    gc.collect()
    assert len(constants._kept) == before


# Channels, filters, kernel, stride, groups: one for each text of the convolution that arranges its filters.
SHAPES = {
    "winograd": ((20, 24, 3), 1, 1),
    "direct": ((8, 8, 3), 2, 1),
    "direct, groups": ((8, 12, 3), 1, 2),
    "pointwise": ((16, 20, 1), 1, 1),
    "patches": ((16, 20, 2), 2, 1),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_filters_give_the_same_bits_in_every_op(name: str, dtype: type, fast: str) -> None:
    (C, K, size), stride, groups = SHAPES[name]
    options = {"stride": stride, "padding": size // 3, "groups": groups}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, C, 16, 20)).astype(dtype)
    w = rng.normal(size=(K, C // groups, size, size)).astype(dtype)
    kept = constant(w)
    with ops.use_backend(fast):
        y = ops.conv2d(x, w, **options)
        small = rng.normal(size=y.shape).astype(dtype)
        gradients = ops.conv2d_backward(small, x, w, **options)
        turned = ops.conv_transpose2d(small, w, **options)
        for _ in range(2):  # the second time with what was kept
            np.testing.assert_array_equal(ops.conv2d(x, kept, **options), y)
            np.testing.assert_array_equal(ops.conv_transpose2d(small, kept, **options), turned)
            for ours, expected in zip(ops.conv2d_backward(small, x, kept, **options), gradients, strict=True):
                np.testing.assert_array_equal(ours, expected)


def test_a_folded_model_keeps_its_filters_on_numba() -> None:
    if ops.why_not("numba"):
        pytest.skip("Numba isn't here")
    model = nn.folded(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 4, 1)))
    x = np.ones((1, 16, 16, 16), np.float32)
    with ops.use_backend("numba"), no_grad():
        model(x)
        kept = [dict(constants._kept[id(layer.weight.data)][1]) for layer in model]
        model(x)
        again = [constants._kept[id(layer.weight.data)][1] for layer in model]
    assert [list(names) for names in kept] == [[("winograd", False)], ["pointwise"]]
    for one, other in zip(kept, again, strict=True):
        assert all(one[name] is other[name] for name in one)
