"""Give arrays to other libraries and take theirs, without copying where that is safe.

Two protocols are about: NumPy's ``__array__`` (``np.asarray(tensor)``), and DLPack (``torch.from_dlpack(tensor)``), by
which libraries tell each other where in memory an array lies. Whoever shares memory sees the other's changes. So what
may not be written to is never shared with DLPack: some libraries don't look at the flag that says so, and would write
all the same; they get a copy.
"""

from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops.dispatch import is_cupy, selected_backend

CPU = 1  # DLPack's numbers for devices
DEVICES = {
    2: "an NVIDIA GPU",
    3: "pinned memory",
    7: "Vulkan",
    8: "an Apple GPU",
    10: "an AMD GPU",
    14: "oneAPI",
}

FOLLOWED = (
    "this tensor requires a gradient, which no other library can follow; pass tensor.detach() or its array, "
    "tensor.data"
)


def as_numpy(array: Array, requires_grad: bool, dtype: Any, copy: bool | None) -> Array:
    """Answer ``np.asarray(tensor)``: the tensor's own array, unless another dtype or a copy is asked for."""
    if requires_grad:
        raise TypeError(FOLLOWED)
    if is_cupy(array):
        raise TypeError("this tensor lies on the GPU; copy it to NumPy by ops.to_numpy(tensor.data)")
    return np.array(array, dtype=dtype, copy=copy)


def capsule(array: Array, requires_grad: bool, **request: Any) -> Any:
    """Answer ``__dlpack__``: what another library makes an array of that shares this one's memory.

    Parameters
    ----------
    array, requires_grad
        The tensor's.
    **request
        What the other library asks for: ``stream``, ``max_version``, ``dl_device``, ``copy``.
    """
    if requires_grad:
        raise BufferError(FOLLOWED)
    if not is_cupy(array) and not array.flags.writeable:
        if request.get("copy") is False:
            raise BufferError("this tensor's array is read-only and is not shared; allow a copy (copy=None)")
        array = array.copy()
    told = {name: value for name, value in request.items() if value is not None}
    return array.__dlpack__(**told)


def received(source: Any) -> Array:
    """Take another library's array by DLPack, sharing its memory; read-only where it says so.

    >>> array = np.ones(2)
    >>> shared = received(array)
    >>> array[0] = 5
    >>> shared
    array([5., 1.])
    """
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(f"a {type(source).__name__} has no __dlpack__; expected an array of another library")
    device = int(source.__dlpack_device__()[0])
    if device != CPU and selected_backend() == "cupy":
        import cupy

        taken: Array = cupy.from_dlpack(source)
        return taken
    if device != CPU:
        where = DEVICES.get(device, f"a device of DLPack's kind {device}")
        raise ValueError(
            f"the array lies on {where}; expected one in main memory: move it first, such as by .cpu()"
        )
    try:
        return np.from_dlpack(source)
    except (BufferError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"the {type(source).__name__} can't be shared: {error}. Detach it from its gradient, or convert it to "
            "float32 first"
        ) from error
