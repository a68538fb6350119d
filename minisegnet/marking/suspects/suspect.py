"""A suspect is an op with one typical mistake in it.

Where a learner's function answers like the suspect, and not like the reference, the mistake is named. Nobody
reads the learner's text: the same mistake is found in loops and in one line of einsum.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.cases import Arguments, answer, paired
from minisegnet.marking.contract import contract

Wrong = Callable[..., Any]  # of the arguments as a namespace; loops bind what differs as defaults


@dataclass(frozen=True)
class Suspect:
    """One mistake: its id, the part of the answer that it spoils, what to say, and the spoilt function.

    ``run`` returns what the mistake makes of that part, or None where it has no say (the case isn't concerned).
    """

    mistake: str
    op: str
    output: str
    hint: str
    run: Wrong

    def answer(self, arguments: Arguments) -> Any:
        """Return the wrong answer; None where the mistake can't be made with these arguments."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mistake may well divide by zero
            try:
                return self.run(SimpleNamespace(**paired(arguments)))
            except (ValueError, IndexError, TypeError, ZeroDivisionError):
                return None


SUSPECTS: dict[str, list[Suspect]] = {}


def suspect(mistake: str, op: str, output: str, hint: str) -> Callable[[Wrong], Wrong]:
    """Register a wrong version of one part of an op's answer."""

    def register(run: Wrong) -> Wrong:
        SUSPECTS.setdefault(op, []).append(Suspect(mistake, op, output, " ".join(hint.split()), run))
        return run

    return register


def right(op: str, a: SimpleNamespace, output: str | None = None, **changes: Any) -> Any:
    """Return one part of the right answer to changed arguments; the first part unless named."""
    names = contract(op).results
    arguments = {**vars(a), **changes}
    parts = answer(op, {n: arguments[n] for n in (*contract(op).positional, *contract(op).options)})
    return parts[names.index(output) if output else 0]
