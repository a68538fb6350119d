"""Room on disk for pictures that were unpacked once and are wanted again in pieces."""

import mmap
import os
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import as_int


class Scratch:
    """A nameless file that arrays are written to, and from which parts of them are read as if they were in memory.

    To cut a small piece out of a packed picture (JPEG, PNG), all of it must be unpacked. From this file the system
    reads only the part that is touched, and it keeps what is read often in the memory that nobody else wants.

    The file lies where ``TMPDIR`` says, else in ``/var/tmp``, which is on disk where ``/tmp`` is in memory. It has no
    name, so that it is gone with the process, however that ends.

    Parameters
    ----------
    most
        Bytes that it may take; None: half of what is free, but at most 32 GB.

    Examples
    --------
    >>> scratch = Scratch(100)
    >>> kept = scratch.keep(np.arange(24).reshape(2, 3, 4).astype(np.uint8))
    >>> kept[1, 2], scratch.keep(np.zeros(100, np.uint8)) is None
    (array([20, 21, 22, 23], dtype=uint8), True)
    """

    def __init__(self, most: int | None = None) -> None:
        folder = _folder()
        room = min(shutil.disk_usage(folder).free // 2, 32 * 10**9)
        self.most = room if most is None else min(as_int(most, "most", 0), room)
        self.used = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        weakref.finalize(self, self._file.close)
        self._view: mmap.mmap | None = None

    def keep(self, array: Array) -> Array | None:
        """Write an array and return it as it is read from there, read-only; None if there is no room for it."""
        size, start = array.nbytes, self.used
        if size == 0 or start + size > self.most:
            return None
        try:
            self._file.seek(start)
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            while data:  # the system may take less than all at once
                data = data[self._file.write(data) :]
            if self._view is None:
                # Only what was written is ever read: beyond that the file is a promise, and takes no room.
                self._file.truncate(self.most)
                self._view = mmap.mmap(self._file.fileno(), self.most, access=mmap.ACCESS_READ)
        except OSError:  # no room after all: others write to the same disk
            self.most = self.used
            return None
        # Arrays begin at multiples of 16 bytes, as those in memory do.
        self.used = -(-(start + size) // 16) * 16
        kept = np.frombuffer(self._view, array.dtype, array.size, start)
        return kept.reshape(array.shape)


def _folder() -> Path:
    """Return the folder for large files that live no longer than the process."""
    lasting = Path("/var/tmp")
    if "TMPDIR" not in os.environ and lasting.is_dir() and os.access(lasting, os.W_OK):
        return lasting
    return Path(tempfile.gettempdir())
