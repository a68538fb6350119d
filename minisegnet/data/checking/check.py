"""All checks of a data set, in one go."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from minisegnet.data.checking.agreement import check_channels, check_numbers, check_orientation, check_sizes
from minisegnet.data.checking.balance import check_balance, check_number
from minisegnet.data.checking.labels import Labels, check_labels
from minisegnet.data.checking.readable import check_readable
from minisegnet.data.checking.survey import SeenPair, called, survey
from minisegnet.data.checking.twins import find_twins
from minisegnet.data.finding import Finding, Refused, collecting, worst_first
from minisegnet.data.layouts import Layout, find_layout
from minisegnet.data.pairs import too_few
from minisegnet.data.reading import MOST_PIXELS


class Checked(NamedTuple):
    """What the checks found out."""

    root: Path
    layout: Layout | None  # None: it isn't known, and nothing else was looked at
    pairs: list[SeenPair]
    labels: Labels
    findings: list[Finding]  # the worst first

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, where the data set doesn't say it."""
        told = self.layout.notes if self.layout else ()
        return told + (self.labels.classes.notes if self.labels.classes else ())


def check_data(
    root: str | Path,
    *,
    max_pixels: int = MOST_PIXELS,
    essential: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Checked:
    """Look through a data set and list everything that is wrong with it.

    One file at a time is in memory, and every problem is listed, not only the first.

    Parameters
    ----------
    root
        Its folder, in any layout.
    max_pixels
        Larger files are not unpacked, and listed.
    essential
        Look only for what keeps a training from beginning: errors.
    progress
        Is told how many pairs are done.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from minisegnet.data.reading import write_image, write_mask
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("images", "masks"):
    ...         Path(root, name).mkdir()
    ...     for name in ("a.png", "b.png"):
    ...         write_image(Path(root, "images", name), np.zeros((4, 6, 3), np.uint8))
    ...     write_mask(Path(root, "masks/a.png"), np.zeros((4, 5), np.uint8), [(0, 0, 0)])
    ...     [finding.headline() for finding in check_data(root, essential=True).findings]
    ['pictures without a mask: b', 'picture and mask differ in size (H, W): images/a.png (4, 6) and masks/a.png (4, 5)',
     'all masks hold the value 0 and nothing else', 'there is 1 picture; expected two or more']
    """
    root = Path(root)
    with collecting() as problems:
        try:
            layout = find_layout(root)
        except ValueError as error:
            findings = [*_placed(root, problems), *_unknown(root, error)]
            return Checked(root, None, [], Labels(None, []), findings)
    pairs = survey(
        layout.root, layout.splits, max_pixels=max_pixels, fingerprints=not essential, progress=progress
    )
    labels = check_labels(layout, pairs)
    findings = [
        *_placed(layout.root, problems),
        *check_readable(pairs),
        *check_sizes(pairs),
        *check_channels(pairs, layout.grey_as_colour),
        *labels.findings,
        *_divisible(layout),
    ]
    if not essential:
        findings += _not_essential(layout, pairs, labels)
    return Checked(root, layout, pairs, labels, worst_first(findings))


def _placed(root: Path, found: Sequence[tuple[object, Finding]]) -> list[Finding]:
    """Say in which folder something was found, if it isn't the root."""
    placed = []
    for folder, finding in found:
        name = called(root, Path(str(folder)))
        placed.append(finding if name == "." else finding._replace(found=f"{name}/: {finding.found}"))
    return placed


def _unknown(root: Path, error: ValueError) -> Sequence[Finding]:
    """Make a finding of whatever find_layout raised."""
    if isinstance(error, Refused):
        return error.findings
    text = str(error).removeprefix(f"{root}: ")
    why = "Nothing can be learned unless it is known which picture has which labels."
    return [Finding("layout", "error", text, why, "docs/layouts.md shows each layout that is read.")]


def _divisible(layout: Layout) -> list[Finding]:
    """Find out whether there is something to train on and something to validate with."""
    undivided = layout.splits.get("", [])
    return (
        [too_few(len(undivided))]
        if "" in layout.splits and len(undivided) < 2 and "val" not in layout.splits
        else []
    )


def _not_essential(layout: Layout, pairs: list[SeenPair], labels: Labels) -> list[Finding]:
    findings = [*check_orientation(pairs), *check_numbers(pairs), *find_twins(pairs), *check_number(pairs)]
    if labels.classes is not None:
        balance = check_balance(pairs, labels.classes)
        # The custom of a layout names classes that a small part of the set needn't have.
        findings += [f for f in balance if not (layout.only_if_fits and f.code == "absent-class")]
    return findings


def refuse_broken(root: str | Path, *, max_pixels: int = MOST_PIXELS) -> None:
    """Raise all errors of a data set at once, in the words of ``check-data``."""
    errors = check_data(root, max_pixels=max_pixels, essential=True).of("error")
    if errors:
        refused = Refused(root, errors)
        refused.add_note(
            f"`minisegnet check-data {root}` tells more, and draws all pictures with their masks"
        )
        raise refused
