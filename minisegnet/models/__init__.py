"""Small, faithful models by name.

>>> model = build("unet", in_channels=1, classes=2, width=4, depth=2)
>>> model(np.zeros((1, 1, 64, 64), np.float32)).shape
(1, 2, 64, 64)
"""

import importlib
import inspect
from typing import Any

import numpy as np

from minisegnet import nn
from minisegnet.sizes import as_int
from minisegnet.words import did_you_mean

# Name: the file in this folder, and the class in it. Files are imported when a model is built.
MODELS = {
    "fcn32s": ("fcn", "FCN32s"),
    "fcn16s": ("fcn", "FCN16s"),
    "fcn8s": ("fcn", "FCN8s"),
    "segnet": ("segnet", "SegNet"),
    "segnet-basic": ("segnet", "SegNetBasic"),
    "deconvnet": ("deconvnet", "DeconvNet"),
    "unet": ("unet", "UNet"),
    "patch": ("patch", "PatchClassifier"),
}

KEYWORD = inspect.Parameter.KEYWORD_ONLY  # so every model takes its options


def names() -> list[str]:
    """Names that :func:`build` knows."""
    return list(MODELS)


def build(
    name: str,
    *,
    in_channels: int = 3,
    classes: int,
    width: int | None = None,
    dtype: Any = np.float32,
    seed: int = 0,
    initialise: bool = True,
    **options: Any,
) -> nn.Module:
    """Build a model.

    Parameters
    ----------
    name
        One of :func:`names`.
    in_channels, classes
        Channels of the pictures, and number of score maps.
    width
        Channels of the first level; None: the model's own small default. Every model's docstring says which
        options make it the paper's.
    dtype
        float32 or float64.
    seed
        The same seed gives the same initial weights.
    initialise
        False allocates weights without filling them: for counting, or before weights are loaded.
    **options
        The model's own, such as ``depth`` or ``norm``.
    """
    if name not in MODELS:
        hint = did_you_mean(str(name).lower(), MODELS)
        raise ValueError(f"there is no model named {name!r}{hint}; expected one of: {', '.join(MODELS)}")
    file, class_name = MODELS[name]
    make = getattr(importlib.import_module(f"minisegnet.models.{file}"), class_name)
    if width is not None:
        options["width"] = as_int(width, "width", 1)
    known = [option.name for option in inspect.signature(make).parameters.values() if option.kind is KEYWORD]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise TypeError(f"{name} has no option {option!r}{hint}; its options: {', '.join(known)}")
    with nn.creating(dtype=dtype, seed=seed, initialise=initialise):
        built: nn.Module = make(
            as_int(in_channels, "in_channels", 1), as_int(classes, "classes", 1), **options
        )
    return built
