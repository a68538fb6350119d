"""The stand-in is as strict as CuPy: what it refuses, what it counts, what a graph of it repeats."""

import cupy
import numpy as np
import pytest

from minisegnet import ops

pytestmark = pytest.mark.skipif(not hasattr(cupy, "device"), reason="this is the real CuPy")


def there(values, dtype=np.float64):
    return cupy.asarray(np.array(values, dtype))


def test_numpy_does_not_get_at_the_numbers():
    x = there([1, 2])
    for use in (np.asarray, np.array, lambda a: np.zeros(2).__iadd__(a)):
        with pytest.raises(TypeError):
            use(x)


@pytest.mark.parametrize("numbers", [np.ones(2), np.ones(())])
def test_numpys_arrays_do_not_mix(numbers):
    x = there([1, 2])
    for mix in (
        lambda: x + numbers,
        lambda: numbers * x,
        lambda: cupy.where(x > 0, x, numbers),
        lambda: x @ numbers,
    ):
        with pytest.raises(TypeError):
            mix()
    with pytest.raises((TypeError, ValueError)):
        x[...] = np.ones(2)


def test_numbers_of_python_and_numpy_mix_and_keep_float32():
    x = there([1, 2], np.float32)
    assert (2 * x + 1.5).dtype == np.float32 and (x * np.float32(2)).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64, "NumPy 2's rule, and CuPy 14's"
    assert np.sqrt(x).dtype == np.float32 and type(np.zeros_like(x)) is cupy.ndarray


def test_reductions_and_elements_stay_on_the_device(waits):
    x = there([[1, 2], [3, 4]])
    for value in (x.sum(), x[0, 1], x.max(), x.sum(axis=0)[0], x.mean()):
        assert type(value) is cupy.ndarray and value.shape == ()
    assert waits == []


def test_who_waits_is_counted(waits):
    x = there([[1, 2], [3, 4]])
    looks = [
        lambda: x.get(), lambda: x[0, 0].item(), lambda: bool(x[0, 0] > 0), lambda: float(x[0, 0]),
        lambda: int(x[0, 0]), lambda: x.tolist(), lambda: repr(x), lambda: x[x > 1], lambda: cupy.unique(x),
        lambda: cupy.bincount(there([1, 2], np.int64)), lambda: x.set(np.ones((2, 2))),
        lambda: cupy.cuda.get_current_stream().synchronize(), lambda: cupy.cuda.Device().synchronize(),
    ]  # fmt: skip
    for number, look in enumerate(looks, 1):
        look()
        assert len(waits) == number, f"look {number} was not noted"


def test_new_memory_holds_no_right_number():
    assert np.isnan(cupy.empty(3).get()).all()


def test_views_share_memory_and_copies_do_not():
    x = there(np.arange(6.0).reshape(2, 3))
    view, copy = x.T[1:], x.T.copy()
    x[...] = 7
    assert (view.get() == 7).all() and not (copy.get() == 7).any()
    assert not x.T.flags.c_contiguous and cupy.ascontiguousarray(there(3.0)).shape == (1,)


def test_indices_that_are_too_large_go_round():
    x = there([0, 1, 2])
    assert x[there([1, 3, 4], np.int64)].get().tolist() == [1, 0, 1]


def recorded(work):
    stream, pool = cupy.cuda.Stream(), cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        try:
            result = work()
        finally:
            graph = stream.end_capture()
    return graph, result, pool


def test_a_graph_computes_nothing_until_it_is_launched_and_then_the_same_again():
    x = there([-1, 2])
    with ops.use_backend("cupy"):
        graph, (y, total), _pool = recorded(lambda: (ops.relu(x), (3 * ops.relu(x)).sum()))
    assert np.isnan(y.get()).all()
    graph.launch()
    assert (y.get().tolist(), total.item()) == ([0, 2], 6)
    x[...] = there([5, 1])
    graph.launch()
    assert (y.get().tolist(), total.item()) == ([5, 1], 18)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda x: x.get(),
        lambda x: float(x[0]),
        lambda x: cupy.asarray(np.ones(3)),
        lambda x: x.set(np.ones(2)),
    ],
)
def test_what_a_graph_cannot_hold_raises(forbidden):
    x = there([1, 2])
    with pytest.raises(RuntimeError, match="captured"):
        recorded(lambda: forbidden(x))


def test_a_graph_notices_memory_that_went_back():
    stream, x = cupy.cuda.Stream(), there([1, 2])
    with stream:  # memory from the pool for all: what the sum was made of is free again after the capture
        stream.begin_capture()
        y = (2 * x).sum()
        graph = stream.end_capture()
    with pytest.raises(RuntimeError, match="went back to a pool"):
        graph.launch()
    graph, y, pool = recorded(lambda: (2 * x).sum())
    graph.launch()
    assert y.item() == 6
    del pool
    with pytest.raises(RuntimeError, match="went back to a pool"):
        graph.launch()


def test_the_null_stream_cannot_be_recorded():
    with pytest.raises(RuntimeError, match="null stream"):
        cupy.cuda.Stream.null.begin_capture()
