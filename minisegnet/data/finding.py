"""A finding: one thing about a data set that somebody should know, as data. Nothing here prints.

A data set that can't be opened raises its findings as one error, ``Refused``; ``check-data`` lists them. So a user is
told the same words by both. Who looks for what is wrong calls ``refuse``: as a rule that raises, but within
``collecting`` the finding is kept, and what is left of the data set goes on to the next check.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

SEVERITIES = ("error", "warning", "note")  # the worst first


class Finding(NamedTuple):
    """What was found, why it matters and what to do.

    >>> finding = Finding("empty-file", "error", "empty files", "Nothing is in them.", "Copy them again.", ("a.png",))
    >>> finding.text()
    'empty files: a.png. Nothing is in them. Copy them again.'
    """

    code: str  # a short name that stays the same, for scripts
    severity: str  # "error": training refuses it; "warning": it trains, but worse than you think; "note"
    found: str
    why: str
    do: str
    files: tuple[str, ...] = ()  # all that it is about, as they are called in the folder; some with a remark

    def headline(self, most: int = 5) -> str:
        """Return what was found, with the first files and how many there are."""
        return f"{self.found}: {some(self.files, most)}" if self.files else self.found

    def text(self, most: int = 5) -> str:
        """Return all of it in one paragraph."""
        headline = self.headline(most)
        end = "" if headline.endswith((".", ":")) else "."
        return " ".join(part for part in (headline + end, self.why, self.do) if part)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**self._asdict(), "files": list(self.files)}


class Refused(ValueError):
    """A data set can't be opened; ``findings`` says why.

    >>> str(Refused("cells", [Finding("empty-file", "error", "an empty file", "", "Copy it again.", ("a.png",))]))
    'cells: an empty file: a.png. Copy it again.'
    """

    def __init__(self, root: object, findings: Sequence[Finding], most: int = 5) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(f"{root}: {finding.text(most)}" for finding in findings))


_kept: ContextVar[list[tuple[object, Finding]] | None] = ContextVar("kept", default=None)


@contextmanager
def collecting() -> Iterator[list[tuple[object, Finding]]]:
    """Collect what would be refused, as far as one can go on without it, and in which folder it was found.

    >>> with collecting() as findings:
    ...     refuse("cells", [Finding("same-name", "error", "two files of one name", "", "Take one away.")])
    >>> [(folder, finding.code) for folder, finding in findings]
    [('cells', 'same-name')]
    """
    findings: list[tuple[object, Finding]] = []
    token = _kept.set(findings)
    try:
        yield findings
    finally:
        _kept.reset(token)


def refuse(root: object, findings: Sequence[Finding]) -> None:
    """Raise findings, if there are any; or keep them, where somebody collects."""
    kept = _kept.get()
    if kept is not None:
        kept.extend((root, finding) for finding in findings)
    elif findings:
        raise Refused(root, findings)


def some(things: Iterable[object], most: int = 5) -> str:
    """Name the first few, and say how many there are.

    >>> some(["a", "b", "c"], most=2)
    'a, b ... (3 in all)'
    """
    listed = [str(thing) for thing in things]
    return ", ".join(listed[:most]) + (f" ... ({len(listed)} in all)" if len(listed) > most else "")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by severity; what is equally severe stays in its order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
