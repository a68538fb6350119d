"""What a case is: sizes and options (the spec), how values are chosen (the fill), dtype and layout.

A case is built from few integers, so that it can be made smaller one integer at a time until it no longer fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from minisegnet import ops
from minisegnet.marking.contract import PAIRS, contract

Spec = dict[str, int]
Arguments = dict[str, Any]

SEEDS = 3
ORDINARY = ("normal", "counting", "integers")  # fills without anything special in them
TRIES = 60  # random specs that are drawn for one op; those that don't fit are left out


@dataclass(frozen=True)
class Fill:
    """Chooses the values of one case's arrays, each in turn."""

    kind: str
    rng: np.random.Generator
    dtype: Any

    def __call__(self, *shape: int) -> Any:
        """Return an array of that shape."""
        return np.asarray(self._values(shape), self.dtype)

    def _values(self, shape: tuple[int, ...]) -> Any:
        rng, size = self.rng, int(np.prod(shape, dtype=int))
        match self.kind:
            case "counting":
                return np.arange(1, size + 1).reshape(shape)
            case "integers":
                return rng.integers(-3, 4, shape)
            case "ties":
                return rng.integers(0, 2, shape)
            case "nan" | "-inf" | "inf":
                values = rng.integers(-3, 4, shape).astype(float)
                values[rng.random(shape) < 0.4] = float(self.kind)
                return values
            case "all -inf":
                return np.full(shape, -np.inf)
            case "negative":
                return -1 - rng.permutation(size).reshape(shape)
            case "large":
                return rng.integers(-3, 4, shape) * 1000.0
            case "zeros":
                return np.zeros(shape)
            case _:
                return rng.standard_normal(shape)

    def plain(self, *shape: int) -> Any:
        """Return ordinary values whatever the kind is: weights beside a special x, gradients."""
        usual = self.kind if self.kind in ("counting", "integers", "normal", "zeros") else "integers"
        return replace(self, kind="normal" if usual == "zeros" else usual)(*shape)

    def positive(self, *shape: int) -> Any:
        """Return values from 1 up (integers) or 0.1 up."""
        values = self.plain(*shape)
        return np.asarray(
            np.abs(values) + (0.1 if self.kind == "normal" else (values == 0)), dtype=self.dtype
        )


Build = Callable[[Spec, Fill], Arguments]


@dataclass(frozen=True)
class Family:
    """How the calls of one op are made.

    ``least`` has the smallest value of each integer of a spec; ``specs`` says what else is tried, from simple to hard,
    each only by where it differs; ``most`` bounds the random ones. ``special`` pairs a kind of fill with the
    specs that it is tried on.
    """

    op: str
    least: Spec
    build: Build
    specs: tuple[Spec, ...]
    most: Spec
    special: tuple[tuple[str, Spec], ...] = ()
    fills: tuple[str, ...] = ("normal",)
    batch: str = "N"  # the axis that may be empty; "" for none
    floats: bool = True  # whether float32 is worth a case


FAMILIES: dict[str, Family] = {}


def family(
    op: str,
    least: Spec,
    specs: Sequence[Spec],
    most: Spec,
    special: Sequence[tuple[str, Spec]] = (),
    fills: Sequence[str] = ("normal",),
    batch: str = "N",
    floats: bool = True,
) -> Callable[[Build], Build]:
    """Register a function that builds the arguments of an op."""

    def register(build: Build) -> Build:
        FAMILIES[op] = Family(
            op, least, build, tuple(specs), most, tuple(special), tuple(fills), batch, floats
        )
        return build

    return register


