"""Calls of resizing, of regions of interest and of non-maximum suppression."""

from typing import Any

import numpy as np

from minisegnet.marking.cases.case import Arguments, Fill, Spec, answer, both, family

LEAST = {"N": 1, "C": 1, "H": 1, "W": 1, "OH": 1, "OW": 1}
SPECS: tuple[Spec, ...] = (
    {"W": 2, "OW": 2},
    {"H": 2, "W": 2, "OH": 4, "OW": 4},
    {"H": 2, "W": 3, "OH": 4, "OW": 6},
    {"H": 3, "W": 3, "OH": 5, "OW": 5},
    {"H": 3, "W": 4, "OH": 7, "OW": 5},
    {"H": 4, "W": 4, "OH": 2, "OW": 2},
    {"H": 5, "W": 6, "OH": 3, "OW": 4},
    {"H": 1, "W": 1, "OH": 3, "OW": 2},
    {"H": 3, "W": 3, "OH": 1, "OW": 1},
    {"N": 2, "H": 2, "W": 2, "OH": 3, "OW": 4},
    {"C": 2, "H": 2, "W": 2, "OH": 3, "OW": 4},
    {"N": 2, "C": 2, "H": 3, "W": 4, "OH": 5, "OW": 7},
)
MOST = {"N": 2, "C": 2, "H": 5, "W": 5, "OH": 7, "OW": 7}
ALIGNED = LEAST | {"align": 0}
ALIGNED_SPECS: tuple[Spec, ...] = (
    *SPECS[:-1],
    *({**spec, "align": 1} for spec in SPECS[1:]),
    SPECS[-1],
)


@family("resize_bilinear", ALIGNED, ALIGNED_SPECS, MOST | {"align": 1})
def resize_bilinear(s: Spec, fill: Fill) -> Arguments:
    """Build x and the output's size."""
    return {**resize_nearest(s, fill), "align_corners": bool(s["align"])}


@family("resize_bilinear_backward", ALIGNED, ALIGNED_SPECS, MOST | {"align": 1})
def resize_bilinear_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy and the input's size."""
    return {**resize_nearest_backward(s, fill), "align_corners": bool(s["align"])}


@family("resize_nearest", LEAST, SPECS, MOST)
def resize_nearest(s: Spec, fill: Fill) -> Arguments:
    """Build x and the output's size."""
    return {"x": fill(s["N"], s["C"], s["H"], s["W"]), "size": both(s["OH"], s["OW"])}


@family("resize_nearest_backward", LEAST, SPECS, MOST)
def resize_nearest_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy and the input's size."""
    return {"dy": fill(s["N"], s["C"], s["OH"], s["OW"]), "input_size": both(s["H"], s["W"])}


# ---------------------------------------------------------------------------------------------------------
# Regions: x1, y1, width and height count in quarters of a pixel; other regions are drawn beside the first

REGION = {
    "N": 1,
    "C": 1,
    "H": 1,
    "W": 1,
    "OH": 1,
    "OW": 1,
    "R": 1,
    "x1": 0,
    "y1": 0,
    "w4": 0,
    "h4": 0,
    "half": 0,
}
REGION_SPECS: tuple[Spec, ...] = (
    {"H": 3, "W": 3, "w4": 4, "h4": 4},
    {"H": 3, "W": 4, "w4": 8, "h4": 4, "OW": 2},
    {"H": 4, "W": 4, "w4": 12, "h4": 12, "OH": 2, "OW": 2},
    {"H": 4, "W": 5, "x1": 4, "y1": 8, "w4": 8, "h4": 4, "OH": 2, "OW": 2},
    {"H": 5, "W": 5, "x1": 2, "y1": 6, "w4": 8, "h4": 8},
    {"H": 5, "W": 5, "x1": 10, "y1": 2, "w4": 4, "h4": 8},
    {"H": 5, "W": 5, "x1": 3, "y1": 5, "w4": 10, "h4": 9, "OH": 2, "OW": 2},
    {"H": 5, "W": 6, "w4": 16, "h4": 16, "OH": 3, "OW": 2},
    {"H": 3, "W": 3, "w4": 0, "h4": 0, "OH": 2, "OW": 2},
    {"H": 3, "W": 3, "x1": 16, "y1": 0, "w4": 8, "h4": 8, "OH": 2, "OW": 2},
    {"H": 3, "W": 3, "x1": 8, "y1": 8, "w4": 12, "h4": 12, "OH": 2, "OW": 2},
    {"H": 3, "W": 3, "x1": -4, "y1": -6, "w4": 12, "h4": 12, "OH": 2, "OW": 2},
    {"H": 4, "W": 4, "w4": 16, "h4": 16, "OH": 2, "OW": 2, "half": 1},
    {"N": 2, "H": 3, "W": 3, "w4": 8, "h4": 8, "R": 2},
    {"H": 3, "W": 3, "w4": 8, "h4": 8, "R": 3},
    {"N": 2, "C": 2, "H": 5, "W": 6, "w4": 14, "h4": 11, "R": 4, "OH": 2, "OW": 3},
)
REGION_MOST = {
    "N": 2, "C": 2, "H": 6, "W": 6, "OH": 3, "OW": 3, "R": 3, "x1": 12, "y1": 12, "w4": 20, "h4": 20, "half": 1,
}  # fmt: skip


