"""Draw the figures of docs/models into docs/images: each model at its paper's size, from the model itself.

Run it as ``python docs/make_figures.py``. It takes seconds: the models run on kernels that compute shapes only, and
their weights are never filled.
"""

import sys
from pathlib import Path
from typing import Any

from minisegnet import models
from minisegnet.models.draw import draw

FOLDER = Path(__file__).parent / "images"

# File, title, model, size of its input, options that make it the paper's.
FIGURES: list[tuple[str, str, str, tuple[int, int], dict[str, Any]]] = [
    (
        "fcn",
        "FCN-8s",
        "fcn8s",
        (500, 500),
        {"classes": 21, "width": 64, "fc_channels": 4096, "norm": None, "padding": "paper"},
    ),
    ("segnet", "SegNet", "segnet", (360, 480), {"classes": 11, "width": 64, "convolutions": (2, 2, 3, 3, 3)}),
    (
        "deconvnet",
        "DeconvNet",
        "deconvnet",
        (224, 224),
        {"classes": 21, "width": 64, "convolutions": (2, 2, 3, 3, 3), "waist": 7, "waist_width": 4096},
    ),
    (
        "unet",
        "U-Net",
        "unet",
        (572, 572),
        {"in_channels": 1, "classes": 2, "width": 64, "padding": "valid", "dropout": 0.5},
    ),
    ("patch", "Patch classifier", "patch", (21, 21), {"in_channels": 1, "classes": 2}),
]


def main(names: list[str]) -> None:
    """Draw the figures with these names; without names, all."""
    FOLDER.mkdir(exist_ok=True)
    for file, title, name, size, options in FIGURES:
        if names and file not in names:
            continue
        model = models.build(name, initialise=False, **options)
        path = FOLDER / f"{file}.png"
        draw(model, size, title=title).savefig(path, dpi=110, metadata={"Software": None})
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
