"""Compare a file with a model where both unpool, and rounding decided which of two equal values was the larger.

Two values of a pooling window may be equal but for rounding, and each program rounds in its own way. For most networks
it doesn't matter which is taken. One that unpools puts the value to the place of the one taken, and everything
around that place changes. Neither program is wrong. So here the file tells which places it took; the model takes the
same ones, having made sure that no other value there was larger by more than rounding; then the scores must agree.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.export.model_file import require
from minisegnet.ops.dispatch import selected_backend


class Agreement(NamedTuple):
    """What comes out when the model takes the file's places."""

    result: Array  # of the file
    scores: Array  # of the model
    ties: int  # windows in which the two take different places
    gap: float  # the largest difference between the two values there, as a share of values beyond 1


class Follower(ModuleType):
    """A backend that pools to places that are given, and leaves all else to another one.

    Parameters
    ----------
    kernels
        The backend that computes.
    places
        For each call of ``max_pool2d``: the flat places (N, C, OH, OW) in their planes, or None.
    """

    def __init__(self, kernels: ModuleType, places: list[Array | None]) -> None:
        super().__init__("follower")
        self.kernels, self.places = kernels, list(places)
        self.ties, self.gap = 0, 0.0

    def __getattr__(self, op: str) -> Any:
        return getattr(self.kernels, op)

    def max_pool2d(self, x: Array, *window: Any, **options: Any) -> tuple[Array, Array]:
        """Return the values at the given places; note where they aren't the largest."""
        y, indices = self.kernels.max_pool2d(x, *window, **options)
        places = self.places.pop(0)
        if places is None:
            return y, indices
        if places.shape != indices.shape:
            raise ValueError(f"the file pools to {places.shape}, the model to {indices.shape}")
        N, C = places.shape[:2]
        taken = np.take_along_axis(x.reshape(N, C, -1), places.reshape(N, C, -1), axis=2).reshape(y.shape)
        self.ties += int((places != indices).sum())
        self.gap = max(self.gap, float(((y - taken) / np.maximum(np.abs(y), 1)).max(initial=0)))
        return taken, places


def with_the_files_choices(
    path: str | Path, scores_of: Callable[..., Array], arrays: Mapping[str, Array]
) -> Agreement | None:
    """Run the file once more so that it tells its places, and the model with them; None where it doesn't unpool."""
    onnx, runtime = require("onnx"), require("onnxruntime")
    proto = onnx.load(str(path))
    pools = [node for node in proto.graph.node if node.op_type == "MaxPool"]
    told = [node.output[1] if len(node.output) > 1 else None for node in pools]
    if not any(told):
        return None
    sources = {node.output[1]: node.input[0] for node in pools if len(node.output) > 1}
    for name in [*sources, *dict.fromkeys(sources.values())]:
        proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(None, dict(arrays)), strict=True))
    places = [None if n is None else _in_planes(results[n], results[sources[n]].shape) for n in told]
    follower = Follower(_kernels(), places)
    with ops.use_backend(follower):
        scores = scores_of(*arrays.values())
    return Agreement(results[names[0]], scores, follower.ties, follower.gap)


def _in_planes(indices: Array, shape: tuple[int, ...]) -> Array:
    """Turn places in (N, C, H, W), flat, into places in each plane."""
    N, C, H, W = shape
    in_planes: Array = indices - np.arange(N * C).reshape(N, C, 1, 1) * (H * W)
    return in_planes


def _kernels() -> ModuleType:
    backend = selected_backend()
    if isinstance(backend, ModuleType):
        return backend
    return importlib.import_module(f"minisegnet.backends.{backend}")
