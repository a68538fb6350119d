"""What the values in the masks mean: classes, or something that went wrong while they were saved."""

from collections.abc import Sequence
from typing import NamedTuple

from minisegnet.data.checking.readable import name_colours
from minisegnet.data.checking.survey import Occurring, SeenPair, values_of
from minisegnet.data.classes import Classes, find_classes, propose
from minisegnet.data.descriptions import IGNORED
from minisegnet.data.finding import Finding, Refused, some
from minisegnet.data.layouts import Layout

DRAWN = (
    0.3  # of a value that was drawn, at least this share of the pixels has only neighbours of the same value
)
MANY = 40  # more classes than this, without names, are rather numbers of objects


class Labels(NamedTuple):
    """What was found out about the values in the masks."""

    classes: Classes | None  # None: they can't be known
    findings: list[Finding]
    blends: frozenset[int] = frozenset()  # values that averaging made
    proposal: tuple[str, ...] = ()  # lines for a classes.txt, where one would help


def check_labels(layout: Layout, pairs: Sequence[SeenPair]) -> Labels:
    """Find the classes; what stands in their way are findings."""
    known = [pair for pair in pairs if pair.mask.counts is not None]
    painted = [pair.mask.file for pair in pairs if pair.mask.file.colours]
    if len(painted) > len(known):  # the few others may be all black
        return Labels(None, [], proposal=name_colours(painted))
    if not known:
        return Labels(None, [])
    values = values_of(known)
    named = {
        *(layout.values or range(len(layout.class_names or ()))),
        *layout.merged,
        *(layout.ignored or ()),
    }
    spoilt = _blended_values(known, values, named)
    blends = frozenset(value for made in spoilt.values() for value in made) - named
    findings = _blends(spoilt, blends, severe=bool(blends))
    if not set(values) - blends:
        return Labels(None, findings, blends)
    try:
        classes = find_classes(layout, _told(known, blends))
    except Refused as refused:
        return Labels(
            None,
            [*findings, *refused.findings],
            blends,
            _proposal(refused, [v for v in values if v not in blends]),
        )
    except ValueError as error:
        text = str(error).removeprefix(f"{layout.root}: ")
        why = "The numbers in the masks have no meaning without it."
        do = "docs/layouts.md tells what classes.txt and dataset.toml may say."
        return Labels(None, [*findings, Finding("classes", "error", text, why, do)], blends)
    return Labels(classes, [*findings, *_many(layout, classes, values)], blends)


def _told(pairs: Sequence[SeenPair], blends: frozenset[int]) -> list[tuple[str, tuple[int, ...]]]:
    """Return what to call each mask, and its values without those that averaging made."""
    held = [
        (pair.mask.file.name, pair.mask.counts.values.tolist())
        for pair in pairs
        if pair.mask.counts is not None
    ]
    return [(name, tuple(value for value in values if value not in blends)) for name, values in held]


def _proposal(refused: Refused, present: list[int]) -> tuple[str, ...]:
    """Return lines for a ``classes.txt`` where such lines would help."""
    codes = {finding.code for finding in refused.findings}
    if "black-and-white" in codes:
        return propose((0, IGNORED))
    # 255 is a class like others only where 254 is one, too.
    return propose([v for v in present if v != IGNORED or IGNORED - 1 in present]) if "gaps" in codes else ()


def _many(layout: Layout, classes: Classes, values: dict[int, Occurring]) -> list[Finding]:
    there = [value for value in values if value not in classes.ignored]
    if layout.class_names is not None or len(there) <= MANY:
        return []
    return [
        Finding(
            "many-classes",
            "warning",
            f"masks hold {len(there)} values ({some(there)}), and nobody says that each is a class",
            "Where each object has a number of its own, the numbers are no classes: object 7 of one picture has "
            "nothing in common with object 7 of another.",
            "If they number objects, write 1 wherever the number isn't 0: labels[labels > 0] = 1. If they are classes, "
            "name them in classes.txt.",
        )
    ]


# ---------------------------------------------------------------------------------------------------------
# Values that averaging made


def _blended_values(
    pairs: Sequence[SeenPair], values: dict[int, Occurring], named: set[int]
) -> dict[str, tuple[int, ...]]:
    """Return which masks hold values that averaging made, and which.

    A single such value is believed only if no mask has it as an area and nobody names it. In a mask with several of
    them, whatever nobody has drawn as an area is one: JPEG leaves them beside the boundary, too, not only on it.
    """
    drawn = {value for value, there in values.items() if there.filled >= DRAWN * there.pixels}
    spoilt = {}
    for pair in pairs:
        blend, counts = pair.mask.blend, pair.mask.counts
        if blend is None or counts is None:
            continue
        if blend.sure:
            made = {*blend.values, *(v for v in counts.values.tolist() if v not in drawn and v not in named)}
        else:
            made = {v for v in blend.values if not values[v].filled and v not in named}
        if made:
            spoilt[pair.mask.file.name] = tuple(sorted(made))
    return spoilt


def _blends(spoilt: dict[str, tuple[int, ...]], blends: frozenset[int], *, severe: bool) -> list[Finding]:
    if not spoilt:
        return []
    made = sorted({value for values in spoilt.values() for value in values})
    return [
        Finding(
            "blended-values",
            "error" if severe else "warning",
            f"masks hold values that only averaging can have made: {some(made, most=8)}",
            "They are rare, and lie along the boundaries between two others. A mask that is scaled, turned or smoothed "
            "like a picture, drawn with soft edges or saved as JPEG gets such values; they would be learned as "
            "classes.",
            "Make the masks anew from the originals, and scale by the nearest pixel (Pillow: "
            "Image.Resampling.NEAREST). Of a mask of 0 and 255 whose original is lost: labels = mask > 127.",
            tuple(spoilt),
        )
    ]
