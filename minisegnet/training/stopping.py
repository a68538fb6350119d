"""Stop on Ctrl-C or SIGTERM, but only between two steps."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self


class StopRequest:
    """Notice Ctrl-C and SIGTERM inside a ``with`` block, so that the step under way is finished and saved.

    The first signal is remembered: ``requested`` becomes true. A second Ctrl-C interrupts at once, as usual.
    Signals reach the main thread only; in another thread nothing is installed.

    >>> with StopRequest() as stop:
    ...     signal.raise_signal(signal.SIGINT)  # what Ctrl-C does
    ...     stop.requested
    True
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # Not print: a signal may come in the middle of another print, and that can't be entered twice.
        with suppress(OSError):
            os.write(2, b"\nstopping after this step; once more stops at once\n")
