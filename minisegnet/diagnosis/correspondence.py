"""Do masks and pictures belong together? In words: what :mod:`alignment` and :mod:`meaning` measured."""

from minisegnet.diagnosis.alignment import Alignment
from minisegnet.diagnosis.finding import DOUBTFUL, NOTE, WRONG, Finding
from minisegnet.diagnosis.meaning import Meaning

WHY_PLACE = "the network is told at every border that the class of one pixel is that of another"
WHY_MEANING = "what is learned from some pictures is then wrong in the others"


def check_correspondence(alignment: Alignment | None, meaning: Meaning | None) -> list[Finding]:
    """Say whether the masks are misplaced, turned, those of other pictures, or numbered differently from each other."""
    if alignment is None:
        return []
    if alignment.moved:
        return [_moved(alignment)]
    if alignment.turned:
        return [_turned(alignment)]
    guessed = meaning is None or meaning.consistent
    if alignment.belongs is False:
        return [_unrelated(alignment, meaning)] if not guessed else [_borders_unseen(alignment)]
    if meaning is not None and not guessed:
        return [_inconsistent(alignment, meaning)]
    return []


def _moved(found: Alignment) -> Finding:
    down, right = found.shift
    steps = [f"{abs(down)} {'down' if down > 0 else 'up'}"] if down else []
    steps += [f"{abs(right)} {'right' if right > 0 else 'left'}"] if right else []
    return Finding(
        "misaligned",
        WRONG,
        "the borders of the labels lie on the edges of the pictures where the masks are moved by "
        f"{' and '.join(steps)} pixels (agreement {found.shifted:.2f}), not as they are ({found.own:.2f}; chance "
        "is 0.50)",
        WHY_PLACE,
        "look at an overlay of a mask on its picture; was one of them cropped, padded or resized without the "
        "other, or the outline drawn with another origin?",
    )


def _turned(found: Alignment) -> Finding:
    assert found.turned is not None
    return Finding(
        "misaligned",
        WRONG,
        f"the masks fit the pictures {found.turned} (agreement {found.turns[found.turned]:.2f}), not as they are "
        f"({found.own:.2f}; chance is 0.50)",
        WHY_PLACE,
        "look at an overlay of a mask on its picture; a tool may have honoured the orientation that a camera "
        "writes into the file (EXIF) for one of them only, or counted rows from below",
    )


def _unrelated(found: Alignment, meaning: Meaning | None) -> Finding:
    seen = (
        f"the masks fit their own pictures (agreement {found.own:.2f}) no better than other pictures "
        f"({found.others:.2f}; chance is 0.50)"
    )
    if meaning is not None:
        seen += (
            ", and what can be guessed of the labels from the pictures is not more than with shuffled masks"
        )
    return Finding(
        "masks-unrelated",
        WRONG,
        seen,
        "a network can learn such pairs by heart, but what it learned says nothing about a new picture",
        "look at some pairs: are pictures and masks paired by the right names (sorted lists of different length, "
        "numbers without leading zeros)?",
    )


def _borders_unseen(found: Alignment) -> Finding:
    return Finding(
        "borders-unseen",
        NOTE,
        f"the borders of the labels don't lie where the pictures change (agreement {found.own:.2f}; masks of other "
        f"pictures have {found.others:.2f})",
        "the labels can be guessed from the pictures, so that they do belong together; but their outlines are "
        "rough, or can't be seen in edges",
        "look at an overlay of a mask on its picture, to be sure that it isn't moved",
    )


def _inconsistent(found: Alignment, meaning: Meaning) -> Finding:
    sure = found.belongs is True
    return Finding(
        "labels-inconsistent",
        WRONG if sure else DOUBTFUL,
        f"the borders of the labels lie on edges of the pictures (agreement {found.own:.2f}), but the classes "
        f"can't be guessed from one picture to another: {max(meaning.own, 0):.0%} explained in {meaning.pictures} "
        f"pictures, {max(meaning.shuffled, 0):.0%} with shuffled masks",
        f"the label map may be wrong: a number means another class in each mask; {WHY_MEANING}",
        "look at the values in some masks: a tool may have numbered the regions of each picture anew, or saved "
        "numbers of objects instead of classes",
    )
