"""Write an array that is too large for memory into an .npy file, part by part."""

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minisegnet.arrays import Array
from minisegnet.files import written_atomically

NO_RESERVING = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}  # what file systems say that can't


class NpyParts:
    """An array (C, H, W) in a file that is being written. Made by :func:`written_npy`."""

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int], dtype: Any) -> None:
        self.file, self.shape, self.dtype = file, shape, np.dtype(dtype)
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        self.start = file.tell()
        self._reserve(self.start + math.prod(shape) * self.dtype.itemsize)

    def put(self, rows: slice, columns: slice, values: Array) -> None:
        """Write a part (C, h, w) to its place."""
        _, H, W = self.shape
        part = np.ascontiguousarray(values, self.dtype)
        for c, plane in enumerate(part):
            for i, row in enumerate(plane, rows.start):
                self.file.seek(self.start + ((c * H + i) * W + columns.start) * self.dtype.itemsize)
                self.file.write(row.data)

    def _reserve(self, length: int) -> None:
        """Take all the room on the disk at once: better to hear now that it is full than after an hour."""
        self.file.flush()
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self.file.fileno(), 0, length)
                return
            except OSError as error:
                if error.errno not in NO_RESERVING:
                    raise
        self.file.truncate(length)


@contextmanager
def written_npy(path: Path | str, shape: tuple[int, int, int], dtype: Any) -> Iterator[NpyParts]:
    """Open a new .npy file of an array (C, H, W), to be filled by ``put``; what is never put is 0.

    It takes its name when the block ends without an error. Nothing of the array is kept in memory, and
    ``np.load(path, mmap_mode="r")`` reads it so, too.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scores.npy")
    ...     with written_npy(path, (1, 2, 4), np.float16) as parts:
    ...         parts.put(slice(0, 2), slice(1, 3), np.array([[[1, 2], [3, 4]]]))
    ...     np.load(path)
    array([[[0., 1., 2., 0.],
            [0., 3., 4., 0.]]], dtype=float16)
    """
    with written_atomically(path) as file:
        yield NpyParts(file, shape, dtype)
