"""Write a collection of samples as a folder that :class:`minisegnet.data.Folder` reads."""

from pathlib import Path

from minisegnet.data.reading import write_image, write_mask
from minisegnet.data.sample import Dataset
from minisegnet.files import write_atomically


def write_folder(dataset: Dataset, folder: str | Path) -> Path:
    """Write pictures to ``folder/images``, label maps to ``folder/masks`` and the names to ``folder/classes.txt``.

    Parameters
    ----------
    dataset
        Its samples need labels; their pictures one or three channels.
    folder
        Is made. It must not hold any of the three yet, so that nothing is overwritten or mixed.

    Returns
    -------
    folder

    Examples
    --------
    >>> import tempfile
    >>> from minisegnet.data import Folder, Synthetic
    >>> with tempfile.TemporaryDirectory() as root:
    ...     folder = write_folder(Synthetic("streets", count=4), Path(root, "streets"))
    ...     Folder(folder, split="all").class_names
    ('sky', 'road', 'pavement', 'building', 'car', 'tree', 'pole')
    """
    folder = Path(folder)
    there = [name for name in ("images", "masks", "classes.txt") if (folder / name).exists()]
    if there:
        raise ValueError(
            f"{folder} already has {', '.join(there)}; expected a new or empty folder: name another"
        )
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    write_atomically(folder / "classes.txt", "".join(f"{name}\n" for name in dataset.class_names))
    for number, sample in enumerate(dataset):
        if sample.labels is None:
            raise ValueError(f"picture {sample.name or number} has no labels; expected one for each pixel")
        name = f"{sample.name or f'{number:05d}'}.png"
        write_image(folder / "images" / name, sample.image)
        write_mask(folder / "masks" / name, sample.labels, dataset.palette)
    return folder
