"""Arrays to other libraries and back: what shares memory, what is copied, and what is refused."""

import numpy as np
import pytest

from minisegnet import Tensor, functional, nn


def floats(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def read_only(array):
    array.flags.writeable = False
    return array


class Asks:
    """Another library, which asks in its own way."""

    def __init__(self, source, **request):
        self.source, self.request = source, request

    def __dlpack__(self, **request):
        return self.source.__dlpack__(**{**request, **self.request})

    def __dlpack_device__(self):
        return self.source.__dlpack_device__()


# ---------------------------------------------------------------------------------------------------------
# np.asarray


def test_asarray_gives_the_tensors_own_array():
    x = floats(2, 3)
    assert np.asarray(Tensor(x)) is x
    assert np.shares_memory(np.array(Tensor(x), copy=False), x)
    copied = np.array(Tensor(x))
    assert np.array_equal(copied, x) and not np.shares_memory(copied, x)


def test_asarray_converts_and_copies_as_asked():
    x = floats(3)
    doubled = np.asarray(Tensor(x), dtype=np.float64)
    assert doubled.dtype == np.float64 and np.array_equal(doubled, x)
    with pytest.raises(ValueError, match="copy"):
        np.array(Tensor(x), dtype=np.float64, copy=False)


def test_asarray_keeps_read_only_arrays_read_only():
    assert not np.asarray(Tensor(read_only(floats(3)))).flags.writeable


def test_numpys_functions_work_on_constants_only():
    np.testing.assert_allclose(Tensor(floats(3)), floats(3))
    y = functional.relu(nn.Parameter(floats(3)))
    for use in (np.asarray, np.mean, lambda t: np.concatenate([t, t])):
        with pytest.raises(TypeError, match=r"requires a gradient, .*tensor\.detach\(\)"):
            use(y)
    assert np.array_equal(np.asarray(y.detach()), floats(3))
    with pytest.raises(TypeError):  # operators stay the tape's business
        floats(3) - y  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------------------
# DLPack


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_dlpack_shares_memory_both_ways(dtype):
    x = floats(2, 3).astype(dtype)
    taken = Tensor.from_dlpack(x)
    given = np.from_dlpack(Tensor(x))
    x[0, 0] = 7
    assert taken.data[0, 0] == 7 and given[0, 0] == 7
    assert taken.dtype == given.dtype == dtype and not taken.requires_grad


def test_strides_and_empty_arrays_survive():
    x = floats(4, 6)[::2, 1::2]
    assert np.array_equal(np.from_dlpack(Tensor(x)), x)
    assert Tensor.from_dlpack(x.T).data.strides == x.T.strides
    assert np.from_dlpack(Tensor(floats(0, 3))).shape == (0, 3)


@pytest.mark.parametrize("request_", [{}, {"max_version": (1, 0)}, {"copy": None}, {"stream": None}])
def test_a_read_only_array_is_never_shared_as_writable(request_):
    x = read_only(floats(3))
    given = np.from_dlpack(Asks(Tensor(x), **request_))
    assert np.array_equal(given, x) and not np.shares_memory(given, x)


def test_a_read_only_array_is_refused_where_a_copy_is():
    with pytest.raises(BufferError, match="read-only and is not shared"):
        Tensor(read_only(floats(3))).__dlpack__(copy=False)


def test_what_comes_read_only_stays_so():
    x = read_only(floats(3))
    assert not Tensor.from_dlpack(x).data.flags.writeable


def test_a_gradient_is_not_lost_in_silence():
    with pytest.raises(BufferError, match="requires a gradient"):
        np.from_dlpack(nn.Parameter(floats(3)))
    given = np.from_dlpack(nn.Parameter(floats(3)).detach())
    assert np.array_equal(given, floats(3))


class Elsewhere:
    """An array on another device, or one that can't be given."""

    def __init__(self, device, error=None):
        self.device, self.error = device, error

    def __dlpack_device__(self):
        return (self.device, 0)

    def __dlpack__(self, **request):
        raise self.error or AssertionError("was asked, though it is elsewhere")


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (Elsewhere(2), ValueError, r"lies on an NVIDIA GPU; .*\.cpu\(\)"),
        (Elsewhere(99), ValueError, "DLPack's kind 99"),
        (Elsewhere(1, BufferError("requires grad")), ValueError, "the Elsewhere can't be shared: requires grad"),
        ([1.0, 2.0], TypeError, "a list has no __dlpack__"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_told(source, kind, words):
    with pytest.raises(kind, match=words):
        Tensor.from_dlpack(source)


class cupy_like(np.ndarray):
    """An array that says it is CuPy's."""


cupy_like.__module__ = "cupy"


def test_an_array_on_the_gpu_is_not_copied_in_silence():
    with pytest.raises(TypeError, match=r"lies on the GPU; copy it to NumPy by ops.to_numpy"):
        np.asarray(Tensor(floats(3).view(cupy_like)))
