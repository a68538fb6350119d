"""Open data by what a user calls it: the name of a synthetic set, or a folder."""

from pathlib import Path

from minisegnet.data.sample import Dataset
from minisegnet.sizes import IntOrPair
from minisegnet.words import did_you_mean

LAYOUT = """\
a folder with
  images/       pictures: photo1.jpg, photo2.jpg ...
  masks/        the label of each pixel, under the same names: photo1.png, photo2.png ...
  classes.txt   if you like: the names of label 0, 1, 2 ..., one a line
or with such folders in train/ and val/ (and test/); or PASCAL VOC, CamVid, Oxford-IIIT Pet, COCO or labelme as they
come (docs/layouts.md)"""


def open_dataset(
    source: str | Path,
    split: str,
    *,
    seed: int = 0,
    count: int | None = None,
    size: IntOrPair | None = None,
    holdout: float = 0.2,
) -> Dataset:
    """Open a synthetic set or a folder of pictures and masks.

    Parameters
    ----------
    source
        The name of a synthetic set, such as ``"shapes"``, or a folder. A folder of that name is ``"./shapes"``.
    split
        ``"train"``, ``"val"`` or ``"test"``; of a folder also ``"all"``.
    seed
        Of the synthetic pictures, or of the choice which pictures of a folder are for validation.
    count, size
        Number and size of synthetic pictures; None: the set's own. A folder has what it has: there they raise.
    holdout
        Which share of a folder without splits is for validation.

    Examples
    --------
    >>> open_dataset("shapes", "train", count=10).channels
    3
    """
    from minisegnet.data.folder import Folder
    from minisegnet.data.synthetic import KINDS, Synthetic

    if not isinstance(source, str | Path):
        raise TypeError(f"the data is {source!r} ({type(source).__name__}); expected a name or a folder")
    if source in KINDS:
        return Synthetic(str(source), split=split, count=count, size=size, seed=seed)
    if not Path(source).is_dir():
        what = (
            "it is a file, not a folder"
            if Path(source).is_file()
            else "there is no such folder or synthetic set"
        )
        raise ValueError(
            f"the data is {str(source)!r}: {what}{did_you_mean(str(source), KINDS)}. Expected one of "
            f"{', '.join(KINDS)}, or {LAYOUT}"
        )
    for name, value in (("count", count), ("size", size)):
        if value is not None:
            raise ValueError(
                f"{name} is {value}, which is for synthetic sets ({', '.join(KINDS)}); {str(source)!r} is a folder, "
                f"whose pictures are as they are. Leave {name} out"
            )
    return Folder(source, split=split, seed=seed, holdout=holdout)


def full_name(source: str | Path) -> str:
    """Return a folder by its full name, so that it is found from anywhere; a synthetic set's name is its own.

    >>> full_name("shapes")
    'shapes'
    """
    from minisegnet.data.synthetic import KINDS

    return str(source) if source in KINDS else str(Path(source).resolve())


def split_names(source: str | Path) -> tuple[str, ...]:
    """Say which splits a source has.

    >>> split_names("shapes")
    ('train', 'val', 'test')
    """
    from minisegnet.data.folder import split_names_of_folder
    from minisegnet.data.synthetic import KINDS

    return ("train", "val", "test") if source in KINDS else split_names_of_folder(source)
