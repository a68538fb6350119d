"""Draw docs/images/check-data.png: the contact sheet of a folder in which everything that can be wrong is wrong once.

Run it as ``python docs/make_check_data.py``. The folder is made of synthetic cells and thrown away.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from minisegnet.cli.check_data_text import as_text
from minisegnet.data import Synthetic
from minisegnet.data.checking.check import check_data
from minisegnet.viz import save
from minisegnet.viz.data_sheet import data_sheet

IMAGE = Path(__file__).parent / "images" / "check-data.png"
ORIENTATION = 0x0112


def write(root: Path, split: str, count: int) -> None:
    """Write black and white masks of cells, and their pictures."""
    for part in ("images", "masks"):
        (root / split / part).mkdir(parents=True)
    for k, sample in enumerate(Synthetic("cells", split=split, count=count, size=(96, 128))):
        assert sample.labels is not None
        Image.fromarray(sample.image[:, :, 0]).save(root / split / "images" / f"{split}-{k:02d}.png")
        mask = (sample.labels == 1).astype(np.uint8) * np.uint8(255)
        Image.fromarray(mask).save(root / split / "masks" / f"{split}-{k:02d}.png")


def spoil(root: Path) -> None:
    """Make one thing wrong after the other."""
    images, masks = (
        [root / "train" / part / f"train-{k:02d}.png" for k in range(12)] for part in ("images", "masks")
    )
    images[0].write_bytes(images[0].read_bytes()[:3000])
    masks[1].write_bytes(b"")
    opened(masks[2]).save(masks[2], format="JPEG")
    bilinear = Image.Resampling.BILINEAR
    opened(masks[3]).resize((64, 48), bilinear).resize((128, 96), bilinear).save(masks[3])
    opened(masks[4]).transpose(Image.Transpose.ROTATE_90).save(masks[4])
    opened(masks[5]).crop((0, 0, 100, 96)).save(masks[5])
    opened(images[6]).convert("RGB").save(images[6])
    tags = Image.Exif()
    tags[ORIENTATION] = 3
    opened(images[7]).save(images[7], exif=tags)
    shutil.copy(images[8], root / "val" / "images" / "val-00.png")
    shutil.copy(masks[8], root / "val" / "masks" / "val-00.png")
    masks[9].unlink()


def opened(path: Path) -> Image.Image:
    """Open a picture and read all of it, so that its file can be written anew."""
    with Image.open(path) as image:
        image.load()
        return image.copy()


def main() -> None:
    """Make the folder, check it, draw it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "my-folder")
        write(root, "train", 12)
        write(root, "val", 4)
        spoil(root)
        checked = check_data(root)
        save(data_sheet(checked), IMAGE)
        opened(IMAGE).quantize(192).save(IMAGE, optimize=True)  # a third as large
        print(as_text(checked).replace(str(root), root.name))


if __name__ == "__main__":
    main()
