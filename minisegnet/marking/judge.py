"""Marks one function: tries all cases, makes the first failing one small, and looks for the mistake behind it."""

from dataclasses import dataclass, field, replace
from typing import Any

from minisegnet.marking.calling import Caller, Outcome
from minisegnet.marking.cases import Case, cases
from minisegnet.marking.compare import Problem, as_array, problems, result_names
from minisegnet.marking.contract import contract
from minisegnet.marking.hints import explain
from minisegnet.marking.numeric import vjp_problem
from minisegnet.marking.report import Failure, Verdict
from minisegnet.marking.shrink import shrink
from minisegnet.marking.way import Way, WrongSignature, find_way, uses_one_number_for_two, uses_pairs

MOST_LATE = 1  # a function that takes too long once is not waited for again


@dataclass
class Tried:
    """A case, what came of it and what is wrong with that."""

    case: Case
    outcome: Outcome
    problems: list[Problem]

    def got(self, output: str) -> Any:
        """Return one part of the answer as an array; None where there is none."""
        if self.outcome.how != "returned":
            return None
        names = result_names(self.case)
        place = names.index(output) if output in names else 0
        values = self.outcome.values
        return as_array(values[place]) if place < len(values) else None


@dataclass
class Judge:
    """Marks one function, wherever the caller runs it."""

    caller: Caller
    op: str
    way: Way = field(init=False)
    tried: list[Tried] = field(default_factory=list)
    no_pairs: bool = False

    def verdict(self) -> Verdict:
        """Try everything and say what is right and what is wrong."""
        try:
            self.way = find_way(self.op, self.caller.taken(self.op))
        except WrongSignature as error:
            problem = Problem("signature", "", str(error))
            return Verdict(self.op, "fail", failure=Failure(self.op, (), problem))
        self._try_all()
        failing = [t for t in self.tried if t.problems]
        if failing and all(t.outcome.error_kind == "NotImplementedError" for t in failing):
            if len(failing) == len(self.tried):
                return Verdict(self.op, "unwritten")
        failure = self._failure(failing) if failing else self._unsteady()
        return Verdict(
            self.op,
            "fail" if failure else "pass",
            len(self.tried),
            len(failing) or (1 if failure else 0),
            failure,
            self._missing(),
            self._advice(),
        )

    # -----------------------------------------------------------------------------------------------------
    # Trying

    def _try_all(self) -> None:
        late = 0
        for case in cases(self.op):
            if not self.way.allows(case) or (self.no_pairs and uses_pairs(case)):
                continue
            tried = self._try(case)
            late += tried.outcome.how == "late"
            if tried.outcome.how == "raised" and self._refuses_form(tried):
                continue
            self.tried.append(tried)
            if late >= MOST_LATE or self._hopeless():
                return

    def _try(self, case: Case) -> Tried:
        outcome = self.way.call(self.caller, case)
        return Tried(case, outcome, problems(case, outcome))

    def _hopeless(self) -> bool:
        """Say whether nothing but errors came so far: the rest would tell nothing new."""
        how = [t.outcome.how for t in self.tried]
        return how.count("died") >= 2 or (len(how) >= 25 and all(h != "returned" for h in how))

    def _refuses_form(self, tried: Tried) -> bool:
        """Say whether a call failed only by how height and width were given, and remember how they are taken.

        Some functions take one integer for both only, others pairs only; both are told, neither is a mistake yet.
        """
        if uses_one_number_for_two(tried.case) and not self.way.pairs:
            self.way.pairs = True
            again = self._try(tried.case)
            if again.outcome.how == "returned":
                self.tried.append(again)
                return True
            self.way.pairs = False
        if uses_pairs(tried.case) and not self.way.pairs and tried.outcome.error_kind == "TypeError":
            self.no_pairs = any(
                t.outcome.how == "returned" and uses_one_number_for_two(t.case) for t in self.tried
            )
            return self.no_pairs
        return False

    def _missing(self) -> tuple[str, ...]:
        """List what the contract has and the function hasn't yet."""
        found = [f"{name}" for name in self.way.missing]
        if self.no_pairs:
            found.append("(h, w) pairs, such as stride=(2, 1)")
        if self.way.pairs:
            found.append("one number for height and width, such as stride=2 (only pairs are taken)")
        counts = {len(t.outcome.values) for t in self.tried if t.outcome.how == "returned"}
        names = contract(self.op).results
        if counts and max(counts) < len(names):
            found += [f"the result {name}" for name in names[max(counts) :]]
        return tuple(found)

    def _advice(self) -> tuple[str, ...]:
        """List what isn't wrong but worth knowing."""
        found = []
        returned = [t for t in self.tried if t.outcome.how == "returned"]
        shared = [t for t in returned if t.outcome.shared]
        if shared and self.op != "batch_norm" and not any(t.outcome.changed for t in returned):
            found.append(
                "it returns (a view of) one of its arguments: who changes the answer changes the argument, too. "
                "Return a copy"
            )
        return tuple(found)

    # -----------------------------------------------------------------------------------------------------
    # Failing

    def _failure(self, failing: list[Tried]) -> Failure:
        first = failing[0]
        problem = first.problems[0]
        small = first
        if first.outcome.how not in ("late", "died"):
            case = shrink(first.case, lambda case: self._fails_alike(case, problem))
            small = self._try(case)
            problem = next((p for p in small.problems if _alike(p, problem)), problem)
        return explain(self.op, self.way, self.tried, small, problem)

    def _fails_alike(self, case: Case, problem: Problem) -> bool:
        if not self.way.allows(case) or (self.no_pairs and uses_pairs(case)):
            return False
        return any(_alike(p, problem) for p in self._try(case).problems)

    def _unsteady(self) -> Failure | None:
        """Call again what was called first: who remembers something of the calls between answers differently now."""
        again = [self._try(t.case) for t in self.tried[:3]]
        for tried in again:
            if tried.problems:
                problem = replace(
                    tried.problems[0],
                    kind="unstable",
                    text="it answers differently when it is called again with the same arguments",
                )
                return explain(self.op, self.way, self.tried, tried, problem)
        told = vjp_problem(self.op, self.way, self.caller)
        return Failure(self.op, (), Problem("gradient", "", told)) if told else None


def _alike(a: Problem, b: Problem) -> bool:
    if a.kind == "raised" == b.kind:
        return a.text.split(":")[0] == b.text.split(":")[0]
    return (a.kind, a.output) == (b.kind, b.output)


def judge(caller: Caller, op: str) -> Verdict:
    """Mark one function."""
    return Judge(caller, op).verdict()
