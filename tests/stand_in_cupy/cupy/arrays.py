"""``cupy.ndarray``: numbers that only the device can see, and functions of them."""

import numpy as np

from . import device
from .device import Memory, poison, recording, run, wait

SCALARS = (bool, int, float, complex, np.generic)
IMPLICIT = "an array on the device doesn't become one of NumPy by itself; copy it by get()"


class ndarray:
    """An array on the device."""

    __array_priority__ = 100

    def __init__(self, shape, dtype=float):
        self._a = poison(np.empty(shape, dtype))
        self._memory = Memory(self._a.nbytes)

    @classmethod
    def _of(cls, inner, memory=None):
        """Wrap an array of NumPy: one that is new, or a view of memory that is there."""
        made = object.__new__(cls)
        made._a, made._memory = inner, memory or Memory(inner.nbytes)
        return made

    # What the host knows without asking the device

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: self.transpose())

    @property
    def flags(self):
        return Flags(self._a)

    @property
    def data(self):
        return Pointer(self._a.__array_interface__["data"][0])

    @property
    def device(self):
        from .cuda import Device

        return Device()

    def __len__(self):
        if not self._a.ndim:
            raise TypeError("an array without axes has no length")
        return len(self._a)

    def __iter__(self):
        if not self._a.ndim:
            raise TypeError("an array without axes has no parts")
        return (self[i] for i in range(len(self)))

    __hash__ = None

    # What the host has to wait for

    def get(self, stream=None, order="C", out=None):
        wait("get")
        return np.array(self._a, order=order)

    def _value(self, kind):
        wait(kind)
        return self._a

    def item(self, *index):
        return self._value("item").item(*index)

    def tolist(self):
        return self._value("tolist").tolist()

    def tobytes(self, order="C"):
        return self._value("tobytes").tobytes(order)

    def __bool__(self):
        return bool(self._value("bool"))

    def __int__(self):
        return int(self._value("int"))

    def __float__(self):
        return float(self._value("float"))

    def __index__(self):
        return self._value("index").__index__()

    def __repr__(self):
        return repr(self._value("repr"))

    def __format__(self, spec):
        return format(self._value("format"), spec)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(IMPLICIT)

    # To other libraries

    def __dlpack_device__(self):
        return (2, 0)  # DLPack's number for CUDA, and the first device

    def __dlpack__(self, **request):
        return self._a.__dlpack__(max_version=(1, 0))  # only from_dlpack of this module takes it

    # NumPy's functions, given arrays of this module

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        import cupy

        here = getattr(cupy, ufunc.__name__, None)
        if method != "__call__" or here is None:
            return NotImplemented
        if not all(isinstance(x, (*SCALARS, ndarray, np.ndarray)) for x in inputs):
            return NotImplemented
        return here(*inputs, **({} if out is None else {"out": out[0]}), **options)

    def __array_function__(self, function, types, arguments, options):
        import cupy

        here = getattr(cupy, function.__name__, None) if function.__module__ == "numpy" else None
        if here is None or not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        return here(*arguments, **options)

    # Getting and setting parts

    def __getitem__(self, index):
        return _call(lambda a, i: a[_wrapped(a, i)], (self, index), {}, masks=index)

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("NumPy's arrays can't be assigned, only numbers")
        inner, source = _inner(index), _inner(value)
        if _has_mask(index) and isinstance(value, ndarray):
            wait("assignment through a mask")
        target = self._a

        def work():
            target[_wrapped(target, inner)] = source

        run(work, _memories((self, index, value)))

    def fill(self, value):
        self[...] = value

    def set(self, array, stream=None):
        if not isinstance(array, np.ndarray):
            raise TypeError("set takes an array of NumPy")
        if array.dtype != self.dtype or array.shape != self.shape:
            raise TypeError(f"set got {array.dtype} {array.shape}; expected {self.dtype} {self.shape}")
        if stream is None and device.stream().ptr == 0:
            wait("set on the null stream")  # a copy from pageable memory: cudaMemcpy
        device.refuse_while_recording("set")
        self._a[...] = array

    # Methods: functions of the same name

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == np.dtype(dtype):
            return self
        return _call(lambda a: np.array(a, dtype, order=order), (self,), {})

    def copy(self, order="C"):
        return _call(lambda a: np.array(a, order=order), (self,), {})

    def reshape(self, *shape, order="C"):
        shape = shape[0] if len(shape) == 1 else shape
        return _call(lambda a: np.reshape(a, shape, order=order), (self,), {})

    def transpose(self, *axes):
        return _call(lambda a: a.transpose(*axes), (self,), {})

    def swapaxes(self, first, second):
        return _call(lambda a: a.swapaxes(first, second), (self,), {})

    def ravel(self, order="C"):
        return self.reshape(-1, order=order)

    def view(self, dtype=None):
        return _call(lambda a: a.view() if dtype is None else a.view(dtype), (self,), {})


class Flags:
    """Whether the memory is in order. CuPy's arrays can always be written to, so that there is no such flag."""

    def __init__(self, inner):
        self.c_contiguous, self.f_contiguous = inner.flags.c_contiguous, inner.flags.f_contiguous
        self.owndata = inner.flags.owndata


class Pointer:
    """Where an array lies."""

    def __init__(self, address):
        self.ptr = address


# ---------------------------------------------------------------------------------------------------------
# Calling


