"""The graph that becomes an ONNX file, as plain Python: nodes, constants, and which array has which name.

An ONNX file holds nodes (an operator, names of inputs, names of results, attributes) and initializers (named arrays:
the weights). Nothing here needs the package ``onnx``: two graphs can be compared, and printed, without it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

TO_THE_END = 2**63 - 1  # as the end of a Slice


Place: TypeAlias = tuple[int, tuple[int, ...], tuple[int, ...]]


def _place(array: Array) -> Place:
    """Where an array lies and what part of memory it shows: two views of the same numbers are the same array."""
    return array.ctypes.data, array.shape, array.strides


class Node(NamedTuple):
    """One operator at work."""

    operator: str
    inputs: tuple[str, ...]  # "" where an optional one is left out
    results: tuple[str, ...]
    attributes: dict[str, Any]
    name: str


class Graph:
    """Nodes in the order of the computation.

    Parameters
    ----------
    weights
        The arrays of the model's parameters and buffers, by name. One that is used becomes an initializer.

    Examples
    --------
    >>> graph = Graph({})
    >>> x, y = np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2))
    >>> graph.enter(x, "image")
    >>> graph.call("Relu", [graph.name_of(x)], [y])
    ['relu_1']
    >>> graph.name_of(y)
    'relu_1'
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self.nodes: list[Node] = []
        self.initializers: dict[str, Array] = {}
        self.pooled: dict[str, str] = {}  # name of indices: name of the map that they point into
        self.windows: str | None = None  # name of (OH, OW): how many windows were cut out
        self._weights = {_place(array): (name, array) for name, array in reversed(weights.items())}
        self._values: dict[Place, tuple[str, Array]] = {}  # in the order of the computation
        self._sizes: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    # Names

    def enter(self, array: Array, name: str) -> None:
        """Give an array of the trace a name; it is kept, so that no other can get its place in memory."""
        self._values[_place(array)] = name, array

    def name_of(self, array: Array) -> str:
        """Return the name of an array that is an input, a weight, or a result of an earlier node."""
        place = _place(array)
        if place in self._values:
            return self._values[place][0]
        if place in self._weights:
            name, weight = self._weights[place]
            self.initializers[name] = weight
            return name
        raise ValueError(
            f"an array of shape {array.shape} came into the model's computation from elsewhere: it is no input, no "
            "parameter or buffer, and no result of an op. Compute with minisegnet.functional only, and keep fixed "
            "arrays as nn.Buffer"
        )

    def array_of(self, name: str) -> Array | None:
        """Return the array of the trace that has this name, for its shape."""
        return next((array for known, array in self._values.values() if known == name), None)

    def first_of_size(self, size: Pair) -> str | None:
        """Name of the first maps in the computation that have this size."""
        for name, array in self._values.values():
            if array.ndim == 4 and array.shape[2:] == size:
                return name
        return None

    # Nodes

    def call(
        self,
        operator: str,
        inputs: Sequence[str],
        results: Sequence[Array | None] = (None,),
        *,
        name: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node and return the names of its results; arrays among ``results`` are known by them from now on."""
        stem = operator.lower()
        self._counts[stem] += 1
        first = f"{stem}_{self._counts[stem]}"
        names = [first if k == 0 else f"{first}_{k}" for k in range(len(results))]
        self.nodes.append(Node(operator, tuple(inputs), tuple(names), attributes, name or first))
        for array, result in zip(results, names, strict=True):
            if array is not None:
                self.enter(array, result)
        return names

    def constant(self, values: Any, dtype: str = "int64") -> str:
        """Add a constant; the same numbers have the same name."""
        array = np.array(values, dtype)
        digest = hashlib.sha256(f"{dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
        name = f"constant_{digest[:16]}"
        self.initializers[name] = array
        return name

    def size_of(self, maps: str) -> str:
        """Name of the (H, W) of maps, read when the graph runs."""
        if maps not in self._sizes:
            shape = self.call("Shape", [maps])[0]
            cut = [self.constant([2]), self.constant([4]), self.constant([0])]
            self._sizes[maps] = self.call("Slice", [shape, *cut])[0]
        return self._sizes[maps]

    def slice(
        self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], y: Array | None
    ) -> str:
        """Cut out a part; an end of 0 is the last element's, a negative one counts from there."""
        stops = [end or TO_THE_END for end in ends]
        return self.call("Slice", [x, self.constant(starts), self.constant(stops), self.constant(axes)], [y])[
            0
        ]

    # The whole

    def keep_only_what_leads_to(self, result: str) -> None:
        """Drop nodes and constants that the result doesn't need."""
        needed, kept = {result}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.results):
                while node.results[-1] not in needed:  # indices that nobody reads, say
                    node = node._replace(results=node.results[:-1])
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]
        self.initializers = {name: a for name, a in self.initializers.items() if name in needed}

    def same_as(self, other: "Graph") -> bool:
        """Whether both compute the same: equal nodes and equal constants."""
        return (
            self.nodes == other.nodes
            and self.initializers.keys() == other.initializers.keys()
            and all(
                array is other.initializers[name] or np.array_equal(array, other.initializers[name])
                for name, array in self.initializers.items()
            )
        )

    def byte_count(self) -> int:
        """How many bytes the initializers take, about: four for each number."""
        return sum(4 * math.prod(array.shape) for array in self.initializers.values())
