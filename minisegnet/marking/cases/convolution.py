"""Calls of convolutions and of the fully connected layer."""

from typing import Any

from minisegnet.marking.cases.case import Arguments, Fill, Spec, answer, both, family
from minisegnet.sizes import conv2d_size, conv_transpose2d_size

LEAST = {
    "N": 1, "C": 1, "K": 1, "H": 1, "W": 1, "KH": 1, "KW": 1, "sh": 1, "sw": 1, "ph": 0, "pw": 0, "dh": 1, "dw": 1,
    "groups": 1, "bias": 0,
}  # fmt: skip

# A map and a filter of different height and width: what is swapped shows.
USUAL = {"H": 4, "W": 5, "KH": 2, "KW": 3}
RICH = {"N": 2, "C": 2, "K": 3, **USUAL}
SPECS: tuple[Spec, ...] = (
    {"H": 2, "W": 2},
    {"H": 3, "W": 3, "KH": 2, "KW": 2},
    {"H": 4, "W": 4, "KH": 3, "KW": 3},
    USUAL,
    {**USUAL, "N": 2},
    {**USUAL, "C": 2},
    {**USUAL, "K": 2},
    {**USUAL, "bias": 1, "K": 2},
    {**USUAL, "bias": 1, "C": 2, "K": 2},
    {**USUAL, "N": 2, "K": 2, "C": 2},
    {**USUAL, "ph": 1, "pw": 1},
    {**USUAL, "ph": 2, "pw": 2},
    {**USUAL, "H": 5, "sh": 2, "sw": 2},
    {**USUAL, "H": 6, "sh": 2, "sw": 2, "W": 6},
    {"H": 7, "W": 7, "KH": 2, "KW": 2, "sh": 3, "sw": 3},
    {**USUAL, "dh": 2, "dw": 2},
    {"H": 5, "W": 5, "KH": 3, "KW": 3, "sh": 2, "sw": 2, "ph": 1, "pw": 1},
    {"H": 6, "W": 7, "KH": 3, "KW": 3, "sh": 2, "sw": 2, "dh": 2, "dw": 2, "ph": 1, "pw": 1},
    {"H": 4, "W": 4, "KH": 2, "KW": 2, "C": 2, "K": 2},
    {"H": 3, "W": 4, "C": 2, "K": 2, "groups": 1},
    {"H": 3, "W": 4, "KH": 2, "KW": 2, "C": 1, "K": 1, "groups": 2},
    {"H": 3, "W": 4, "KH": 2, "KW": 2, "C": 2, "K": 2, "groups": 2},
    {"H": 4, "W": 4, "KH": 2, "KW": 2, "ph": 1, "pw": 0},
    {"H": 5, "W": 5, "KH": 2, "KW": 2, "sh": 2, "sw": 1},
    {"H": 5, "W": 5, "KH": 2, "KW": 2, "dh": 1, "dw": 2},
    {**RICH, "bias": 1},
    {**RICH, "ph": 1, "pw": 1, "bias": 1},
)
MOST = {
    "N": 2, "C": 2, "K": 2, "H": 6, "W": 6, "KH": 3, "KW": 3, "sh": 3, "sw": 3, "ph": 2, "pw": 2, "dh": 2, "dw": 2,
    "groups": 2, "bias": 1,
}  # fmt: skip


def _options(s: Spec) -> Arguments:
    return {
        "stride": both(s["sh"], s["sw"]),
        "padding": both(s["ph"], s["pw"]),
        "dilation": both(s["dh"], s["dw"]),
        "groups": s["groups"],
    }


def _maps_and_filters(s: Spec, fill: Fill) -> tuple[Any, Any]:
    C, K, groups = s["C"], s["K"], s["groups"]
    return fill(s["N"], groups * C, s["H"], s["W"]), fill(groups * K, C, s["KH"], s["KW"])


@family("conv2d", LEAST, SPECS, MOST)
def conv2d(s: Spec, fill: Fill) -> Arguments:
    """Build x, w, b and the options."""
    x, w = _maps_and_filters(s, fill)
    return {"x": x, "w": w, "b": fill(len(w)) if s["bias"] else None, **_options(s)}


@family("conv2d_backward", LEAST | {"lazy": 0}, (*SPECS, {**USUAL, "lazy": 1}, SPECS[-1]), MOST)
def conv2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy of the forward's size, x, w and the options."""
    x, w = _maps_and_filters(s, fill)
    options = _options(s)
    geometry = {name: options[name] for name in ("stride", "padding", "dilation")}
    size = conv2d_size((s["H"], s["W"]), (s["KH"], s["KW"]), **geometry)
    return {"dy": fill(len(x), len(w), *size), "x": x, "w": w, **options, "need_dx": not s["lazy"]}


@family("conv2d_relu", LEAST, SPECS, MOST)
def conv2d_relu(s: Spec, fill: Fill) -> Arguments:
    """Build what conv2d takes."""
    return conv2d(s, fill)


