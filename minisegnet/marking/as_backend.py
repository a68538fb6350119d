"""Train the demo's network with a learner's kernels, beside NumPy's, and tell what came of it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from minisegnet.marking.as_backend_text import told, told_before, told_chosen, told_result
from minisegnet.marking.contract import RESULTS
from minisegnet.marking.marking import _is_file, mark
from minisegnet.marking.report import Report
from minisegnet.marking.runner import Limits, _environment
from minisegnet.marking.wire import receive, send

SECONDS = 120.0
GRACE = 10.0  # seconds that the process may take longer: to start, and to say that its time is over
GOING_ON = ("measured", "chosen", "step")  # all other messages are the last


def run(target: str, seconds: float = SECONDS, *, report: Report | None = None, as_json: bool = False) -> int:
    """Train with the kernels of a file and print how it went.

    Parameters
    ----------
    target
        A Python file, or a module's dotted name.
    seconds
        For measuring, training and comparing together; the marking comes before and isn't counted.
    report
        What the marker said of the file; None: it is marked here.
    as_json
        Print one JSON object instead of text.

    Returns
    -------
    int
        0 where the network was trained and all the file's functions are right; 1 otherwise.
    """
    report = mark(target) if report is None else report
    if report.trouble:
        return _finish({"event": "unmarked", "text": report.trouble}, as_json)
    if not as_json:
        print("\n".join(told_before(report)), flush=True)
    last: dict[str, Any] = {"event": "died", "code": None}
    for event in _events(target, report, seconds):
        if event["event"] in GOING_ON:
            _show(event, as_json)
        else:
            last = event
    code = _finish({**last, "seconds_in_all": seconds}, as_json)
    return code if report.passed else 1


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return
    if event["event"] == "step":
        if sys.stderr is not None and sys.stderr.isatty():
            end = "\r" if event["done"] < event["steps"] else "\n"
            print(
                f"step {event['done']} of {event['steps']}, loss {event['loss']:.3f} ",
                end=end,
                file=sys.stderr,
            )
        return
    if event["event"] == "chosen":
        print("\n".join(told_chosen(event)), flush=True)


def _finish(event: dict[str, Any], as_json: bool) -> int:
    """Print the last word; return the exit code."""
    if as_json:
        print(json.dumps(event), flush=True)
    else:
        lines = told_result(event) if event["event"] == "result" else told(event)
        print("\n".join(lines), flush=True)
    return 0 if event["event"] == "result" else 1


# ---------------------------------------------------------------------------------------------------------
# The process


def _events(target: str, report: Report, seconds: float) -> Iterator[dict[str, Any]]:
    """Start the process and yield what it tells; at its end, or at the end of its time, the reason."""
    limits = Limits()
    order = {
        "target": target,
        "is_file": _is_file(target),
        "seconds": seconds,
        "bytes": limits.memory,
        "cpu_seconds": int(2 * seconds) + 60,
        "ops": list(RESULTS),
        "unwritten": [v.op for v in report.verdicts if v.status == "unwritten"],
    }
    with _process() as process:
        messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=_listen, args=(process, messages), daemon=True).start()
        threading.Thread(target=_drain, args=(process,), daemon=True).start()
        with suppress(OSError):  # it has gone; the end of its messages will tell
            send(cast(BinaryIO, process.stdin), order)
        end = time.monotonic() + limits.importing + GRACE
        ended = False
        while not ended:
            try:
                message = messages.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                yield {"event": "silent"}
                return
            if message is None:
                yield {"event": "died", "code": _exit_code(process)}
                return
            if message["event"] == "loaded":
                end = time.monotonic() + seconds + GRACE
                continue
            yield message
            ended = message["event"] not in GOING_ON


@contextmanager
def _process() -> Iterator["subprocess.Popen[bytes]"]:
    """Start the process that loads the file; end it, whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "minisegnet.marking.as_backend_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=os.name == "posix",  # Ctrl-C reaches us, and we end it
    )
    try:
        yield process
    finally:
        with suppress(OSError):  # what the learner's code started goes with it
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _exit_code(process: "subprocess.Popen[bytes]") -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=GRACE)
    return None


def _listen(process: "subprocess.Popen[bytes]", messages: "queue.Queue[dict[str, Any] | None]") -> None:
    with suppress(OSError, ValueError):
        while (message := receive(cast(BinaryIO, process.stdout))) is not None:
            messages.put(message)
    messages.put(None)


def _drain(process: "subprocess.Popen[bytes]") -> None:
    """Throw away what the kernels print: a full pipe would stop them."""
    assert process.stderr is not None
    with suppress(OSError, ValueError):
        while os.read(process.stderr.fileno(), 65536):
            pass