def _call(function, arguments, options, *, masks=None):
    """Run a function of NumPy on what is inside; the result is a new array, or a view of the same memory."""
    _refuse_numpy((*arguments, *options.values()))
    if masks is not None and _has_mask(masks):
        wait("selection by a mask")
    inner, named = _inner(arguments), {name: _inner(value) for name, value in options.items()}
    with np.errstate(all="ignore"):
        result = np.asarray(function(*inner, **named))
    for source in _arrays((arguments, options)):
        if result.size and np.may_share_memory(result, source._a) and result is not source._a:
            return ndarray._of(result, source._memory)
    if recording() is None:
        return ndarray._of(result if result.base is None else result.copy())
    target = poison(np.empty_like(result))
    made = ndarray._of(target)

    def work():
        with np.errstate(all="ignore"):
            target[...] = function(*inner, **named)

    run(work, [made._memory, *_memories((arguments, options))])
    return made


def made(function):
    """Make a function of this module of one of NumPy's."""

    def here(*arguments, **options):
        return _call(function, arguments, options)

    here.__name__ = function.__name__
    return here


def elementwise(function):
    """Make a ufunc of this module of one of NumPy's: it can write into an array that is there."""

    def here(*arguments, out=None, **options):
        if out is None:
            return _call(function, arguments, options)
        _refuse_numpy((*arguments, out))
        inner, target = _inner(arguments), out._a

        def work():
            with np.errstate(all="ignore"):
                function(*inner, out=target, **options)

        run(work, _memories((arguments, out)))
        return out

    here.__name__ = function.__name__
    return here


def waiting(function):
    """Make a function whose result's shape depends on values, so that the host must wait for them."""

    def here(*arguments, **options):
        wait(function.__name__)
        _refuse_numpy((*arguments, *options.values()))
        result = function(*_inner(arguments), **options)
        return tuple(map(ndarray._of, result)) if isinstance(result, tuple) else ndarray._of(result)

    here.__name__ = function.__name__
    return here


def _inner(value):
    """Take NumPy's arrays out of ours, in tuples and lists, too."""
    if isinstance(value, ndarray):
        return value._a
    return type(value)(map(_inner, value)) if isinstance(value, tuple | list) else value


def _arrays(value):
    if isinstance(value, ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return [found for part in parts for found in _arrays(part)]


def _memories(value):
    return [array._memory for array in _arrays(value)]


def _refuse_numpy(values):
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{type(value)} doesn't mix with arrays on the device")
        if isinstance(value, tuple | list):
            _refuse_numpy(value)


def _has_mask(index):
    return any(a.dtype == np.bool_ for a in _arrays(index))


def _wrapped(array, index):
    """Let arrays of indices that are too large go round, as CuPy does."""
    if not isinstance(index, tuple):
        index = (index,)
    if not any(isinstance(i, np.ndarray) and i.dtype.kind in "iu" for i in index):
        return index
    plain = all(isinstance(i, np.ndarray) for i in index)
    if not plain:
        raise NotImplementedError("the stand-in knows arrays of indices for each of the first axes only")
    return tuple(
        i % max(length, 1) if i.dtype.kind in "iu" else i
        for i, length in zip(index, array.shape, strict=False)
    )


# ---------------------------------------------------------------------------------------------------------
# From the host


def array(value, dtype=None, copy=True, order="K"):
    if isinstance(value, ndarray):
        return value.astype(value.dtype if dtype is None else dtype, copy=copy)
    inner = np.array(value, dtype=dtype)  # lists of arrays of this module would be refused here: __array__
    if inner.ndim:
        device.refuse_while_recording(
            "a copy from the host"
        )  # it goes through pinned memory, and nobody waits
        return ndarray._of(inner)
    made = ndarray(inner.shape, inner.dtype)
    made.fill(inner[()])
    return made


def asarray(value, dtype=None, order=None):
    return array(value, dtype, copy=False)


def ascontiguousarray(value, dtype=None):
    value = asarray(value, dtype)
    if not value.ndim:
        return value.reshape(1)  # NumPy's gives one axis, too
    return value if value.flags.c_contiguous else value.copy()


def from_dlpack(source):
    if isinstance(source, ndarray):
        return ndarray._of(source._a, source._memory)
    capsule = source.__dlpack__()
    return ndarray._of(np.from_dlpack(_Capsule(capsule)))


class _Capsule:
    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **request):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


# ---------------------------------------------------------------------------------------------------------
# Operators and the remaining methods

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "matmul": "matmul",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def _operator(ufunc, *, reflected=False, in_place=False):
    def method(self, other):
        if isinstance(other, np.ndarray):
            raise TypeError(f"{type(other)} doesn't mix with arrays on the device")
        if not isinstance(other, (*SCALARS, ndarray)):
            return NotImplemented
        if in_place:
            return elementwise(ufunc)(self, other, out=self)
        return _call(ufunc, (other, self) if reflected else (self, other), {})

    return method


for _name, _ufunc in OPERATORS.items():
    _function = getattr(np, _ufunc)
    setattr(ndarray, f"__{_name}__", _operator(_function))
    if _name not in COMPARISONS:
        setattr(ndarray, f"__r{_name}__", _operator(_function, reflected=True))
        setattr(ndarray, f"__i{_name}__", _operator(_function, in_place=True))

for _name, _ufunc in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
    setattr(ndarray, f"__{_name}__", (lambda f: lambda self: _call(f, (self,), {}))(getattr(np, _ufunc)))

for _name in ("sum", "max", "min", "any", "all", "mean", "argmax", "round", "cumsum", "argsort"):
    setattr(ndarray, _name, (lambda f: lambda self, *a, **k: _call(f, (self, *a), k))(getattr(np, _name)))
