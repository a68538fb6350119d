"""Do things that may end the process in a child of this one, and say how it went. For scripts without threads."""

import os
import signal
import traceback
from collections.abc import Callable

GOOD = ""


def outcome(function: Callable[[], None]) -> str:
    """Run a function in a child; return "" if all went well, else its error or the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            function()
            os._exit(0)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"[:8000].encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        return GOOD
    return said if status > 0 else f"ended by {signal.Signals(-status).name}"
