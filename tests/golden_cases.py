"""Read the golden files: numbers that other libraries made; see golden/README.md."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]

FOLDER = Path(__file__).parent / "golden"


class Case(NamedTuple):
    """One line of a golden file: an op, its arguments, and the arrays that must come out."""

    op: str
    kwargs: dict[str, Any]
    inputs: Arrays
    expected: Arrays
    tolerance: float  # in float64
    float32: float | None  # the tolerance in float32; None: the inputs don't exist in float32
    first: int | None  # compare only so many of the indices that nms keeps
    line: dict[str, Any]  # all that the file says of the case

    @property
    def elements(self) -> int:
        return sum(a.size for a in self.inputs.values())


def read(file: str) -> dict[str, Case]:
    """Read a golden file; golden/store.py describes its layout."""
    with np.load(FOLDER / f"{file}.npz", allow_pickle=False) as archive:
        pools = {name: archive[name] for name in ("float64", "float32", "int64")}
        lines = [json.loads(str(line)) for line in archive["cases"]]

    def arrays(places: dict[str, Any]) -> Arrays:
        return {
            name: pools[dtype][start : start + int(np.prod(shape, dtype=int))].reshape(shape).copy()
            for name, (dtype, start, shape) in places.items()
        }

    cases = {}
    for i, line in enumerate(lines):
        kwargs = {name: tuple(v) if isinstance(v, list) else v for name, v in line["kwargs"].items()}
        name = f"{file}-{line['op']}-{line.get('name', i)}"
        inputs, expected = arrays(line["inputs"]), arrays(line["expected"])
        tolerance = line.get("tolerance", 1e-10)
        float32 = line.get("float32", max(tolerance, 2e-5))
        cases[name] = Case(line["op"], kwargs, inputs, expected, tolerance, float32, line.get("first"), line)
    return cases
