"""Draw the pictures of docs/diagnose.md and docs/profile.md into docs/images.

Run it as ``python docs/make_diagnosis.py``; it takes about a minute. The times in the profile are those of the machine
that it runs on.
"""

import tempfile
from pathlib import Path

import numpy as np

from minisegnet import models, viz
from minisegnet.data import Synthetic, write_folder
from minisegnet.data.reading import write_mask
from minisegnet.diagnosis import examine
from minisegnet.diagnosis.drawing import draw_learning, draw_masks
from minisegnet.profiling import profile
from minisegnet.profiling.drawing import draw_profile
from minisegnet.training import Session, Settings

FOLDER = Path(__file__).parent / "images"


def main() -> None:
    """Draw all of them."""
    settings = Settings(data="shapes", model="unet", width=8, depth=3, optimizer="sgd", lr=5.0, steps=1)
    viz.save(draw_learning(examine(Session(settings))), FOLDER / "diagnose-learning.png")
    draw_moved_masks()
    model = models.build("unet", classes=4, width=16, depth=2)
    title = "unet, width 16, depth 2: 8 of 128 x 128"
    viz.save(draw_profile(profile(model, size=128, batch=8), title), FOLDER / "profile.png")
    for name in ("diagnose-learning", "diagnose-masks", "profile"):
        path = FOLDER / f"{name}.png"
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def draw_moved_masks() -> None:
    """Write a folder of pictures whose masks are moved, and let the doctor look at it."""
    pictures = Synthetic("shapes", count=16)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(pictures, folder)
        for sample in pictures:
            moved = np.roll(sample.labels, (-6, 9), axis=(0, 1))
            write_mask(Path(folder, "masks", f"{sample.name}.png"), moved, pictures.palette)
        session = Session(Settings(data=folder, width=4, depth=2, steps=1))
        found = examine(session, steps=2, rates=4)
        print(found.findings[0].seen)
        assert found.alignment is not None
        viz.save(draw_masks(found, found.alignment, session.training_set), FOLDER / "diagnose-masks.png")


if __name__ == "__main__":
    main()
