"""Calls of activations, of batch normalisation and of what arranges maps."""

from typing import Any

import numpy as np

from minisegnet.marking.cases.case import Arguments, Fill, Spec, answer, both, family

# ---------------------------------------------------------------------------------------------------------
# Activations: element by element, any number of axes

ANY = {"N": 1, "M": 1, "L": 1, "rank": 1}
ANY_SPECS: tuple[Spec, ...] = (
    {"N": 2},
    {"N": 4},
    {"N": 2, "M": 3, "rank": 2},
    {"N": 2, "M": 2, "L": 3, "rank": 4},
    {"N": 3, "M": 4, "rank": 2},
)
ANY_MOST = {"N": 3, "M": 3, "L": 3, "rank": 4}


def _shape(s: Spec) -> tuple[int, ...]:
    return (s["N"], s["M"], s["L"], 2)[: s["rank"]]


ACTIVATION_SPECIAL = (
    ("integers", {"N": 4}),
    ("negative", {"N": 3}),
    ("nan", {"N": 4}),
    ("inf", {"N": 4}),
    ("zeros", {"N": 2}),
)


@family("relu", ANY, ANY_SPECS, ANY_MOST, ACTIVATION_SPECIAL)
@family("sigmoid", ANY, ANY_SPECS, ANY_MOST, (("large", {"N": 4}),))
def relu(s: Spec, fill: Fill) -> Arguments:
    """Build x."""
    return {"x": fill(*_shape(s))}


@family("leaky_relu", ANY, ANY_SPECS, ANY_MOST, ACTIVATION_SPECIAL)
def leaky_relu(s: Spec, fill: Fill) -> Arguments:
    """Build x and the slope."""
    return {"x": fill(*_shape(s)), "slope": 0.5}


def _back(op: str, s: Spec, fill: Fill, **options: Any) -> Arguments:
    y = answer(op, {"x": fill(*_shape(s)), **options})[0]
    return {"dy": fill(*y.shape) if fill.kind == "normal" else fill.plain(*y.shape), "y": y}


@family("relu_backward", ANY, ANY_SPECS, ANY_MOST, (("integers", {"N": 4}), ("zeros", {"N": 2})))
def relu_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, and y as the forward gives it."""
    return _back("relu", s, fill)


@family("leaky_relu_backward", ANY, ANY_SPECS, ANY_MOST, (("integers", {"N": 4}), ("zeros", {"N": 2})))
def leaky_relu_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, y and the slope."""
    return {**_back("leaky_relu", s, fill, slope=0.5), "slope": 0.5}


@family("sigmoid_backward", ANY, ANY_SPECS, ANY_MOST)
def sigmoid_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy and y."""
    return _back("sigmoid", s, fill)


SOFT = {"N": 1, "C": 1, "H": 1, "W": 1, "rank": 2, "axis": 1}
SOFT_SPECS: tuple[Spec, ...] = (
    {"C": 2},
    {"C": 3},
    {"N": 2, "C": 2},
    {"N": 2, "C": 3},
    {"N": 1, "C": 3, "H": 2, "W": 2, "rank": 4},
    {"N": 3, "C": 2, "axis": 0},
    {"N": 2, "C": 2, "H": 2, "W": 3, "rank": 4, "axis": 3},
    {"N": 2, "C": 2, "H": 2, "W": 3, "rank": 4, "axis": -1},
    {"N": 2, "C": 3, "H": 2, "W": 4, "rank": 4},
)
SOFT_MOST = {"N": 2, "C": 4, "H": 2, "W": 3, "rank": 4}
LARGE = (("large", {"C": 3}), ("large", {"N": 2, "C": 3, "H": 2, "rank": 4}))


@family("softmax", SOFT, SOFT_SPECS, SOFT_MOST, LARGE)
@family("log_softmax", SOFT, SOFT_SPECS, SOFT_MOST, LARGE)
def softmax(s: Spec, fill: Fill) -> Arguments:
    """Build x and the axis."""
    return {"x": fill(*_soft_shape(s)), "axis": s["axis"]}


def _soft_shape(s: Spec) -> tuple[int, ...]:
    return (s["N"], s["C"], s["H"], s["W"])[: s["rank"]]


@family("softmax_backward", SOFT, SOFT_SPECS, SOFT_MOST)
def softmax_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, y and the axis."""
    return _soft_back("softmax", s, fill)


