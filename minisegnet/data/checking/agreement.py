"""Whether pictures and masks fit each other, and the pictures one another: sizes, orientation, channels, numbers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from minisegnet.data.checking.survey import SeenPair
from minisegnet.data.finding import Finding
from minisegnet.sizes import Pair

TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class Compared(NamedTuple):
    """The sizes (H, W) of a picture and its mask, upright."""

    image: str
    there: Pair
    mask: str
    size: Pair


def check_sizes(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Compare the size of each picture with that of its mask."""
    files = [(pair.image.file, pair.mask.file) for pair in pairs]
    return sizes_differ([Compared(a.name, a.size, b.name, b.size) for a, b in files if a.size and b.size])


def sizes_differ(compared: Iterable[Compared]) -> list[Finding]:
    """Say which pictures and masks differ in size, and which lie across each other."""
    wrong = [pair for pair in compared if pair.there != pair.size]
    across = [pair for pair in wrong if pair.there == pair.size[::-1]]
    return _lying_across(across) + _other_size([pair for pair in wrong if pair not in across])


def _other_size(wrong: Sequence[Compared]) -> list[Finding]:
    return [
        Finding(
            "size-mismatch",
            "error",
            "picture and mask differ in size (H, W)",
            "Each pixel needs one label.",
            "Expected the same; scale the mask by the nearest pixel, so that no new labels appear.",
            _sizes(wrong),
        )
    ] * bool(wrong)


def _lying_across(wrong: Sequence[Compared]) -> list[Finding]:
    return [
        Finding(
            "orientation-mismatch",
            "error",
            "picture and mask lie across each other: height and width (H, W) are swapped",
            "Pictures are turned upright as their EXIF orientation says, and so are masks that have one. These masks "
            "were probably drawn by a program that doesn't look at it.",
            "Turn the masks by a quarter: in Pillow, Image.open(path).transpose(Image.Transpose.ROTATE_270)"
            ".save(path), or ROTATE_90; the contact sheet shows which of them fits. Or take the orientation out of the "
            "pictures, where mask and picture fit as they lie in their files.",
            _sizes(wrong),
        )
    ] * bool(wrong)


def _sizes(wrong: Sequence[Compared]) -> tuple[str, ...]:
    return tuple(f"{pair.image} {pair.there} and {pair.mask} {pair.size}" for pair in wrong)


def check_orientation(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find pictures that are turned or mirrored when they are read, while nothing shows whether their masks fit."""
    doubtful = []
    for pair in pairs:
        image, mask = pair.image.file, pair.mask.file
        if image.origin is None or mask.origin is None or image.size is None or image.size != mask.size:
            continue
        shows = image.origin.orientation in TURNED and image.size[0] != image.size[1]
        if image.origin.orientation != mask.origin.orientation and not shows:
            doubtful.append(f"{image.name} ({_orientation(image.origin.orientation)})")
    if not doubtful:
        return []
    return [
        Finding(
            "orientation",
            "warning",
            "pictures and masks whose EXIF orientations differ",
            "A picture is turned or mirrored when it is read, its mask otherwise. Both have the same size either way, "
            "so only an eye can tell whether they fit.",
            "Look at them in the contact sheet. If a mask lies wrong, turn it; if it is right, save the picture "
            "upright, without the orientation.",
            tuple(doubtful),
        )
    ]


def _orientation(number: int) -> str:
    told = {1: "upright", 2: "mirrored", 3: "upside down", 4: "mirrored, upside down"}
    return told.get(number, "on its side")


def check_channels(pairs: Sequence[SeenPair], grey_as_colour: bool = False) -> list[Finding]:
    """Find pictures that differ in the number of their channels."""
    names: dict[int, list[str]] = {}
    for pair in pairs:
        if pair.image.channels:
            names.setdefault(pair.image.channels, []).append(pair.image.file.name)
    if len(names) < 2 or (grey_as_colour and set(names) == {1, 3}):
        return []
    return [channels_differ(names)]


def channels_differ(names: dict[int, list[str]]) -> Finding:
    """Say which pictures have how many channels."""
    rarest = min(sorted(names), key=lambda count: len(names[count]))
    told = ", ".join(f"{len(names[count])} with {count}" for count in sorted(names))
    return Finding(
        "channels",
        "error",
        f"pictures differ in the number of channels ({told}); those with {rarest}",
        "A network has a fixed number of inputs.",
        "Expected the same for all: convert the grey ones to colour, or the colour ones to grey.",
        tuple(names[rarest]),
    )


def check_numbers(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find pictures whose numbers are of different kinds."""
    names: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.image.numbers:
            names.setdefault(pair.image.numbers, []).append(pair.image.file.name)
    if len(names) < 2:
        return []
    rarest = min(sorted(names), key=lambda kind: len(names[kind]))
    told = ", ".join(f"{len(names[kind])} with {kind}" for kind in sorted(names))
    return [
        Finding(
            "bit-depth",
            "warning",
            f"pictures hold different kinds of numbers ({told}); those with {rarest}",
            "Each is divided by the largest number of its kind: 255, 65535 or 1. A camera of 12 bits that writes 16 "
            "gives almost black pictures beside those of 8 bits.",
            "Save all in the same way, and scale their brightness alike.",
            tuple(names[rarest]),
        )
    ]
