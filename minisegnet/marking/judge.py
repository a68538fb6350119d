"""Marks one function: tries all cases, makes the first failing one small, and looks for the mistake behind it."""

from dataclasses import dataclass, field, replace
from typing import Any

from minisegnet.marking.calling import Caller, Outcome
from minisegnet.marking.cases import Case, cases
from minisegnet.marking.compare import Problem, as_array, equal, problems, result_names
from minisegnet.marking.contract import contract
from minisegnet.marking.first import first_to_show
from minisegnet.marking.hints import explain
from minisegnet.marking.numeric import vjp_problem
from minisegnet.marking.report import Failure, Verdict
from minisegnet.marking.shrink import shrink
from minisegnet.marking.way import Way, WrongSignature, find_way, numbers_of, pairs_of, uses_one_number

WAVERS = "it answers differently when it is called again with the same arguments"
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
    no_pairs: frozenset[str] = frozenset()

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
            if not self.way.allows(case):
                continue
            tried = self._try(case)
            if tried.outcome.how == "raised" and self._takes_pairs_only(tried.case):
                tried = self._try(case)
            late += tried.outcome.how == "late"
            self.tried.append(tried)
            if late >= MOST_LATE or self._hopeless():
                break
        self.no_pairs = self._options_without_pairs()
        self.tried = [t for t in self.tried if not self._excused(t.case)]

    def _try(self, case: Case) -> Tried:
        outcome = self.way.call(self.caller, case)
        return Tried(case, outcome, problems(case, outcome))

    def _hopeless(self) -> bool:
        """Say whether nothing but errors came so far: the rest would tell nothing new."""
        how = [t.outcome.how for t in self.tried]
        return how.count("died") >= 2 or (len(how) >= 25 and all(h != "returned" for h in how))

    def _takes_pairs_only(self, case: Case) -> bool:
        """Say whether a call that failed with one number for height and width goes with two; and remember it.

        A function that takes pairs only isn't wrong yet: it is told, and marked with pairs.
        """
        if (
            self.way.pairs
            or any(t.outcome.how == "returned" and uses_one_number(t.case) for t in self.tried)
            or not uses_one_number(case)
        ):
            return False
        self.way.pairs = True
        if self._try(case).outcome.how == "returned":
            return True
        self.way.pairs = False
        return False

    def _options_without_pairs(self) -> frozenset[str]:
        """Name the options that every call fails with as soon as they are a pair; the others' calls are marked."""
        if self.way.pairs:
            return frozenset()
        returned = [t for t in self.tried if t.outcome.how == "returned"]
        raised = [t for t in self.tried if t.outcome.how == "raised"]
        fine = {name for t in returned for name in pairs_of(t.case)}
        as_numbers = {name for t in returned for name in numbers_of(t.case)}
        return frozenset({name for t in raised for name in pairs_of(t.case)} & as_numbers - fine)

    def _excused(self, case: Case) -> bool:
        return bool(self.no_pairs & pairs_of(case))

    def _missing(self) -> tuple[str, ...]:
        """List what the contract has and the function hasn't yet."""
        found = [f"{name}" for name in self.way.missing]
        if self.no_pairs:
            found.append(f"(h, w) pairs for {' and '.join(sorted(self.no_pairs))}")
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
        if (
            shared
            and self.op not in ("batch_norm", "batch_norm_relu")
            and not any(t.outcome.changed for t in returned)
        ):
            found.append(
                "it returns (a view of) one of its arguments: who changes the answer changes the argument, too. "
                "Return a copy"
            )
        return tuple(found)

    # -----------------------------------------------------------------------------------------------------
    # Failing

    def _failure(self, failing: list[Tried]) -> Failure:
        first = first_to_show(failing)
        problem = first.problems[0]
        small = first
        if first.outcome.how not in ("late", "died"):
            case = shrink(first.case, lambda case: self._fails_alike(case, problem))
            small = self._try(case)
            problem = next((p for p in small.problems if _alike(p, problem)), problem)
            if problem.kind == "values" and self._wavers(small, problem.output):
                problem = replace(problem, kind="unstable", text=WAVERS)
        return explain(self.op, self.way, self.tried, small, problem)

    def _fails_alike(self, case: Case, problem: Problem) -> bool:
        if not self.way.allows(case) or self._excused(case):
            return False
        return any(_alike(p, problem) for p in self._try(case).problems)

    def _wavers(self, tried: Tried, output: str) -> bool:
        """Say whether the same call gives something else now."""
        before, after = tried.got(output), self._try(tried.case).got(output)
        return before is not None and after is not None and not equal(after, before)

    def _unsteady(self) -> Failure | None:
        """Call again what was called first: who remembers something of the calls between answers differently now."""
        again = [self._try(t.case) for t in self.tried[:3]]
        for tried in again:
            if tried.problems:
                problem = replace(tried.problems[0], kind="unstable", text=WAVERS)
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
