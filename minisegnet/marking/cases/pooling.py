"""Calls of the poolings and of unpooling."""

from typing import Any

import numpy as np

from minisegnet.marking.cases.case import Arguments, Fill, Spec, answer, both, family

LEAST = {
    "N": 1, "C": 1, "H": 1, "W": 1, "KH": 1, "KW": 1, "sh": 0, "sw": 0, "ph": 0, "pw": 0, "dh": 1, "dw": 1, "ceil": 0,
}  # fmt: skip
TWO = {"KH": 2, "KW": 2}
THREE = {"KH": 3, "KW": 3}
SPECS: tuple[Spec, ...] = (
    {"H": 1, "W": 2, "KW": 2},
    {**TWO, "H": 2, "W": 2},
    {**TWO, "H": 4, "W": 4},
    {**TWO, "H": 4, "W": 6},
    {**TWO, "H": 5, "W": 5},
    {**TWO, "H": 4, "W": 4, "N": 2},
    {**TWO, "H": 4, "W": 4, "C": 2},
    {**TWO, "H": 3, "W": 3, "sh": 1, "sw": 1},
    {**TWO, "H": 3, "W": 4, "sh": 1, "sw": 1},
    {**THREE, "H": 5, "W": 5, "sh": 2, "sw": 2},
    {**THREE, "H": 5, "W": 4, "sh": 2, "sw": 2},
    {**TWO, "H": 5, "W": 5, "sh": 3, "sw": 3},
    {**TWO, "H": 2, "W": 2, "ph": 1, "pw": 1},
    {**TWO, "H": 4, "W": 4, "ph": 1, "pw": 1},
    {**THREE, "H": 4, "W": 5, "ph": 1, "pw": 1},
    {**THREE, "H": 3, "W": 4, "sh": 1, "sw": 1, "ph": 1, "pw": 1},
    {**THREE, "H": 5, "W": 5, "sh": 2, "sw": 2, "ph": 1, "pw": 1},
    {**TWO, "H": 3, "W": 3, "ceil": 1},
    {**TWO, "H": 5, "W": 5, "ceil": 1},
    {**THREE, "H": 4, "W": 6, "sh": 2, "sw": 2, "ceil": 1, "ph": 1, "pw": 1},
    {**TWO, "H": 4, "W": 4, "sh": 2, "sw": 2, "ceil": 1, "ph": 1, "pw": 1},
    {"KH": 2, "KW": 3, "H": 4, "W": 6},
    {"KH": 3, "KW": 2, "H": 6, "W": 4, "sh": 1, "sw": 2},
    {"KH": 2, "KW": 3, "H": 4, "W": 5, "sh": 2, "sw": 1, "ph": 1, "pw": 0},
    {**TWO, "N": 2, "C": 2, "H": 4, "W": 6},
)
DILATED: tuple[Spec, ...] = (
    {**TWO, "H": 4, "W": 4, "sh": 1, "sw": 1, "dh": 2, "dw": 2},
    {**TWO, "H": 4, "W": 5, "sh": 1, "sw": 1, "dh": 1, "dw": 2},
    {**TWO, "H": 5, "W": 5, "sh": 3, "sw": 3, "dh": 2, "dw": 2},
)
MOST = {
    "N": 2, "C": 2, "H": 6, "W": 6, "KH": 3, "KW": 3, "sh": 3, "sw": 3, "ph": 1, "pw": 1, "dh": 2, "dw": 2, "ceil": 1,
}  # fmt: skip

WINDOW = {**TWO, "H": 4, "W": 4}
PADDED = {**THREE, "H": 3, "W": 3, "sh": 1, "sw": 1, "ph": 1, "pw": 1}
SPECIAL = (
    ("negative", WINDOW),
    ("negative", PADDED),
    ("ties", WINDOW),
    ("ties", {**WINDOW, "C": 2}),
    ("ties", PADDED),
    ("nan", WINDOW),
    ("nan", PADDED),
    ("-inf", WINDOW),
    ("all -inf", WINDOW),
    ("all -inf", PADDED),
)


def _window(s: Spec, dilated: bool) -> Arguments:
    found = {
        "kernel_size": both(s["KH"], s["KW"]),
        "stride": both(s["sh"] or s["KH"], s["sw"] or s["KW"]) if s["sh"] or s["sw"] else None,
        "padding": both(s["ph"], s["pw"]),
    }
    if dilated:
        found["dilation"] = both(s["dh"], s["dw"])
    return found | {"ceil_mode": bool(s["ceil"])}


@family("max_pool2d", LEAST, (*DILATED, *SPECS), MOST, SPECIAL)
def max_pool2d(s: Spec, fill: Fill) -> Arguments:
    """Build x, the window and the options."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"]), **_window(s, dilated=True)}


@family("max_pool2d_backward", LEAST, (*DILATED, *SPECS), MOST, (("ties", WINDOW), ("ties", PADDED)))
def max_pool2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, and the indices that a forward gave."""
    indices = answer("max_pool2d", max_pool2d(s, fill))[1]
    return {"dy": fill.plain(*indices.shape), "indices": indices, "input_size": both(s["H"], s["W"])}