@family("conv2d_relu_backward", LEAST | {"lazy": 0}, (*SPECS, {**USUAL, "lazy": 1}, SPECS[-1]), MOST)
def conv2d_relu_backward(s: Spec, fill: Fill) -> Arguments:
    """Build what conv2d_backward takes, and y as the forward returned it."""
    backward = conv2d_backward(s, fill)
    forward = {name: a for name, a in backward.items() if name not in ("dy", "need_dx")}
    (y,) = answer("conv2d_relu", {**forward, "b": fill(len(forward["w"])) if s["bias"] else None})
    return {**backward, "y": y}


# Transposed: LEAST, and what is kept at the bottom and right
TRANSPOSED = LEAST | {"oh": 0, "ow": 0}
TRANSPOSED_SPECS: tuple[Spec, ...] = (
    {"H": 1, "W": 2},
    {"H": 2, "W": 2, "KH": 2, "KW": 2},
    {"H": 2, "W": 2, "KH": 2, "KW": 2, "sh": 2, "sw": 2},
    {"H": 2, "W": 3, "KH": 3, "KW": 3, "sh": 2, "sw": 2},
    *(
        {**spec, "H": min(spec["H"], 3), "W": min(spec["W"], 3)}
        for spec in SPECS[2:-2]
        if "groups" not in spec
    ),
    {"H": 2, "W": 2, "KH": 3, "KW": 3, "sh": 2, "sw": 2, "ph": 1, "pw": 1},
    {"H": 2, "W": 2, "KH": 3, "KW": 3, "sh": 2, "sw": 2, "ph": 1, "pw": 1, "oh": 1, "ow": 1},
    {"H": 2, "W": 2, "KH": 2, "KW": 2, "groups": 2},
    {"H": 2, "W": 2, "KH": 2, "KW": 2, "groups": 2, "C": 2, "K": 2},
    {"H": 2, "W": 3, "KH": 2, "KW": 3, "N": 2, "C": 2, "K": 3, "bias": 1},
    {"H": 2, "W": 3, "KH": 3, "KW": 3, "N": 2, "C": 2, "K": 3, "sh": 2, "sw": 2, "ph": 1, "pw": 1, "bias": 1},
)
TRANSPOSED_MOST = MOST | {"H": 3, "W": 3, "oh": 1, "ow": 1}


def _transposed(s: Spec, fill: Fill) -> tuple[Any, Any, Arguments]:
    C, K, groups = s["C"], s["K"], s["groups"]
    x, w = fill(s["N"], groups * C, s["H"], s["W"]), fill(groups * C, K, s["KH"], s["KW"])
    given = _options(s)
    options = {
        "stride": given["stride"],
        "padding": given["padding"],
        "output_padding": both(s["oh"], s["ow"]),
        "dilation": given["dilation"],
        "groups": groups,
    }
    return x, w, options


@family("conv_transpose2d", TRANSPOSED, TRANSPOSED_SPECS, TRANSPOSED_MOST)
def conv_transpose2d(s: Spec, fill: Fill) -> Arguments:
    """Build x, w, b and the options."""
    x, w, options = _transposed(s, fill)
    return {"x": x, "w": w, "b": fill(s["K"] * s["groups"]) if s["bias"] else None, **options}


@family("conv_transpose2d_backward", TRANSPOSED, TRANSPOSED_SPECS, TRANSPOSED_MOST)
def conv_transpose2d_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy of the forward's size, x, w and the options."""
    x, w, options = _transposed(s, fill)
    geometry = {name: value for name, value in options.items() if name != "groups"}
    size = conv_transpose2d_size((s["H"], s["W"]), (s["KH"], s["KW"]), **geometry)
    return {"dy": fill(len(x), s["K"] * s["groups"], *size), "x": x, "w": w, **options}


LINEAR = {"N": 1, "F": 1, "O": 1, "bias": 0, "extra": 0}
LINEAR_SPECS: tuple[Spec, ...] = (
    {"F": 2},
    {"O": 2},
    {"F": 2, "O": 2},
    {"F": 3, "O": 2},
    {"F": 2, "O": 3, "N": 2},
    {"F": 2, "O": 2, "N": 2},
    {"F": 3, "O": 2, "N": 2, "bias": 1},
    {"F": 3, "O": 2, "N": 3, "bias": 1},
)
LINEAR_MOST = {"N": 3, "F": 4, "O": 3, "bias": 1}


@family("linear", LINEAR, LINEAR_SPECS, LINEAR_MOST)
def linear(s: Spec, fill: Fill) -> Arguments:
    """Build x (N, in), w (out, in) and b."""
    x, w = fill(s["N"], s["F"]), fill(s["O"], s["F"])
    return {"x": x, "w": w, "b": fill(s["O"]) if s["bias"] else None}


@family("linear_backward", LINEAR, LINEAR_SPECS, LINEAR_MOST)
def linear_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, x and w."""
    return {"dy": fill(s["N"], s["O"]), "x": fill(s["N"], s["F"]), "w": fill(s["O"], s["F"])}
