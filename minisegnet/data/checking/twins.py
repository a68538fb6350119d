"""Find pictures that are there more than once; ``fingerprints`` says what counts as the same."""

from collections.abc import Sequence

from minisegnet.data.checking.fingerprints import groups
from minisegnet.data.checking.survey import SeenPair
from minisegnet.data.finding import Finding

NEARLY = (
    "Nearly means: the same proportions, and averaged down to 16 x 16 grey cells they differ by less than 6 % of "
    "their contrast."
)
LEAK = "What was trained on can be known by heart, so a measurement on the same picture says nothing about new ones."


def find_twins(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find pictures that occur twice, the same or nearly: across splits, within one, and with masks that disagree."""
    known = [pair for pair in pairs if pair.image.fingerprint is not None]
    same, nearly = groups([pair.image.fingerprint for pair in known if pair.image.fingerprint])
    findings = []
    for code, what, numbered in (
        ("duplicate", "the same picture", same),
        ("near-duplicate", "nearly the same picture", nearly),
    ):
        grouped = [[known[k] for k in numbers] for numbers in numbered]
        across = [group for group in grouped if len({pair.split for pair in group}) > 1]
        undivided = [group for group in grouped if group not in across and group[0].split == ""]
        within = [group for group in grouped if group not in across and group not in undivided]
        why = LEAK if code == "duplicate" else f"{LEAK} {NEARLY}"
        findings += _across(code, what, why, across) + _undivided(code, what, why, undivided)
        findings += _within(code, what, within)
    return findings + _disagreeing([[known[k] for k in numbers] for numbers in same])


def _across(code: str, what: str, why: str, found: list[list[SeenPair]]) -> list[Finding]:
    return _finding(
        f"{code}-across-splits",
        "warning",
        f"{what} in more than one split",
        why,
        "Keep each in one split only.",
        found,
    )


def _undivided(code: str, what: str, why: str, found: list[list[SeenPair]]) -> list[Finding]:
    do = "Keep one of each; or put those that belong together into the same folder, train/ or val/."
    why = (
        f"The set is divided into training and validation by chance, so they may end up on both sides. {why}"
    )
    return _finding(code, "warning", f"{what} more than once", why, do, found)


def _within(code: str, what: str, found: list[list[SeenPair]]) -> list[Finding]:
    why, do = "Each counts as often as it is there.", "Keep one of each."
    return _finding(f"{code}-within-split", "note", f"{what} more than once in one split", why, do, found)


def _disagreeing(same: list[list[SeenPair]]) -> list[Finding]:
    masks = [[pair for pair in group if pair.mask.digest] for group in same]
    found = [group for group in masks if len({pair.mask.digest for pair in group}) > 1]
    why = "The network is told two answers to one question, and one of them is wrong."
    do = "Compare their masks, and keep the right one."
    return _finding("contradiction", "warning", "the same picture with different masks", why, do, found)


def _finding(
    code: str, severity: str, found: str, why: str, do: str, groups: list[list[SeenPair]]
) -> list[Finding]:
    if not groups:
        return []
    files = tuple(" = ".join(pair.image.file.name for pair in group) for group in groups)
    return [Finding(code, severity, found, why, do, files)]
