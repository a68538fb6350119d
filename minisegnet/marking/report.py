"""What the marker found, as plain objects: one verdict for each function, one report for a file."""

from dataclasses import dataclass, field
from typing import Any

from minisegnet.marking.compare import Problem


@dataclass(frozen=True)
class Failure:
    """The smallest case that fails, with all that is shown of it."""

    call: str
    arrays: tuple[tuple[str, Any], ...]
    problem: Problem
    expected: Any = None
    got: Any = None
    where: str = ""  # the line of the learner's file that raised
    evidence: tuple[str, ...] = ()  # what else can be seen
    hint: str = ""
    mistake: str = ""  # the id of the suspect that answers alike
    sure: bool = True


@dataclass(frozen=True)
class Verdict:
    """How one function did.

    ``status`` is "pass", "fail" or "unwritten" (it raises NotImplementedError).
    """

    op: str
    status: str
    tried: int = 0
    failed: int = 0
    failure: Failure | None = None
    missing: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """How one file did. ``trouble`` says why its functions could not be marked at all."""

    name: str
    lesson: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    trouble: str = ""
    notes: tuple[str, ...] = ()
    expected: tuple[str, ...] = field(default=())
    printed: str = ""

    @property
    def absent(self) -> tuple[str, ...]:
        """The lesson's functions that the file doesn't define."""
        there = {verdict.op for verdict in self.verdicts}
        return tuple(op for op in self.expected if op not in there)

    @property
    def passed(self) -> bool:
        """Whether there is something to mark, and all of it is right."""
        return bool(self.verdicts) and not self.trouble and all(v.status == "pass" for v in self.verdicts)
