"""Files that can't be read, sorted by what is wrong with them."""

from collections.abc import Sequence

from minisegnet.data.checking.survey import SeenFile, SeenPair
from minisegnet.data.finding import Finding

LOSSY = ("JPEG", "MPO")


def check_readable(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find empty, damaged and oversized files, masks saved as JPEG, and whatever else can't be read."""
    images = [pair.image.file for pair in pairs if pair.image.file.problem]
    masks = [pair.mask.file for pair in pairs if pair.mask.file.problem]
    empty = [file for file in images + masks if "0 bytes" in file.problem]
    lossy = [file for file in masks if file.origin is not None and file.origin.format in LOSSY]
    told = [*empty, *lossy]
    findings = []
    if empty:
        findings.append(_empty(empty))
    if lossy:
        findings.append(jpeg_masks(lossy))
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


def _unreadable(code: str, what: str, files: Sequence[SeenFile]) -> Finding:
    return Finding(
        code,
        "error",
        f"{what} that can't be read",
        "Training would stop at the first of them.",
        "Copy or save them again, or take picture and mask away.",
        tuple(f"{file.name} {file.problem}" for file in files),
    )
