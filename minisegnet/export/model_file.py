"""Write a graph as an ONNX file, with all that a user of the file must know in its metadata."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minisegnet import files
from minisegnet.arrays import Array
from minisegnet.data.statistics import Normalisation
from minisegnet.export.rebuild import Network, rebuild

OPSET = 17  # version of ONNX's operators: known to ONNX Runtime from 1.12 on
FORMAT = 8  # version of the file format that goes with it
MOST_BYTES = 2**31 - 2**20  # protobuf holds 2 GiB


def to_onnx(
    model: Callable[..., Any],
    path: str | Path,
    *,
    input_shape: Sequence[int],
    normalisation: Normalisation | None = None,
    argmax: bool = False,
    class_names: Sequence[str] = (),
    palette: Sequence[tuple[int, int, int]] = (),
    facts: Mapping[str, str] | None = None,
    any_size: bool = True,
    others: Mapping[str, Array] | None = None,
) -> Network:
    """Write a model as an ONNX file of opset 17, in float32.

    The first input is called ``image``, the result ``scores`` (or ``labels``). The batch may have any length. Where
    the model allows it, height and width are free, too: in steps in which all poolings come out as they do at
    ``input_shape``. A picture whose size doesn't fit is refused by the file itself.

    Parameters
    ----------
    model
        A module, or any function of Tensors that computes with ``minisegnet.functional``. It is exported as it is in
        evaluation mode.
    path
        The file to write, whole or not at all; one that is there already is replaced.
    input_shape
        (N, C, H, W) of the pictures; N doesn't matter.
    normalisation
        Becomes part of the graph, which then takes pictures as floats from 0 to 1. None: pictures come normalised.
    argmax
        Return labels (N, H, W), int64, in place of scores (N, classes, H, W).
    class_names, palette, facts
        Go into the file's metadata: ``class_names``, ``palette`` and ``normalisation`` as JSON, ``sizes`` in words,
        and the facts as they are.
    any_size
        False: fix height and width, for programs that want to know them beforehand.
    others
        Examples of further inputs, by name, such as ``{"rois": boxes}``. Their first axis may have any length.

    Returns
    -------
    Network
        What was written: its ``inputs``, ``output_shape`` and ``sizes`` say what fits.

    Raises
    ------
    ValueError
        An op has no counterpart in ONNX, a number came into the model from elsewhere, or ``onnx`` isn't installed.
    """
    onnx = require("onnx")
    network = rebuild(
        model, input_shape, others, normalisation=normalisation, argmax=argmax, any_size=any_size
    )
    about = {"sizes": network.sizes}
    if class_names:
        about["class_names"] = json.dumps(list(class_names), ensure_ascii=False)
    if palette:
        about["palette"] = json.dumps([list(colour) for colour in palette])
    if normalisation is not None:
        about["normalisation"] = json.dumps({"mean": normalisation.mean, "std": normalisation.std})
    proto = _as_proto(onnx, network, "labels" if argmax else "scores", {**about, **(facts or {})})
    onnx.checker.check_model(proto, full_check=True)
    files.write_atomically(path, proto.SerializeToString(deterministic=True))
    return network


def require(package: str) -> Any:
    """Import ``onnx`` or ``onnxruntime``, or say how to install it."""
    if importlib.util.find_spec(package) is None:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ValueError(
            f"the package {package} is not installed; install it with: pip install 'minisegnet[onnx]' (this is Python "
            f"{python}; onnxruntime needs some time to support a new Python)"
        )
    module = importlib.import_module(package)
    for part in ("helper", "numpy_helper", "checker") if package == "onnx" else ():
        importlib.import_module(f"onnx.{part}")
    return module


def _as_proto(onnx: Any, network: Network, result: str, about: Mapping[str, str]) -> Any:
    graph, helper, kinds = network.graph, onnx.helper, onnx.TensorProto
    if graph.byte_count() > MOST_BYTES:
        raise ValueError(
            f"the weights take {graph.byte_count() / 2**30:.1f} GiB; one ONNX file holds 2. Export a smaller model"
        )
    nodes = [
        helper.make_node(
            node.operator,
            list(node.inputs),
            [result if name == network.output else name for name in node.results],
            name=node.name,
            **node.attributes,
        )
        for node in graph.nodes
    ]
    inputs = [helper.make_tensor_value_info(name, kinds.FLOAT, s) for name, s in network.inputs.items()]
    kind = kinds.INT64 if result == "labels" else kinds.FLOAT
    output = helper.make_tensor_value_info(result, kind, network.output_shape)
    weights = [onnx.numpy_helper.from_array(_plain(a), name) for name, a in graph.initializers.items()]
    from minisegnet import __version__

    proto = helper.make_model(
        helper.make_graph(nodes, "minisegnet", inputs, [output], initializer=weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="minisegnet",
        producer_version=__version__,
        ir_version=FORMAT,
    )
    helper.set_model_props(proto, dict(about))
    return proto


def _plain(array: Array) -> Array:
    """Return float32 or int64, in C order."""
    return np.asarray(array, np.float32 if array.dtype.kind == "f" else np.int64, order="C")