UNPOOL = {"N": 1, "C": 1, "H": 1, "W": 1, "OH": 1, "OW": 1, "repeat": 0}
UNPOOL_SPECS: tuple[Spec, ...] = (
    {"W": 1, "OW": 2},
    {"H": 2, "W": 2, "OH": 4, "OW": 4},
    {"H": 2, "W": 2, "OH": 4, "OW": 5},
    {"H": 2, "W": 3, "OH": 5, "OW": 6},
    {"N": 2, "H": 2, "W": 2, "OH": 4, "OW": 4},
    {"C": 2, "H": 2, "W": 2, "OH": 4, "OW": 4},
    {"H": 2, "W": 2, "OH": 1, "OW": 3, "repeat": 1},
    {"H": 2, "W": 2, "OH": 2, "OW": 2, "repeat": 1},
    {"N": 2, "C": 2, "H": 2, "W": 3, "OH": 4, "OW": 6},
)
UNPOOL_MOST = {"N": 2, "C": 2, "H": 3, "W": 3, "OH": 6, "OW": 6, "repeat": 1}


def _places(s: Spec, fill: Fill) -> Any:
    indices = np.zeros((s["N"], s["C"], s["H"], s["W"]), np.int64)
    for n, c in np.ndindex(s["N"], s["C"]):
        drawn = fill.rng.choice(s["OH"] * s["OW"], s["H"] * s["W"], replace=bool(s["repeat"]))
        indices[n, c] = drawn.reshape(s["H"], s["W"])
    return indices


@family("max_unpool2d", UNPOOL, UNPOOL_SPECS, UNPOOL_MOST)
def max_unpool2d(s: Spec, fill: Fill) -> Arguments:
    """Build values, and where they go."""
    indices = _places(s, fill)
    return {"x": fill(*indices.shape), "indices": indices, "output_size": both(s["OH"], s["OW"])}


@family("max_unpool2d_backward", UNPOOL, UNPOOL_SPECS, UNPOOL_MOST)
def max_unpool2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy on the large map, and where the values went."""
    indices = _places(s, fill)
    return {"dy": fill(s["N"], s["C"], s["OH"], s["OW"]), "indices": indices}


AVERAGE = {name: least for name, least in LEAST.items() if name not in ("dh", "dw")} | {"exclude": 0}
AVERAGE_SPECS = (
    *(s for s in SPECS),
    {**TWO, "H": 2, "W": 2, "ph": 1, "pw": 1, "exclude": 1},
    {**THREE, "H": 5, "W": 5, "sh": 2, "sw": 2, "ph": 1, "pw": 1, "exclude": 1},
    {**TWO, "H": 3, "W": 3, "ceil": 1, "exclude": 1},
    {**TWO, "N": 2, "C": 2, "H": 4, "W": 6},
)
AVERAGE_MOST = MOST | {"exclude": 1}


def _average_options(s: Spec) -> Arguments:
    return {**_window(s, dilated=False), "count_include_pad": not s["exclude"]}


@family("avg_pool2d", AVERAGE, AVERAGE_SPECS, AVERAGE_MOST)
def avg_pool2d(s: Spec, fill: Fill) -> Arguments:
    """Build x, the window and the options."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"]), **_average_options(s)}


@family("avg_pool2d_backward", AVERAGE, AVERAGE_SPECS, AVERAGE_MOST)
def avg_pool2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy of the forward's size."""
    shape = answer("avg_pool2d", avg_pool2d(s, fill))[0].shape
    return {"dy": fill(*shape), "input_size": both(s["H"], s["W"]), **_average_options(s)}


MAPS = {"N": 1, "C": 1, "H": 1, "W": 1}
MAPS_SPECS: tuple[Spec, ...] = (
    {"W": 2},
    {"H": 2, "W": 2},
    {"H": 2, "W": 3},
    {"C": 2, "H": 2, "W": 2},
    {"N": 2, "H": 2, "W": 2},
    {"N": 2, "C": 3, "H": 3, "W": 4},
)
MAPS_MOST = {"N": 2, "C": 3, "H": 5, "W": 5}


@family("global_avg_pool2d", MAPS, MAPS_SPECS, MAPS_MOST)
def global_avg_pool2d(s: Spec, fill: Fill) -> Arguments:
    """Build x."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"])}


@family("global_avg_pool2d_backward", MAPS, MAPS_SPECS, MAPS_MOST)
def global_avg_pool2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, one number a map."""
    return {"dy": fill(s["N"], s["C"], 1, 1), "input_size": both(s["H"], s["W"])}


BINS = MAPS | {"OH": 1, "OW": 1}
BINS_SPECS: tuple[Spec, ...] = (
    {"H": 2, "W": 2},
    {"H": 4, "W": 4, "OH": 2, "OW": 2},
    {"H": 3, "W": 3, "OH": 2, "OW": 2},
    {"H": 5, "W": 4, "OH": 3, "OW": 2},
    {"H": 2, "W": 2, "OH": 3, "OW": 3},
    {"N": 2, "C": 2, "H": 5, "W": 7, "OH": 3, "OW": 4},
)
BINS_MOST = MAPS_MOST | {"OH": 4, "OW": 4}


@family("adaptive_max_pool2d", BINS, BINS_SPECS, BINS_MOST, (("ties", {"H": 4, "W": 4, "OH": 2, "OW": 2}),
        ("nan", {"H": 4, "W": 4, "OH": 2, "OW": 2})))  # fmt: skip
@family("adaptive_avg_pool2d", BINS, BINS_SPECS, BINS_MOST)
def adaptive(s: Spec, fill: Fill) -> Arguments:
    """Build x and the output's size."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"]), "output_size": both(s["OH"], s["OW"])}


@family("adaptive_avg_pool2d_backward", BINS, BINS_SPECS, BINS_MOST)
def adaptive_avg_pool2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy."""
    return {"dy": fill(s["N"], s["C"], s["OH"], s["OW"]), "input_size": both(s["H"], s["W"])}