@dataclass(frozen=True)
class Case:
    """One call: enough to make its arguments again, on either side of a change."""

    op: str
    spec: tuple[tuple[str, int], ...]
    fill: str = "normal"
    seed: int = 0
    dtype: str = "float64"
    layout: str = "plain"
    _built: list[Any] = field(default_factory=list, compare=False, repr=False)

    @property
    def sizes(self) -> Spec:
        """The integers of the case."""
        return dict(self.spec)

    def with_sizes(self, **changes: int) -> "Case":
        """Return a case with some integers changed."""
        return replace(self, spec=tuple({**self.sizes, **changes}.items()), _built=[])

    def with_values(self, fill: str, seed: int = 0) -> "Case":
        """Return a case of the same sizes with other values."""
        return replace(self, fill=fill, seed=seed, _built=[])

    def with_form(self, dtype: str, layout: str) -> "Case":
        """Return the same case in another dtype or layout."""
        return replace(self, dtype=dtype, layout=layout, _built=[])

    def arguments(self) -> Arguments | None:
        """Build the arguments in the contract's order; None where sizes and options don't go together."""
        return self._made()[0]

    def expected(self) -> tuple[Any, ...] | None:
        """Return what the reference answers."""
        return self._made()[1]

    def _made(self) -> tuple[Arguments | None, tuple[Any, ...] | None]:
        if not self._built:
            self._built.append(_make(replace(self, layout="plain", _built=[])))
        made: tuple[Arguments | None, tuple[Any, ...] | None] = self._built[0]
        return made

    def cost(self) -> int:
        """Say how far this is from the smallest case."""
        least = FAMILIES[self.op].least
        return sum(abs(value - least[name]) for name, value in self.spec)


def is_empty(case: Case) -> bool:
    """Say whether the case has no picture at all."""
    batch = FAMILIES[case.op].batch
    return bool(batch) and case.sizes[batch] == 0


@lru_cache(maxsize=4096)  # shrinking and several files come back to the same cases
def _make(case: Case) -> tuple[Arguments | None, tuple[Any, ...] | None]:
    rng = np.random.default_rng([case.seed, 7])
    fill = Fill(case.fill, rng, np.dtype(case.dtype))
    try:
        arguments = FAMILIES[case.op].build(case.sizes, fill)
        return arguments, answer(case.op, arguments)
    except ValueError:  # the op itself refuses: a window that doesn't fit, padding that is too wide
        return None, None


def answer(op: str, arguments: Arguments) -> tuple[Any, ...]:
    """Call an op on the reference backend; the answer is always a tuple."""
    names = contract(op)
    with ops.use_backend("reference"), np.errstate(all="ignore"):
        result = getattr(ops, op)(
            *(arguments[name] for name in names.positional), **{n: arguments[n] for n in names.options}
        )
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def both(h: int, w: int) -> Any:
    """Write two numbers as one where they are equal."""
    return h if h == w else (h, w)


def pair(value: Any) -> tuple[int, int]:
    """Write one number as two."""
    return (value, value) if isinstance(value, int) else value


def paired(arguments: Arguments) -> Arguments:
    """Return the arguments with (h, w) pairs wherever one number stands for two."""
    return {name: pair(v) if name in PAIRS and v is not None else v for name, v in arguments.items()}


def cases(op: str) -> list[Case]:
    """Return the cases of an op, the smallest first; float32, layouts and the empty batch come last."""
    its = FAMILIES[op]

    def case(spec: Spec, fill: str = "normal", seed: int = 0) -> Case:
        return Case(op, tuple({**its.least, **spec}.items()), fill, seed)

    plain = [case(spec, fill) for spec in its.specs for fill in its.fills]
    plain += [case(spec, kind, seed) for kind, spec in its.special for seed in range(SEEDS)]
    rng = np.random.default_rng(1)
    for seed in range(TRIES):
        drawn = {name: int(rng.integers(low, its.most.get(name, low) + 1)) for name, low in its.least.items()}
        plain.append(case(drawn, its.fills[seed % len(its.fills)], seed))
    plain = [c for c in dict.fromkeys(plain) if c.arguments() is not None]
    plain.sort(key=Case.cost)
    plain.insert(0, plain[0].with_values("counting"))  # what fails at once, or never ends, is shown with this
    return plain + _forms(its, case)


def _forms(its: Family, case: Callable[..., Case]) -> list[Case]:
    """Dress the same in other clothes: float32, other layouts, nothing at all."""
    simple, rich = case(its.specs[0], its.fills[0]), case(its.specs[-1], its.fills[-1])
    found = [c.with_form("float32", "plain") for c in (simple, rich)] if its.floats else []
    for layout in ("read-only", "every second", "transposed", "backwards"):
        found += [c.with_form("float64", layout) for c in (simple, rich)]
    if its.batch:
        found.append(simple.with_sizes(**{its.batch: 0}))
    return [c for c in found if c.arguments() is not None]
