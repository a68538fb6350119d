"""The one name for an array in type annotations: a NumPy array, or a CuPy array on the GPU."""

from typing import Any, TypeAlias

import numpy as np

# numpy.typing.NDArray[Any] is the same, but numpy.typing takes its time to import.
Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]