def _rois(s: Spec, fill: Fill) -> Any:
    rois = np.zeros((s["R"], 5), fill.dtype)
    for r in range(s["R"]):
        x1, y1, w4, h4 = s["x1"], s["y1"], s["w4"], s["h4"]
        if r:
            x1, y1 = (int(fill.rng.integers(0, 4 * s[axis] + 1)) for axis in "WH")
            w4, h4 = (int(fill.rng.integers(0, 4 * s[axis] + 1)) for axis in "WH")
        # The first region lies in the last picture: who takes the first picture for all is seen.
        rois[r] = (s["N"] - 1 - r % s["N"], x1 / 4, y1 / 4, (x1 + w4) / 4, (y1 + h4) / 4)
    return rois


def _scale(s: Spec) -> float:
    return 0.5 if s["half"] else 1.0


ORDINARY = {"H": 4, "W": 4, "w4": 12, "h4": 12, "OH": 2, "OW": 2}


@family("roi_pool", REGION, REGION_SPECS, REGION_MOST, (("ties", ORDINARY), ("negative", ORDINARY), ("nan", ORDINARY)),
        batch="R")  # fmt: skip
def roi_pool(s: Spec, fill: Fill) -> Arguments:
    """Build x, the regions and the options."""
    x = fill(s["N"], s["C"], s["H"], s["W"])
    return {"x": x, "rois": _rois(s, fill), "output_size": both(s["OH"], s["OW"]), "spatial_scale": _scale(s)}


@family("roi_pool_backward", REGION, REGION_SPECS, REGION_MOST, batch="R")
def roi_pool_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy, and the places that a forward found."""
    forward = roi_pool(s, fill)
    argmax = answer("roi_pool", forward)[1]
    return {
        "dy": fill.plain(*argmax.shape),
        "argmax": argmax,
        "rois": forward["rois"],
        "input_shape": forward["x"].shape,
    }


ALIGN = REGION | {"ratio": 0, "aligned": 0}
ALIGN_SPECS: tuple[Spec, ...] = (
    *({**spec, "ratio": 2} for spec in REGION_SPECS[:4]),
    *REGION_SPECS,
    *({**spec, "aligned": 1} for spec in REGION_SPECS),
    {**REGION_SPECS[-1], "ratio": 2},
)
ALIGN_MOST = REGION_MOST | {"ratio": 2, "aligned": 1}


def _align_options(s: Spec) -> Arguments:
    return {"spatial_scale": _scale(s), "sampling_ratio": s["ratio"], "aligned": bool(s["aligned"])}


@family("roi_align", ALIGN, ALIGN_SPECS, ALIGN_MOST, batch="R")
def roi_align(s: Spec, fill: Fill) -> Arguments:
    """Build x, the regions and the options."""
    x = fill(s["N"], s["C"], s["H"], s["W"])
    return {"x": x, "rois": _rois(s, fill), "output_size": both(s["OH"], s["OW"]), **_align_options(s)}


@family("roi_align_backward", ALIGN, ALIGN_SPECS, ALIGN_MOST, batch="R")
def roi_align_backward(s: Spec, fill: Fill) -> Arguments:
    """Build dy and the regions."""
    dy = fill(s["R"], s["C"], s["OH"], s["OW"])
    shape = (s["N"], s["C"], s["H"], s["W"])
    return {"dy": dy, "rois": _rois(s, fill), "input_shape": shape, **_align_options(s)}


# ---------------------------------------------------------------------------------------------------------
# Boxes: on a grid of half pixels, scores of few values, so that there are ties

BOXES = {"R": 1, "spread": 2, "threshold": 2}
BOXES_SPECS: tuple[Spec, ...] = (
    {"R": 2},
    *({"R": count, "spread": spread} for count in (3, 4, 6, 8) for spread in (2, 3, 5)),
    *({"R": count, "spread": spread, "threshold": 1} for count in (3, 5, 7, 8) for spread in (3, 4)),
    {"R": 6, "threshold": 1},
    {"R": 6, "threshold": 0},
    {"R": 8, "threshold": 4},
)
BOXES_MOST = {"R": 8, "spread": 6, "threshold": 4}


@family("nms", BOXES, BOXES_SPECS, BOXES_MOST, fills=("normal", "ties", "counting"), batch="R")
def nms(s: Spec, fill: Fill) -> Arguments:
    """Build boxes, scores and the threshold."""
    rng, R = fill.rng, s["R"]
    corner = rng.integers(0, s["spread"] + 1, (R, 2)).astype(float)
    size = rng.integers(2, 6, (R, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(fill.dtype)  # (R, 4)
    ties = fill.kind == "ties"
    scores = (rng.integers(1, 4, R) / 4 if ties else rng.permutation(R) / max(R, 1)).astype(fill.dtype)
    return {"boxes": boxes, "scores": scores, "iou_threshold": (0.0, 0.25, 0.5, 1 / 3, 1.0)[s["threshold"]]}