@family("log_softmax_backward", SOFT, SOFT_SPECS, SOFT_MOST)
def log_softmax_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, y and the axis."""
    return _soft_back("log_softmax", s, fill)


def _soft_back(op: str, s: Spec, fill: Fill) -> Arguments:
    # Steps of 1 would saturate a softmax of many classes: y stays where there is something to see.
    x = fill(*_soft_shape(s)) * fill.dtype.type(0.5)
    y = answer(op, {"x": x, "axis": s["axis"]})[0]
    return {"dy": fill(*y.shape), "y": y, "axis": s["axis"]}


# ---------------------------------------------------------------------------------------------------------
# Batch normalisation

NORM = {"N": 1, "C": 1, "H": 1, "W": 1, "rank": 4, "affine": 0, "evaluate": 0, "running": 0, "half": 0}
NORM_SPECS: tuple[Spec, ...] = (
    {"N": 2},
    {"W": 3},
    {"N": 2, "W": 2},
    {"N": 2, "C": 2, "W": 2},
    {"N": 2, "C": 2, "W": 2, "affine": 1},
    {"N": 2, "W": 2, "running": 1},
    {"N": 2, "C": 2, "W": 2, "running": 1, "half": 1},
    {"N": 3, "C": 2, "rank": 2},
    {"N": 2, "C": 2, "W": 2, "running": 1, "evaluate": 1},
    {"N": 1, "C": 2, "affine": 1, "running": 1, "evaluate": 1},
    {"N": 2, "C": 3, "H": 2, "W": 2, "affine": 1, "running": 1},
)
NORM_MOST = {"N": 3, "C": 3, "H": 2, "W": 3, "affine": 1, "evaluate": 1, "running": 1, "half": 1}


@family("batch_norm", NORM, NORM_SPECS, NORM_MOST, batch="")
def batch_norm(s: Spec, fill: Fill) -> Arguments:
    """Build x, scale, shift and running statistics."""
    C = s["C"]
    x = fill(*(s["N"], C, s["H"], s["W"])[: s["rank"]])
    affine, running = s["affine"], s["running"] or s["evaluate"]
    return {
        "x": x + fill.dtype.type(2),
        "gamma": fill.positive(C) if affine else None,
        "beta": fill(C) if affine else None,
        "running_mean": fill(C) if running else None,
        "running_var": fill.positive(C) if running else None,
        "training": not s["evaluate"],
        "momentum": 0.25 if s["half"] else 0.1,
        "eps": 0.5 if s["half"] else 1e-5,
    }


BACK = {name: least for name, least in NORM.items() if name not in ("running", "half")}
BACK_SPECS = (
    *({name: v for name, v in spec.items() if name in BACK} for spec in NORM_SPECS[:-1]),
    {"N": 2, "C": 3, "H": 2, "W": 2, "affine": 1},
)


@family("batch_norm_backward", BACK, BACK_SPECS, NORM_MOST, batch="")
def batch_norm_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, x, scale, and the statistics that the forward returned."""
    forward = batch_norm({**NORM, **s}, fill)
    mean, inv_std = answer("batch_norm", forward)[1:3]
    return {
        "dy": fill(*forward["x"].shape),
        "x": forward["x"],
        "gamma": forward["gamma"],
        "mean": mean,
        "inv_std": inv_std,
        "training": forward["training"],
    }


@family("batch_norm_relu", NORM, NORM_SPECS, NORM_MOST, batch="")
def batch_norm_relu(s: Spec, fill: Fill) -> Arguments:
    """Build what batch_norm takes."""
    return batch_norm(s, fill)


@family("batch_norm_relu_backward", BACK, BACK_SPECS, NORM_MOST, batch="")
def batch_norm_relu_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, x, scale, and the results of the forward."""
    forward = batch_norm({**NORM, **s}, fill)
    y, mean, inv_std = answer("batch_norm_relu", forward)[:3]
    return {
        "dy": fill(*forward["x"].shape),
        "y": y,
        "x": forward["x"],
        "gamma": forward["gamma"],
        "mean": mean,
        "inv_std": inv_std,
        "training": forward["training"],
    }


# ---------------------------------------------------------------------------------------------------------
# Arranging

CONCAT = {"N": 1, "A": 1, "B": 1, "L": 1, "count": 2, "axis": 1}
CONCAT_SPECS: tuple[Spec, ...] = (
    {"count": 2},
    {"A": 2, "B": 1},
    {"A": 1, "B": 3, "L": 2},
    {"N": 2, "A": 2, "B": 1, "L": 2},
    {"A": 2, "B": 1, "count": 3},
    {"N": 2, "A": 2, "B": 3, "axis": 0},
    {"A": 2, "B": 3, "L": 2, "axis": -1},
    {"N": 2, "A": 2, "B": 3, "L": 2},
)
CONCAT_MOST = {"N": 2, "A": 3, "B": 3, "L": 3, "count": 3}


def _parts(s: Spec) -> list[int]:
    return [s["A"], s["B"], 2][: s["count"]]


def _part_shape(s: Spec, length: int) -> tuple[int, ...]:
    shape = [s["N"], 2, s["L"], 2]
    shape[s["axis"]] = length
    return tuple(shape)


@family("concat", CONCAT, CONCAT_SPECS, CONCAT_MOST)
def concat(s: Spec, fill: Fill) -> Arguments:
    """Build arrays of different lengths along the axis; each counts on from the one before."""
    whole = fill(*_part_shape(s, sum(_parts(s))))
    stops = np.cumsum(_parts(s))[:-1]
    arrays = [np.ascontiguousarray(part) for part in np.split(whole, stops, axis=s["axis"])]
    return {"arrays": arrays, "axis": s["axis"]}


@family("concat_backward", CONCAT, CONCAT_SPECS, CONCAT_MOST)
def concat_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, and the lengths."""
    return {"dy": fill(*_part_shape(s, sum(_parts(s)))), "sizes": _parts(s), "axis": s["axis"]}


