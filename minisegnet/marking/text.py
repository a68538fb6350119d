"""The marker's answer in words: for a person (`as_text`, `as_line`) and for a script (`as_dict`)."""

import textwrap
from typing import Any

import numpy as np

from minisegnet.marking.compare import wrong_entries
from minisegnet.marking.contract import contract
from minisegnet.marking.drawing import blocks, side_by_side
from minisegnet.marking.report import Failure, Report, Verdict

WIDTH = 100
SHOWN_OF_PRINT = 3  # lines


def as_text(report: Report) -> str:
    """Tell all of one file."""
    lines = [report.name + (f", lesson {report.lesson}" if report.lesson is not None else "")]
    if report.trouble:
        lines += ["", *_wrapped(f"It can't be marked: {report.trouble}")]
    for verdict in report.verdicts:
        lines += ["", *_told(verdict)]
    if report.absent:
        lines += ["", "Still to write:", *(f"  {contract(op).signature()}" for op in report.absent)]
    lines += [""] * bool(report.notes) + [line for note in report.notes for line in _wrapped(note)]
    lines += _printed(report.printed)
    return "\n".join([*lines, "", _summary(report)])


def as_line(report: Report) -> str:
    """Tell one file in one line, as for thirty of them."""
    if report.trouble:
        return f"{report.name}: {report.trouble.splitlines()[0]}"
    words = [_word(v) for v in report.verdicts]
    words += [f"{op} missing" for op in report.absent]
    return f"{report.name}: {', '.join(words)}"


def _word(verdict: Verdict) -> str:
    if verdict.status == "pass":
        return f"{verdict.op} ok"
    if verdict.status == "unwritten" or verdict.failure is None:
        return f"{verdict.op} not written"
    told = verdict.failure.mistake.split(".")[-1] or verdict.failure.problem.kind
    return f"{verdict.op} FAILS ({told})"


def as_dict(report: Report) -> dict[str, Any]:
    """Return what a script needs; the arrays as nested lists, NaN and infinities as words."""
    return {
        "file": report.name,
        "lesson": report.lesson,
        "passed": report.passed,
        "trouble": report.trouble or None,
        "missing_functions": list(report.absent),
        "notes": list(report.notes),
        "printed": report.printed,
        "functions": [_verdict_dict(verdict) for verdict in report.verdicts],
    }


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    failure = verdict.failure
    return {
        "name": verdict.op,
        "status": verdict.status,
        "cases": verdict.tried,
        "failed": verdict.failed,
        "missing": list(verdict.missing),
        "advice": list(verdict.advice),
        "failure": None if failure is None else _failure_dict(failure),
    }


def _failure_dict(failure: Failure) -> dict[str, Any]:
    return {
        "call": failure.call,
        "arrays": {name: _listed(array) for name, array in failure.arrays},
        "problem": failure.problem.kind,
        "result": failure.problem.output,
        "text": failure.problem.text,
        "expected": _listed(failure.expected),
        "got": _listed(failure.got),
        "where": failure.where or None,
        "mistake": failure.mistake or None,
        "sure": failure.sure,
        "hint": failure.hint or None,
        "evidence": list(failure.evidence),
    }


def _listed(array: Any) -> Any:
    if array is None:
        return None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return np.vectorize(lambda v: float(v) if np.isfinite(v) else str(v), otypes=[object])(array).tolist()
    return array.tolist()


# ---------------------------------------------------------------------------------------------------------
# One function


def _told(verdict: Verdict) -> list[str]:
    match verdict.status:
        case "pass":
            lines = [f"{verdict.op}: passes all {verdict.tried} cases"]
        case "unwritten":
            lines = [f"{verdict.op}: not written yet (it raises NotImplementedError)"]
        case _:
            lines = _told_failing(verdict)
    if verdict.missing:
        lines += _wrapped(f"Not there yet: {', '.join(verdict.missing)}.", "  ")
    for advice in verdict.advice:
        lines += _wrapped(f"Advice: {_sentence(advice)}", "  ")
    return lines


def _told_failing(verdict: Verdict) -> list[str]:
    failure = verdict.failure
    assert failure is not None
    if not failure.arrays:
        return [f"{verdict.op}: fails", *_wrapped(failure.problem.text, "  ")]
    failing = f"{verdict.failed} of {verdict.tried}" if verdict.tried > 1 else "the first"
    lines = [f"{verdict.op}: fails {failing} cases. The smallest that fails:", "", f"    {failure.call}", ""]
    drawn = [block for name, array in failure.arrays for block in blocks(name, array)]
    lines += [f"    {line}".rstrip() for line in side_by_side(drawn)]
    lines += ["", *_wrapped(f"{_sentence(failure.problem.text)}", "  ")]
    if failure.where:
        lines.append(f"    {failure.where}")
    lines += _drawn_answer(failure)
    lines += [line for told in failure.evidence for line in _wrapped(told, "  ")]
    if failure.hint:
        lines += _wrapped(f"{'Likely' if failure.mistake else 'Hint'}: {_sentence(failure.hint)}", "  ")
    return lines


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", ":")) else f"{text}."


def _drawn_answer(failure: Failure) -> list[str]:
    if (
        failure.expected is None
        or failure.got is None
        or failure.problem.kind not in ("values", "shape", "dtype", "unstable")
    ):
        return []
    wrong = None
    if failure.got.shape == failure.expected.shape and failure.problem.kind in ("values", "unstable"):
        wrong = wrong_entries(failure.got, failure.expected)
    drawn = [*blocks("expected", failure.expected), *blocks("yours", failure.got, wrong)]
    return ["", *(f"    {line}".rstrip() for line in side_by_side(drawn)), ""]


# ---------------------------------------------------------------------------------------------------------
# Around it


def _printed(printed: str) -> list[str]:
    lines = printed.splitlines()
    if not lines:
        return []
    more = [f"    … ({len(lines) - SHOWN_OF_PRINT} more lines)"] if len(lines) > SHOWN_OF_PRINT else []
    return ["", "It printed:", *(f"    {line[:WIDTH]}" for line in lines[:SHOWN_OF_PRINT]), *more]


def _summary(report: Report) -> str:
    if report.trouble:
        return "Nothing was marked."
    passing = sum(v.status == "pass" for v in report.verdicts)
    told = f"{passing} of {len(report.verdicts)} functions pass"
    if report.absent:
        return f"{told}; {len(report.absent)} of the lesson's {len(report.expected)} are still to be written."
    return f"{told}." if passing < len(report.verdicts) else f"{told}. Well done."


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Wrap each line of a text on its own: some are layouts."""
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(
            part, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    ]  # fmt: skip
