"""Run a model once with shapes only, write down its ops, and rebuild them as a graph that fits other sizes, too."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from minisegnet import nn, ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, no_grad
from minisegnet.backends import numpy as numpy_kernels
from minisegnet.data.statistics import Normalisation
from minisegnet.export.graph import Graph
from minisegnet.export.operators import write
from minisegnet.inference import evaluating
from minisegnet.models import shapes
from minisegnet.sizes import Pair, as_int
from minisegnet.tracing import Recorder

IMAGE = "image"  # name of the first input
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)  # distances of sizes that may be alike to a model: poolings halve


class Network(NamedTuple):
    """A model as a graph, and what goes in and comes out."""

    graph: Graph
    inputs: dict[str, tuple[int | str, ...]]  # name: shape; a text stands for any length
    output: str
    output_shape: tuple[int | str, ...]
    step: Pair | None  # other sizes fit at these distances from that of the trace; None: no other size
    smallest: Pair | None
    size: Pair  # of the trace

    @property
    def sizes(self) -> str:
        """Say which sizes fit."""
        if self.step is None or self.smallest is None:
            return f"height and width: {self.size[0]} and {self.size[1]} only"
        (a, b), (least_h, least_w) = self.step, self.smallest
        if a == b and (self.size[0] - self.size[1]) % a == 0 and least_h == least_w:
            return f"height and width: {_progression(self.size[0], a, least_h)}"
        tall, wide = _progression(self.size[0], a, least_h), _progression(self.size[1], b, least_w)
        return f"height: {tall}; width: {wide}"


def _progression(length: int, step: int, least: int) -> str:
    if step == 1:
        return f"any from {least} up"
    rest = length % step
    return f"{f'{rest} more than ' if rest else ''}multiples of {step}, at least {least}"


def rebuild(
    model: Callable[..., Any],
    input_shape: Sequence[int],
    others: Mapping[str, Array] | None = None,
    *,
    normalisation: Normalisation | None = None,
    argmax: bool = False,
    any_size: bool = True,
) -> Network:
    """Rebuild a model as a graph; the parameters are those of :func:`minisegnet.export.to_onnx`.

    The model runs on a backend that computes no numbers and writes down all calls. It runs again with other sizes:
    those that give the very same graph are the sizes that the graph is right for.
    """
    N, C, H, W = _checked_shape(input_shape)
    given = {name: np.asarray(a) for name, a in (others or {}).items()}
    while N in {1, *map(len, given.values())}:  # so that the lengths of first axes tell whose they are
        N += 1

    def trace(size: Pair, guard: Pair | None = None) -> tuple[Graph, Array]:
        return _trace(model, (N, C, *size), given, normalisation, argmax, guard)

    graph, y = trace((H, W))
    step = _alike(trace, graph, (H, W)) if any_size else None
    smallest = None if step is None else _smallest(trace, graph, (H, W), step)
    if step is not None and step != (1, 1):
        graph, y = trace((H, W), guard=step)
    free: tuple[int | str, int | str] = (H, W) if step is None else ("height", "width")
    inputs: dict[str, tuple[int | str, ...]] = {IMAGE: ("batch", C, *free)}
    inputs |= {name: (f"{name}_count", *a.shape[1:]) for name, a in given.items()}
    first = next((f"{name}_count" for name, a in given.items() if len(a) == y.shape[0]), "batch")
    larger = y if step is None else trace((H + step[0], W + step[1]))[1]
    output_shape = first, *_output_dimensions(y, larger, (H, W))
    return Network(graph, inputs, graph.name_of(y), output_shape, step, smallest, (H, W))


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    if not isinstance(shape, tuple | list) or len(shape) != 4:
        raise ValueError(f"input_shape is {shape!r}; expected (N, C, H, W), such as (1, 3, 256, 256)")
    N, C, H, W = (as_int(length, f"input_shape[{k}]", 1) for k, length in enumerate(shape))
    return N, C, H, W


def _output_dimensions(y: Array, larger: Array, size: Pair) -> list[int | str]:
    """Say of each axis but the first how long it is: a number, or a text where it depends on the picture."""
    dimensions: list[int | str] = list(y.shape[1:])
    for axis, name in ((-2, "height"), (-1, "width")):
        if y.ndim > 2 and y.shape[axis] != larger.shape[axis]:
            dimensions[axis] = name if y.shape[axis] == size[axis] else f"score_{name}"
    return dimensions


# ---------------------------------------------------------------------------------------------------------
# One run


def _trace(
    model: Callable[..., Any],
    shape: tuple[int, int, int, int],
    others: Mapping[str, Array],
    normalisation: Normalisation | None,
    argmax: bool,
    guard: Pair | None,
) -> tuple[Graph, Array]:
    """Run the model on zeros of this shape; return its graph and the array of its result."""
    weights = _weights(model)
    dtype = next((a.dtype for a in weights.values() if a.dtype.kind == "f"), np.dtype(np.float32))
    x = np.zeros(shape, dtype)
    values = [x, *(a.astype(dtype) if a.dtype.kind == "f" else a for a in others.values())]
    recorder = Recorder(shapes, numpy_kernels)
    mode = evaluating(model) if isinstance(model, nn.Module) else nullcontext()
    with mode, no_grad(), ops.use_backend(recorder):
        result = model(*(Tensor(a) for a in values))
    y = result.data if isinstance(result, Tensor) else result
    if not isinstance(y, np.ndarray):
        raise TypeError(f"the model returned a {type(result).__name__}; expected one Tensor, its scores")

    graph = Graph(weights)
    for array, name in zip(values, [IMAGE, *others], strict=True):
        graph.enter(array, name)
    _prepare(graph, x, normalisation, guard)
    for call in recorder.calls:
        write(graph, call)
    if argmax:
        y = _add_argmax(graph, y)
    graph.keep_only_what_leads_to(graph.name_of(y))
    return graph, y


def _weights(model: Callable[..., Any]) -> dict[str, Array]:
    if not isinstance(model, nn.Module):
        return {}
    found = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.data for name, tensor in found}


def _prepare(graph: Graph, x: Array, normalisation: Normalisation | None, guard: Pair | None) -> None:
    """Add what comes before the model: a check of the size, and the normalisation."""
    name = IMAGE
    if guard is not None:
        name = _refuse_other_sizes(graph, x.shape[2:], guard)
    if normalisation is not None:
        if len(normalisation.mean) != x.shape[1]:
            raise ValueError(
                f"normalisation has {len(normalisation.mean)} means; expected one for each of the {x.shape[1]} channels"
            )
        mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in normalisation)
        name = graph.call("Sub", [name, graph.constant(mean, "float32")])[0]
        name = graph.call("Div", [name, graph.constant(std, "float32")])[0]
    graph.enter(x, name)


def _refuse_other_sizes(graph: Graph, size: tuple[int, int], step: Pair) -> str:
    """Give the picture the next smaller size that fits, by a Reshape: it fails where that isn't the picture's own.

    ONNX has no operator that raises an error. Without this one, a picture of another size would give scores that
    are shifted.
    """
    rests = [length % s for length, s in zip(size, step, strict=True)]
    rest, steps = graph.constant(rests), graph.constant(step)
    above = graph.call("Sub", [graph.size_of(IMAGE), rest])[0]
    whole = graph.call("Mul", [graph.call("Div", [above, steps])[0], steps])[0]
    fitting = graph.call("Add", [whole, rest])[0]
    shape = graph.call("Concat", [graph.constant([0, 0]), fitting], axis=0)[0]  # 0: as it is
    texts = [f"{f'{r}_more_than_' if r else ''}a_multiple_of_{s}" for r, s in zip(rests, step, strict=True)]
    return graph.call("Reshape", [IMAGE, shape], name=f"height_must_be_{texts[0]}_and_width_{texts[1]}")[0]


def _add_argmax(graph: Graph, scores: Array) -> Array:
    labels = np.zeros((scores.shape[0], *scores.shape[2:]), np.int64)  # (N, H, W)
    graph.call("ArgMax", [graph.name_of(scores)], [labels], axis=1, keepdims=0)
    return labels


# ---------------------------------------------------------------------------------------------------------
# Which sizes fit

Trace = Callable[[Pair], tuple[Graph, Array]]


def _alike(trace: Trace, graph: Graph, size: Pair) -> Pair | None:
    """Find the smallest steps from one size to others that have the same graph; None where there are none."""
    steps = []
    for axis in (0, 1):
        fits = (s for s in STEPS if all(_same(trace, graph, _further(size, axis, k * s)) for k in (1, 2, 3)))
        step = next(fits, None)
        if step is None:
            return None
        steps.append(step)
    both = size[0] + steps[0], size[1] + 2 * steps[1]
    return (steps[0], steps[1]) if _same(trace, graph, both) else None


def _further(size: Pair, axis: int, by: int) -> Pair:
    return (size[0] + by, size[1]) if axis == 0 else (size[0], size[1] + by)


def _same(trace: Trace, graph: Graph, size: Pair) -> bool:
    try:
        return trace(size)[0].same_as(graph)
    except ValueError:  # the model refuses the size
        return False


def _smallest(trace: Trace, graph: Graph, size: Pair, step: Pair) -> Pair:
    """Find the smallest height and the smallest width, each beside the other side's own, that have the same graph."""
    found = []
    for axis in (0, 1):
        lengths = range(size[axis] % step[axis] or step[axis], size[axis] + 1, step[axis])
        fits = (n for n in lengths if _same(trace, graph, _further(size, axis, n - size[axis])))
        found.append(next(fits, size[axis]))
    return found[0], found[1]
