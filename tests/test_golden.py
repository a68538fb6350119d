"""Every op against numbers that PyTorch, torchvision and ONNX made; see golden/README.md.

Each case runs on each backend: in float64 it must agree to 1e-10 and in float32 to what float32 holds, in
the forward and in every gradient; index arrays must be equal. The result must also be the same when the
inputs are transposed in memory, run backwards through it, or must not be written to.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cases import FOLDER, Arrays, Case, read
from op_table import CPU_BACKENDS

from minisegnet import ops
from minisegnet.ops import use_backend

FILES = sorted(path.stem for path in FOLDER.glob("*.npz"))
REFERENCE_LIMIT = 3000  # input elements; the plain loops would take long with more

CASES = {name: case for file in FILES for name, case in read(file).items()}


# ---------------------------------------------------------------------------------------------------------
# How to call each op: `a` holds the arrays of the case, `k` its keyword arguments. The answer has all that
# comes out under the names that the files use. Without a `dy` (ONNX has none) only the forward is run.

Run = Callable[[Arrays, dict[str, Any]], Arrays]
RUN: dict[str, Run] = {}


def runs(op: str) -> Callable[[Run], Run]:
    """Enter a function into the table."""

    def enter(run: Run) -> Run:
        RUN[op] = run
        return run

    return enter


@runs("conv2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.conv2d(a["x"], a["w"], a.get("b"), **k)}
    if "dy" in a:
        out["dx"], out["dw"], out["db"] = ops.conv2d_backward(a["dy"], a["x"], a["w"], **k)
    return out


@runs("conv2d_relu")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    y = ops.conv2d_relu(a["x"], a["w"], a.get("b"), **k)
    dx, dw, db = ops.conv2d_relu_backward(a["dy"], y, a["x"], a["w"], **k)
    return {"y": y, "dx": dx, "dw": dw, "db": db}


@runs("conv_transpose2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.conv_transpose2d(a["x"], a["w"], a.get("b"), **k)}
    if "dy" in a:
        out["dx"], out["dw"], out["db"] = ops.conv_transpose2d_backward(a["dy"], a["x"], a["w"], **k)
    return out


@runs("max_pool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    y, indices = ops.max_pool2d(a["x"], **k)
    out = {"y": y, "indices": indices}
    if "dy" in a:
        out["dx"] = ops.max_pool2d_backward(a["dy"], indices, a["x"].shape[2:])
    return out


@runs("adaptive_max_pool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    y, indices = ops.adaptive_max_pool2d(a["x"], **k)
    return {"y": y, "indices": indices, "dx": ops.max_pool2d_backward(a["dy"], indices, a["x"].shape[2:])}


@runs("max_unpool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.max_unpool2d(a["x"], a["indices"], **k)}
    if "dy" in a:
        out["dx"] = ops.max_unpool2d_backward(a["dy"], a["indices"])
    return out


@runs("avg_pool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.avg_pool2d(a["x"], **k)}
    if "dy" in a:
        out["dx"] = ops.avg_pool2d_backward(a["dy"], a["x"].shape[2:], **k)
    return out


@runs("global_avg_pool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.global_avg_pool2d(a["x"])}
    if "dy" in a:
        out["dx"] = ops.global_avg_pool2d_backward(a["dy"], a["x"].shape[2:])
    return out


@runs("adaptive_avg_pool2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    dx = ops.adaptive_avg_pool2d_backward(a["dy"], a["x"].shape[2:])
    return {"y": ops.adaptive_avg_pool2d(a["x"], **k), "dx": dx}


@runs("resize_bilinear")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.resize_bilinear(a["x"], **k)}
    if "dy" in a:
        align_corners = k["align_corners"]
        out["dx"] = ops.resize_bilinear_backward(a["dy"], a["x"].shape[2:], align_corners=align_corners)
    return out


@runs("resize_nearest")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.resize_nearest(a["x"], **k)}
    if "dy" in a:
        out["dx"] = ops.resize_nearest_backward(a["dy"], a["x"].shape[2:])
    return out


@runs("roi_pool")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    y, argmax = ops.roi_pool(a["x"], a["rois"], **k)
    dx = ops.roi_pool_backward(a["dy"], argmax, a["rois"], a["x"].shape)
    return {"y": y, "argmax": argmax, "dx": dx}


@runs("roi_align")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.roi_align(a["x"], a["rois"], **k)}
    if "dy" in a:
        settings = {name: value for name, value in k.items() if name != "output_size"}
        out["dx"] = ops.roi_align_backward(a["dy"], a["rois"], a["x"].shape, **settings)
    return out


@runs("nms")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    return {"kept": ops.nms(a["boxes"], a["scores"], **k)}


@runs("batch_norm")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    names = ("x", "gamma", "beta", "running_mean", "running_var")
    y, mean, inv_std, running_mean, running_var = ops.batch_norm(*(a.get(name) for name in names), **k)
    out = {"y": y, "mean": mean, "inv_std": inv_std, "running_mean": running_mean, "running_var": running_var}
    if "dy" in a:
        gradients = ops.batch_norm_backward(
            a["dy"], a["x"], a.get("gamma"), mean, inv_std, training=k["training"]
        )
        out |= dict(zip(("dx", "dgamma", "dbeta"), gradients, strict=True))
    return out


@runs("batch_norm_relu")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    names = ("x", "gamma", "beta", "running_mean", "running_var")
    y, mean, inv_std, running_mean, running_var = ops.batch_norm_relu(*(a.get(name) for name in names), **k)
    gradients = ops.batch_norm_relu_backward(
        a["dy"], y, a["x"], a.get("gamma"), mean, inv_std, training=k["training"]
    )
    out = dict(zip(("dx", "dgamma", "dbeta"), gradients, strict=True))
    return out | {"y": y, "running_mean": running_mean, "running_var": running_var}


@runs("softmax_cross_entropy")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    settings = k | {name: a.get(name) for name in ("weight", "pixel_weight")}
    loss, probs = ops.softmax_cross_entropy(a["logits"], a["target"], **settings)
    out = {"loss": loss, "probs": probs}
    if "dloss" in a:
        out["dlogits"] = ops.softmax_cross_entropy_backward(a["dloss"], probs, a["target"], **settings)
    return out


@runs("bce_with_logits")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    settings = k | {name: a.get(name) for name in ("weight", "pixel_weight")}
    dlogits = ops.bce_with_logits_backward(a["dloss"], a["logits"], a["target"], **settings)
    return {"loss": ops.bce_with_logits(a["logits"], a["target"], **settings), "dlogits": dlogits}


def activation(name: str) -> Run:
    """Make the call of an op of one array, whose backward takes dy, y and the same keywords."""

    def run(a: Arrays, k: dict[str, Any]) -> Arrays:
        out = {"y": getattr(ops, name)(a["x"], **k)}
        if "dy" in a:
            out["dx"] = getattr(ops, name + "_backward")(a["dy"], out["y"], **k)
        return out

    return run


for _name in ("softmax", "log_softmax", "relu", "leaky_relu", "sigmoid"):
    RUN[_name] = activation(_name)


@runs("linear")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.linear(a["x"], a["w"], a.get("b"))}
    if "dy" in a:
        out["dx"], out["dw"], out["db"] = ops.linear_backward(a["dy"], a["x"], a["w"])
    return out


@runs("concat")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    arrays = [a[name] for name in sorted(a) if name != "dy"]
    out = {"y": ops.concat(arrays, **k)}
    if "dy" in a:
        gradients = ops.concat_backward(a["dy"], [x.shape[k["axis"]] for x in arrays], **k)
        out |= {f"dx{i}": dx for i, dx in enumerate(gradients)}
    return out


@runs("add")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.add(a["a"], a["b"])}
    if "dy" in a:
        out["da"], out["db"] = ops.add_backward(a["dy"])
    return out


@runs("pad2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    out = {"y": ops.pad2d(a["x"], **k)}
    if "dy" in a:
        out["dx"] = ops.pad2d_backward(a["dy"], **k)
    return out


@runs("crop2d")
def _(a: Arrays, k: dict[str, Any]) -> Arrays:
    return {"y": ops.crop2d(a["x"], **k), "dx": ops.crop2d_backward(a["dy"], a["x"].shape[2:])}


# ---------------------------------------------------------------------------------------------------------
# The comparison


def compare(actual: Arrays, case: Case, dtype: Any, tolerance: float, what: str) -> None:
    """Check all that the case knows: shape, dtype, where NaN and infinities are, and the numbers."""
    for name, expected in case.expected.items():
        got, where = actual[name], f"{what}: {name} of {case.op} with {case.kwargs}"
        assert isinstance(got, np.ndarray), f"{where} is a {type(got).__name__}"
        if case.first is not None:
            got = got[: case.first]
        assert got.shape == expected.shape, where
        if expected.dtype.kind == "i":
            assert got.dtype == np.int64, where
            np.testing.assert_array_equal(got, expected, err_msg=where)
            continue
        assert got.dtype == dtype, where
        usual = np.isfinite(expected)
        np.testing.assert_array_equal(
            got[~usual], expected[~usual], err_msg=where
        )  # equal NaN count as equal
        # Measured against the largest number in the array: a sum of large numbers has errors of their size.
        size = float(np.abs(expected[usual]).max(initial=1e-3 if dtype == np.float64 else 1.0))
        error = np.abs(got[usual].astype(np.float64) - expected[usual]).max(initial=0.0)
        assert error <= tolerance * size, f"{where}: off by {error:.3g}\ngot\n{got}\nexpected\n{expected}"


def cast(arrays: Arrays, dtype: Any) -> Arrays:
    """Give the floating-point arrays another dtype."""
    return {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in arrays.items()}


def transposed(a: np.ndarray) -> np.ndarray:
    """Lay the array out in memory with its axes the other way round."""
    return a.T.copy().T


def backwards(a: np.ndarray) -> np.ndarray:
    """Lay the array out in memory from its end to its start: all strides are negative."""
    reverse = (..., *[slice(None, None, -1)] * a.ndim)  # the dots keep an array without axes an array
    return a[reverse].copy()[reverse]


def read_only(a: np.ndarray) -> np.ndarray:
    """Make a copy that must not be written to."""
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def marks(backend: str, number: int) -> list[pytest.MarkDecorator]:
    """Of the CUDA sources on the CPU, which are slow, every fifth case will do for every day."""
    return [pytest.mark.slow] if backend == "cuda-on-cpu" and number % 5 else []


PARAMETERS = [
    pytest.param(name, backend, id=f"{name}-{backend}", marks=marks(backend, number))
    for number, (name, case) in enumerate(CASES.items())
    for backend in CPU_BACKENDS
    if backend != "reference" or case.elements <= REFERENCE_LIMIT
]


@pytest.mark.parametrize(("name", "backend"), PARAMETERS)
def test_golden(name: str, backend: str) -> None:
    reason = ops.why_not(backend)
    if reason:
        pytest.skip(reason)
    case = CASES[name]
    run = RUN[case.op]
    inputs = cast(case.inputs, np.float64)
    with use_backend(backend):
        compare(run(inputs, case.kwargs), case, np.float64, case.tolerance, "float64")
        if case.float32 is not None:
            narrow = run(cast(case.inputs, np.float32), case.kwargs)
            compare(narrow, case, np.float32, case.float32, "float32")
        if backend in (
            "reference",
            "cuda-on-cpu",
        ):  # the layout is made straight in ops, before any backend sees it
            return
        for layout in (transposed, backwards, read_only):
            arrays = {name: layout(a) for name, a in inputs.items()}
            compare(run(arrays, case.kwargs), case, np.float64, case.tolerance, layout.__name__)


def test_every_op_has_cases() -> None:
    """The files are there, and no op that PyTorch, torchvision or ONNX know has been forgotten."""
    public = {name for name in ops.__all__ if name + "_backward" in ops.__all__} | {
        "adaptive_max_pool2d",
        "nms",
    }
    assert public - {"dropout"} <= {case.op for case in CASES.values()}  # whose random bits are our own
