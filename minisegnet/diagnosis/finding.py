"""What a diagnosis comes to: findings as data, so that a script can read them as well as a person."""

from typing import Any, NamedTuple

WRONG, DOUBTFUL, NOTE = "wrong", "doubtful", "note"  # worst first
SEVERITIES = (WRONG, DOUBTFUL, NOTE)


class Finding(NamedTuple):
    """Something that was seen, and what to make of it.

    Parameters
    ----------
    name
        What it is called, the same in all versions: ``"all-ignored"``.
    severity
        ``"wrong"``: training won't work well before this is changed; ``"doubtful"``: look at it; ``"note"``: good to
        know.
    seen, why, advice
        What was measured; why it matters; what to do.

    Examples
    --------
    >>> finding = Finding("all-ignored", WRONG, "no pixel counts", "there is nothing to learn", "see classes.txt")
    >>> finding.as_dict()["severity"]
    'wrong'
    """

    name: str
    severity: str
    seen: str
    why: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return self._asdict()


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Sort by severity; among equals, what was found first stays first: causes come before what they cause."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def percent(share: float) -> str:
    """Write a share for people; what isn't all or nothing doesn't look like it.

    >>> percent(0.5), percent(0.9996), percent(0.0002), percent(1.0)
    ('50 %', '99.9 %', '0.1 %', '100 %')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    shown = min(max(100 * share, 0.1), 99.9)
    return f"{shown:.0f} %" if 2 <= shown <= 98 else f"{shown:.1f} %"
