"""Marks files: finds the functions, judges each, and gathers the verdicts."""

from pathlib import Path

from minisegnet.marking.contract import RESULTS, expected
from minisegnet.marking.judge import judge
from minisegnet.marking.report import Report, Verdict
from minisegnet.marking.runner import Learner, Limits, Trouble
from minisegnet.words import did_you_mean


def mark(target: str | Path, lesson: int | None = None, limits: Limits | None = None) -> Report:
    """Mark the functions of a learner's file or module against the reference.

    Parameters
    ----------
    target
        Path of a Python file, or a dotted module name.
    lesson
        Number of a lesson: its functions are marked first, and those that the file lacks are named.
    limits
        Of time and memory.

    Returns
    -------
    Report
        A verdict for each function; ``trouble`` says why there is none.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; the lesson has no functions.
    """
    wanted = () if lesson is None else expected(lesson)
    name, is_file = str(target), _is_file(target)
    if is_file and not Path(target).exists():
        raise FileNotFoundError(2, "there is no such file", str(target))
    if Path(target).suffix == ".ipynb":
        trouble = "it is a notebook; export it as a Python file (.py) first"
        return Report(name, lesson, trouble=trouble, expected=wanted)
    try:
        with Learner(name, is_file, limits or Limits()) as learner:
            ops = sorted(learner.functions, key=lambda op: _rank(op, wanted))
            verdicts = tuple(judge(learner, op) for op in ops)
            notes = _notes(learner)
            trouble = "" if ops else _nothing(learner, wanted)
            return Report(name, lesson, verdicts, trouble, notes, wanted, learner.printed)
    except Trouble as error:
        return Report(name, lesson, trouble=str(error), expected=wanted)


def _is_file(target: str | Path) -> bool:
    """Tell a path from a module's name: a path has a suffix or a separator, or is there."""
    path = Path(target)
    if isinstance(target, Path) or path.suffix in (".py", ".ipynb") or len(path.parts) > 1 or path.is_file():
        return True
    return not all(part.isidentifier() for part in str(target).split("."))


def _rank(op: str, wanted: tuple[str, ...]) -> tuple[int, int]:
    """Order the lesson's functions first, then the contract's order."""
    return (wanted.index(op) if op in wanted else len(wanted)), list(RESULTS).index(op)


def _notes(learner: Learner) -> tuple[str, ...]:
    if not learner.ours:
        return ()
    listed = ", ".join(sorted(learner.ours))
    return (f"{listed}: imported from minisegnet, so not marked",)


def _nothing(learner: Learner, wanted: tuple[str, ...]) -> str:
    names = wanted or tuple(RESULTS)
    told = "it defines none of the functions that can be marked"
    for other in learner.others:
        guess = did_you_mean(other, names)
        if guess:
            return f"{told}; it has {other}{guess}"
    some = ", ".join(names if wanted else names[:8])
    return f"{told}, such as {some}"


__all__ = ["Limits", "Report", "Verdict", "mark"]
