"""How golden cases are written: many small arrays in one small file.

Every file holds one flat array for each dtype, into which the arrays of all cases are laid end to end, and
``cases``, one line of JSON a case: the op, its keyword arguments, and where each array starts and what
shape it has. (One entry of the archive for each small array would take more room than its numbers.)
``about`` is one more piece of JSON: what made the file.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
DTYPES = ("float64", "float32", "int64")


def numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw normal numbers with two decimals: not exact in binary, often tied, and they compress well."""
    return np.round(rng.normal(size=shape), 2) + 0.0  # + 0.0 turns -0.0 into 0.0


class Cases:
    """Collect the cases of one file, then write them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pools: dict[str, list[np.ndarray]] = {dtype: [] for dtype in DTYPES}
        self.lengths = dict.fromkeys(DTYPES, 0)
        self.starts: dict[tuple[str, bytes], int] = {}

    def add(
        self,
        op: str,
        kwargs: dict[str, Any],
        inputs: dict[str, np.ndarray],
        expected: dict[str, np.ndarray],
        **more: Any,
    ) -> None:
        """Add one case; inputs that are None are left out."""
        line = {"op": op, "kwargs": kwargs, "inputs": self._place(inputs), "expected": self._place(expected)}
        self.lines.append(json.dumps(line | more))

    def _place(self, arrays: dict[str, Any]) -> dict[str, Any]:
        places = {}
        for name, value in arrays.items():
            if value is None:
                continue
            array = np.array(value)
            dtype = array.dtype.name if array.dtype.kind == "f" else "int64"
            flat = array.astype(dtype).ravel()
            key = dtype, flat.tobytes()
            if key not in self.starts:  # the same numbers are kept once
                self.starts[key] = self.lengths[dtype]
                self.pools[dtype].append(flat)
                self.lengths[dtype] += flat.size
            places[name] = [dtype, self.starts[key], list(array.shape)]
        return places

    def write(self, file: str, about: dict[str, Any]) -> None:
        """Write the file and say what is in it."""
        pools = {dtype: np.concatenate([np.zeros(0, dtype), *self.pools[dtype]]) for dtype in DTYPES}
        np.savez_compressed(FOLDER / file, about=json.dumps(about), cases=np.array(self.lines), **pools)
        print(f"{file}: {len(self.lines)} cases, {(FOLDER / file).stat().st_size / 1000:.0f} kB")
