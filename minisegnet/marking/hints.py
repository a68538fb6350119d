"""From a failing case to words: the mistake where a suspect answers alike, else what can be seen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minisegnet.marking.cases import ORDINARY, Arguments, Case, is_empty
from minisegnet.marking.compare import Problem, equal, result_names, wrong_entries
from minisegnet.marking.contract import contract
from minisegnet.marking.first import never_right
from minisegnet.marking.numeric import derivative
from minisegnet.marking.report import Failure
from minisegnet.marking.seen import seen
from minisegnet.marking.suspects import SUSPECTS, Suspect
from minisegnet.marking.way import Way

if TYPE_CHECKING:
    from minisegnet.marking.judge import Tried


def explain(op: str, way: Way, tried: Sequence["Tried"], small: "Tried", problem: Problem) -> Failure:
    """Put together what is shown of a failing case."""
    expected, got = _parts(small, problem)
    found, sure = None, True
    evidence: list[str] = []
    hint = ""
    if problem.kind in ("values", "shape"):
        found, sure = likely(op, problem.output, [*tried, small])
    if found is not None:
        hint = found.hint
        if not sure:
            evidence.append(
                "This explains the case above, but not all that fail: there is another mistake, too."
            )
    else:
        evidence, hint = seen(op, tried, small, problem)
    evidence += _not_done(way, tried, found)
    evidence += _second_witness(small, problem, expected, got)
    evidence += _other_parts(op, tried, problem)
    return Failure(
        call=written(way, small.case),
        arrays=_shown(way, small.case),
        problem=problem,
        expected=expected,
        got=got,
        where=small.outcome.where,
        evidence=tuple(evidence),
        hint=hint,
        mistake=found.mistake if found else "",
        sure=sure,
    )


def _parts(small: "Tried", problem: Problem) -> tuple[Any, Any]:
    names = result_names(small.case)
    if problem.output not in names:
        return None, None
    return (small.case.expected() or ())[names.index(problem.output)], small.got(problem.output)


# ---------------------------------------------------------------------------------------------------------
# Suspects


def likely(op: str, output: str, tried: Sequence["Tried"]) -> tuple[Suspect | None, bool]:
    """Find the suspect that answers as the learner does; and whether it explains every failing case.

    The last one tried is the small case, which it must explain. It is ruled out by what the learner gets right and
    it doesn't.
    """
    answers = [(t, t.got(output)) for t in tried if t.case.dtype == "float64" and t.case.layout == "plain"]
    answers = [(t, got) for t, got in answers if got is not None and not is_empty(t.case)]
    if not answers or answers[-1][0] is not tried[-1]:
        return None, True
    last, its = answers[-1]
    partly: tuple[int, Suspect] | None = None
    for suspect in SUSPECTS.get(op, ()):
        if suspect.output != output:
            continue
        wrong = suspect.answer(last.case.arguments() or {})
        if wrong is None or not equal(its, wrong):
            continue
        telling, unexplained = _weigh(suspect, answers)
        if telling and unexplained == 0:
            return suspect, True
        if telling >= 3 and (partly is None or telling > partly[0]):
            partly = telling, suspect
    return (None, True) if partly is None else (partly[1], False)


def _weigh(suspect: Suspect, answers: Sequence[tuple["Tried", Any]]) -> tuple[int, int]:
    """Count the failing cases that a suspect explains, and those that it doesn't; (0, 0) rules it out.

    What the learner gets right and the suspect doesn't rules it out. Cases of special values (NaN, ties) are told
    apart: there a second mistake can hide the first, so that they alone don't clear a suspect who explains ordinary
    ones.
    """
    telling, ordinary, unexplained, cleared = 0, 0, 0, 0
    for tried, got in answers:
        right = _right(tried.case, suspect.output)
        if right is None:
            continue
        is_right = equal(got, right)
        wrong = suspect.answer(tried.case.arguments() or {})
        if wrong is None:
            unexplained += not is_right
        elif not is_right:
            alike = equal(got, wrong)
            telling += alike
            ordinary += alike and tried.case.fill in ORDINARY
            unexplained += not alike
        elif not equal(wrong, right):
            cleared += 1
            if tried.case.fill in ORDINARY:
                return 0, 0
    return (0, 0) if cleared and ordinary < 2 else (telling, unexplained + cleared)


def _right(case: Case, output: str) -> Any:
    names = result_names(case)
    return (case.expected() or ())[names.index(output)] if output in names else None


# ---------------------------------------------------------------------------------------------------------
# What else is worth a line


def _not_done(way: Way, tried: Sequence["Tried"], found: Suspect | None) -> list[str]:
    """Say how to be marked without an option that no call with it gets right."""
    name = never_right(tried)
    named = found is not None and found.mistake != f"{way.op}.{name}-ignored"
    if not name or name in way.always or named:
        return []
    return [f"Not done yet? Delete `{name}` from the function's first line; what is left is marked."]


def _second_witness(small: "Tried", problem: Problem, expected: Any, got: Any) -> list[str]:
    """Show for one wrong gradient that a small step of the input agrees with the expected number."""
    if problem.kind != "values" or got is None or got.shape != expected.shape:
        return []
    index = np.unravel_index(int(np.argmax(wrong_entries(got, expected))), expected.shape)
    slope = derivative(small.case, problem.output, [int(i) for i in index])
    if slope is None or abs(slope - expected[index]) > 1e-4 * max(1.0, abs(slope)):
        return []
    at = ", ".join(str(int(i)) for i in index)
    of = {"dx": "x", "dw": "w"}.get(problem.output, "logits")
    return [
        f"A check without the reference: nudge {of}[{at}] by a little, and sum(dy * y) changes {slope:.6g} times "
        f"as much. {problem.output}[{at}] should be that; yours is {got[index]:.6g}."
    ]


def _other_parts(op: str, tried: Sequence["Tried"], problem: Problem) -> list[str]:
    """Say how the other parts of the answer do."""
    names = contract(op).results
    if len(names) < 2 or problem.kind not in ("values", "shape", "dtype"):
        return []
    wrong = {p.output for t in tried for p in t.problems}
    given = max((len(t.outcome.values) for t in tried if t.outcome.how == "returned"), default=0)
    right = [name for name in names[:given] if name not in wrong]
    also = [name for name in names if name in wrong and name != problem.output]
    lines = [f"Right in every case: {', '.join(right)}."] if right else []
    return lines + ([f"Wrong, too: {', '.join(also)}; see to {problem.output} first."] if also else [])


# ---------------------------------------------------------------------------------------------------------
# The call


def written(way: Way, case: Case) -> str:
    """Write the call as the learner would."""
    positional, options = way.split(case)
    words = [
        name if _is_array(value) else repr(value)
        for name, value in zip(way.positional, positional, strict=False)
    ]
    words += [f"{name}={name if _is_array(value) else repr(value)}" for name, value in options.items()]
    return f"{way.op}({', '.join(words)})"


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (
        isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value)
    )


def _shown(way: Way, case: Case) -> tuple[tuple[str, Any], ...]:
    positional, options = way.split(case)
    given: Arguments = {**dict(zip(way.positional, positional, strict=False)), **options}
    found: list[tuple[str, Any]] = []
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            found.append((name, value))
        elif _is_array(value):
            found += [(f"{name}[{i}]", part) for i, part in enumerate(value)]
    return tuple(found)
