"""Train a small network to label every pixel of synthetic pictures, in about a minute, and show what it learned.

The pictures are drawn on the spot: circles, squares, triangles and stars in random colours and textures, so that
only the outline tells them apart. Nothing is downloaded. The best backend there is does the work; with Numba, the
first start on a machine compiles the kernels first.
"""

import argparse
from typing import Any

from minisegnet.cli import options

EXAMPLES = """\
examples:
  minisegnet demo                          a small U-Net
  minisegnet demo --model segnet           or fcn8s, fcn32s, deconvnet, ...
  minisegnet demo --seed 7 --out /tmp      other pictures and weights, another folder
  minisegnet demo --json | tail -n 1       the result for a script
"""

FLAGS = ("model", "width", "steps", "time", "seed", "size", "backend", "out", "name", "json")

# What fits into a minute on two cores. FCN's scores are coarse (one for 8 x 8 pixels), so it gets larger pictures.
COMMON = {
    "data": "shapes",
    "count": 512,
    "size": (64, 64),
    "augment": "flip+rotate90",
    "steps": 700,
    "lr": 0.006,
}
FCN = {"size": (96, 96), "batch": 4, "steps": 900, "lr": 0.004}
RECIPES: dict[str, dict[str, Any]] = {
    "unet": {"width": 8, "depth": 3, "steps": 1000},
    "fcn8s": FCN,
    "fcn16s": FCN,
    "fcn32s": FCN,
    "segnet": {},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add(parser, FLAGS)


def run(arguments: argparse.Namespace) -> int:
    """Train on shapes and tell."""
    from minisegnet.cli.train import report
    from minisegnet.training import Display, start

    told = options.told(arguments)
    model = told.get("model", "unet")
    defaults = {**COMMON, "model": model, **RECIPES.get(model, {})}
    display = Display()
    settings = options.settings_of(told, defaults)
    result = start(settings, display, out=told.get("out", "runs"), name=told.get("name", f"demo-{model}"))
    return report(result, display, as_json=told.get("json", False))
