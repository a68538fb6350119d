"""Arrays that never change, and what was computed from them.

A fast kernel wants its filters in another order than the model has them, and Winograd's wants other numbers: 36 instead
of 9. In training the filters are others in each step. A model that only predicts has the same ones for every picture:
what was made from them can be kept. But how would a kernel know that nobody changed them meanwhile? It can't be
sure of an array that came from outside. So ``constant`` copies an array into one that is read-only and that nobody else
has seen, and ``derived`` trusts those alone.

>>> import numpy as np
>>> w = constant(np.ones(3))
>>> twice = derived(w, "twice", lambda: 2 * w)
>>> derived(w, "twice", lambda: 2 * w) is twice     # found again
True
>>> w[0] = 5.0
Traceback (most recent call last):
    ...
ValueError: assignment destination is read-only

What is kept goes when the array itself goes.
"""

import weakref
from collections.abc import Callable, Hashable

import numpy as np

from minisegnet.arrays import Array

_kept: dict[int, tuple["weakref.ref[Array]", dict[Hashable, Array]]] = {}  # by the id of the constant


def constant(array: Array) -> Array:
    """Return a read-only copy, C-contiguous, from which kernels may keep what they compute."""
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    address = id(copy)
    _kept[address] = (weakref.ref(copy, lambda _: _kept.pop(address, None)), {})
    return copy


def derived(array: Array, name: Hashable, make: Callable[[], Array]) -> Array:
    """Return what ``make()`` computes from ``array``; for a constant only once, and later what was kept as ``name``.

    One that is found writeable is a constant no longer. (Who makes it writeable, changes it and makes it read-only
    again before the next call isn't found out.)
    """
    known = _kept.get(id(array))
    if known is None or known[0]() is not array:
        return make()
    if array.flags.writeable:
        _kept.pop(id(array), None)  # another thread may have been here
        return make()
    if name not in known[1]:
        known[1][name] = make()
    return known[1][name]
