"""How a learner's function is to be called: what its signature takes of the contract, and what isn't there yet."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minisegnet.marking.calling import Caller, Outcome, Taken
from minisegnet.marking.cases import Arguments, Case, paired
from minisegnet.marking.contract import PAIRS, Contract, contract
from minisegnet.words import did_you_mean, nearest


class WrongSignature(Exception):
    """A function can't be called as the contract says."""


@dataclass
class Way:
    """Which arguments go to a function by position, which by name, and which must always be given."""

    op: str
    positional: tuple[str, ...]
    named: tuple[str, ...]
    always: frozenset[str]
    missing: tuple[str, ...]  # options of the contract that the function doesn't take
    pairs: bool = False  # (h, w) pairs even where one integer would do

    def allows(self, case: Case) -> bool:
        """Say whether the function takes all that the case needs."""
        arguments = case.arguments()
        return arguments is not None and not any(
            _differs(arguments[name], contract(self.op).defaults[name])
            for name in self.missing
            if name in contract(self.op).defaults
        )

    def split(self, case: Case) -> tuple[list[Any], dict[str, Any]]:
        """Return what is given by position and what by name; what equals the default is left out."""
        arguments: Arguments = case.arguments() or {}
        if self.pairs:
            arguments = paired(arguments)
        defaults = contract(self.op).defaults
        given = {
            name: value
            for name, value in arguments.items()
            if name in self.always or name not in defaults or _differs(value, defaults[name])
        }
        by_position = list(self.positional)
        while by_position and by_position[-1] not in given:
            by_position.pop()
        options = {name: value for name, value in given.items() if name in self.named}
        return [arguments[name] for name in by_position], options

    def call(self, caller: Caller, case: Case) -> Outcome:
        """Call the function with a case."""
        positional, options = self.split(case)
        return caller.call(self.op, positional, options, self.positional[: len(positional)], case.layout)


def numbers_of(case: Case) -> set[str]:
    """Name the arguments that are one integer where height and width are meant."""
    return {name for name, v in (case.arguments() or {}).items() if name in PAIRS and isinstance(v, int)}


def pairs_of(case: Case) -> set[str]:
    """Name the arguments that are an (h, w) pair."""
    return {name for name, v in (case.arguments() or {}).items() if name in PAIRS and isinstance(v, tuple)}


def options_of(case: Case) -> set[str]:
    """Name the arguments that differ from the contract's defaults."""
    arguments, defaults = case.arguments() or {}, contract(case.op).defaults
    return {name for name, default in defaults.items() if _differs(arguments.get(name, default), default)}


def uses_one_number(case: Case) -> bool:
    """Say whether one integer of the case stands for height and width."""
    return bool(numbers_of(case))


def find_way(op: str, taken: Taken) -> Way:
    """Fit a function's parameters to the contract; raise where that can't be done, in words for the learner."""
    its = contract(op)
    if not taken.known:
        return Way(op, its.positional, its.options, frozenset(), ())
    _check_order(its, taken)
    positional: list[str] = []
    for name, theirs in zip(its.positional, taken.names, strict=False):
        if theirs in its.options or (
            name in its.defaults and theirs != name and nearest(theirs, its.options)
        ):
            break  # an option, by whatever name
        positional.append(name)
    if taken.any_number:
        positional = list(its.positional)
    consumed = set(taken.names[: len(positional)])
    rest = [name for name in (*its.positional, *its.options) if name not in positional]
    named = tuple(
        name for name in rest if taken.any_name or (name in taken.keywords and name not in consumed)
    )
    needed = [n for n in its.positional if n not in its.defaults and n not in positional and n not in named]
    if needed:
        raise WrongSignature(f"it takes no {_listed(needed)}. The contract is\n{its.signature()}")
    unknown = [n for n in taken.required if n not in consumed and n not in named]
    if unknown:
        guess = did_you_mean(unknown[0], rest)
        raise WrongSignature(
            f"it can't be called without {_listed(unknown)}, which the contract doesn't have{guess}. "
            f"The contract is\n{its.signature()}"
        )
    required = {
        name for name, theirs in zip(positional, taken.names, strict=False) if theirs in taken.required
    }
    always = frozenset(required | (set(taken.required) & set(named)))
    return Way(op, tuple(positional), named, always, tuple(n for n in rest if n not in named))


def _check_order(its: Contract, taken: Taken) -> None:
    """Refuse the contract's names in another order: such a function would be marked upside down."""
    names = [name for name in its.positional if name not in its.defaults]
    theirs = list(taken.names[: len(names)])
    if theirs != names and sorted(theirs) == sorted(names):
        raise WrongSignature(
            f"its arguments come in another order: ({', '.join(theirs)}) where ({', '.join(names)}) is expected. "
            f"The contract is\n{its.signature()}"
        )


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _differs(value: Any, default: Any) -> bool:
    if isinstance(value, np.ndarray) or value is None or default is None:
        return value is not default
    return bool(value != default)
