"""Files that can't be read, sorted by what is wrong with them."""

from collections.abc import Sequence

from minisegnet.data.checking.survey import SeenFile, SeenPair
from minisegnet.data.finding import Finding
from minisegnet.data.palettes import as_hex
from minisegnet.data.reading import MOST_TOLD

LOSSY = ("JPEG", "MPO")
MOST_COLOURS = 40  # more in all masks together are rather mixtures than classes


def check_readable(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find empty, damaged and oversized files, masks saved as JPEG, and whatever else can't be read."""
    images = [pair.image.file for pair in pairs if pair.image.file.problem]
    masks = [pair.mask.file for pair in pairs if pair.mask.file.problem]
    empty = [file for file in images + masks if "0 bytes" in file.problem]
    lossy = [file for file in masks if file.origin is not None and file.origin.format in LOSSY]
    painted = [file for file in masks if file.colours]
    told = [*empty, *lossy, *painted]
    findings = []
    if empty:
        findings.append(_empty(empty))
    if lossy:
        findings.append(jpeg_masks(lossy))
    if painted:
        findings.append(_painted_masks(painted))
    for code, what, files in (
        ("unreadable-picture", "pictures", images),
        ("unreadable-mask", "masks", masks),
    ):
        others = [file for file in files if file not in told]
        if others:
            findings.append(_unreadable(code, what, others))
    return findings


def _empty(files: Sequence[SeenFile]) -> Finding:
    return Finding(
        "empty-file",
        "error",
        "empty files (0 bytes)",
        "A copy or a download was probably cut off, or the disk was full.",
        "Copy them again from where they came from, or take picture and mask away.",
        tuple(file.name for file in files),
    )


def jpeg_masks(files: Sequence[SeenFile]) -> Finding:
    """Say which masks are JPEG files, whatever their names say."""
    return Finding(
        "jpeg-mask",
        "error",
        "masks saved as JPEG",
        "JPEG blurs: along each boundary it makes up values that are no label, and they can't be told from real ones "
        "afterwards.",
        "Export them again as PNG from the program that they were drawn with; converting the JPEG keeps the damage.",
        tuple(file.name for file in files),
    )


def _painted_masks(files: Sequence[SeenFile]) -> Finding:
    lines = name_colours(files)
    if lines:
        do = (
            "Name each colour in classes.txt, beside the folder of masks, one a line (the names are yours to "
            "choose):\n" + "\n".join(f"  {line}" for line in lines)
        )
    else:
        do = (
            "So many colours come from soft edges: a brush, smoothing, or a mask that was scaled or once saved as "
            "JPEG. Export the masks again with hard edges, as PNG; then name each colour in classes.txt "
            "(#ff0000 = cell)."
        )
    return Finding(
        "painted-mask",
        "error",
        "masks painted in colours that nobody names",
        "Nothing says which colour is which class.",
        do,
        tuple(f"{file.name} ({_number(file)} colours)" for file in files),
    )


def _number(file: SeenFile) -> str:
    return str(len(file.colours)) if len(file.colours) <= MOST_TOLD else f"more than {MOST_TOLD}"


def name_colours(files: Sequence[SeenFile]) -> tuple[str, ...]:
    """Return lines for a ``classes.txt`` that name each colour; none where there are too many to be classes.

    >>> name_colours([SeenFile("a.png", colours=((0, 0, 0), (255, 0, 0))), SeenFile("b.png", colours=((0, 9, 0),))])
    ('#000000 = background', '#000900 = class 1', '#ff0000 = class 2')
    """
    colours = sorted({colour for file in files for colour in file.colours})
    if len(colours) > MOST_COLOURS:
        return ()
    names = [
        "background" if colour == (0, 0, 0) else f"class {place}" for place, colour in enumerate(colours)
    ]
    return tuple(f"{as_hex(colour)} = {name}" for colour, name in zip(colours, names, strict=True))


def _unreadable(code: str, what: str, files: Sequence[SeenFile]) -> Finding:
    return Finding(
        code,
        "error",
        f"{what} that can't be read",
        "Training would stop at the first of them.",
        "Copy or save them again, or take picture and mask away.",
        tuple(f"{file.name} {file.problem}" for file in files),
    )