@family("add", ANY, ANY_SPECS, ANY_MOST)
def add(s: Spec, fill: Fill) -> Arguments:
    """Build two arrays."""
    return {"a": fill(*_shape(s)), "b": fill(*_shape(s))}


@family("add_backward", ANY, ANY_SPECS, ANY_MOST)
def add_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy."""
    return {"dy": fill(*_shape(s))}


CROP = {"N": 1, "C": 1, "h": 1, "w": 1, "more_h": 0, "more_w": 0}
CROP_SPECS: tuple[Spec, ...] = (
    {"more_h": 2, "more_w": 2},
    {"h": 2, "w": 2, "more_h": 2, "more_w": 2},
    {"more_w": 1},
    {"h": 2, "w": 2, "more_h": 3, "more_w": 1},
    {"h": 2, "w": 3, "more_h": 0, "more_w": 2},
    {"N": 2, "C": 2, "h": 2, "w": 3, "more_h": 3, "more_w": 2},
)
CROP_MOST = {"N": 2, "C": 2, "h": 3, "w": 3, "more_h": 4, "more_w": 4}


@family("crop2d", CROP, CROP_SPECS, CROP_MOST)
def crop2d(s: Spec, fill: Fill) -> Arguments:
    """Build x and the size of its middle."""
    x = fill(s["N"], s["C"], s["h"] + s["more_h"], s["w"] + s["more_w"])
    return {"x": x, "size": both(s["h"], s["w"])}


@family("crop2d_backward", CROP, CROP_SPECS, CROP_MOST)
def crop2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy and the size of the whole."""
    size = both(s["h"] + s["more_h"], s["w"] + s["more_w"])
    return {"dy": fill(s["N"], s["C"], s["h"], s["w"]), "input_size": size}


PAD = {"N": 1, "C": 1, "H": 1, "W": 1, "ph": 0, "pw": 0, "reflect": 0}
PAD_SPECS: tuple[Spec, ...] = (
    {"ph": 1, "pw": 1},
    {"H": 2, "W": 2, "ph": 1, "pw": 1},
    {"H": 2, "W": 3, "ph": 1, "pw": 2},
    {"H": 3, "W": 3, "ph": 1, "pw": 1, "reflect": 1},
    {"H": 3, "W": 4, "ph": 2, "pw": 1, "reflect": 1},
    {"N": 2, "C": 2, "H": 3, "W": 4, "ph": 2, "pw": 3, "reflect": 1},
    {"N": 2, "C": 2, "H": 2, "W": 3, "ph": 1, "pw": 2},
)
PAD_MOST = {"N": 2, "C": 2, "H": 4, "W": 4, "ph": 2, "pw": 2, "reflect": 1}


def _pad_options(s: Spec) -> Arguments:
    return {"padding": both(s["ph"], s["pw"]), "mode": "reflect" if s["reflect"] else "zero"}


@family("pad2d", PAD, PAD_SPECS, PAD_MOST)
def pad2d(s: Spec, fill: Fill) -> Arguments:
    """Build x and the options."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"]), **_pad_options(s)}


@family("pad2d_backward", PAD, PAD_SPECS, PAD_MOST)
def pad2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy on the padded map."""
    dy = fill(s["N"], s["C"], s["H"] + 2 * s["ph"], s["W"] + 2 * s["pw"])
    return {"dy": dy, **_pad_options(s)}


@family("dropout_backward", ANY, ANY_SPECS, ANY_MOST)
def dropout_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, a mask of what was kept, and p."""
    dy = fill(*_shape(s))
    return {"dy": dy, "mask": fill.rng.integers(0, 2, dy.shape).astype(bool), "p": 0.5}
