"""The one name for an array in type annotations: a NumPy array, or a CuPy array on the GPU."""

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
