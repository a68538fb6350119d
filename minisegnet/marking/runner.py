"""Runs a learner's file in a process of its own, with a deadline for each answer, and starts it anew where it dies.

The process can't harm the marker: it is another program, which answers in JSON and arrays. It can't confuse it either:
what it prints goes elsewhere. (It is no prison. Mark only files that you would run.)
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import minisegnet
from minisegnet.marking.calling import Outcome, Taken
from minisegnet.marking.contract import RESULTS
from minisegnet.marking.wire import receive, send

GIB = 2**30
PRINTED = 2000  # characters that are kept of what the file prints


@dataclass(frozen=True)
class Limits:
    """How long a file may take to import, one call, and all of it (in seconds); and how much memory it may use."""

    importing: float = 30.0
    call: float = 10.0
    whole: float = 300.0
    memory: int = 4 * GIB


class Trouble(Exception):
    """The file can't be loaded; says why, in words for the learner."""


@dataclass
class Learner:
    """A learner's file in a process of its own. A `Caller`."""

    target: str
    is_file: bool
    limits: Limits = field(default_factory=Limits)
    functions: dict[str, Taken] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    printed: str = ""
    _process: "subprocess.Popen[bytes] | None" = None
    _answers: "queue.Queue[dict[str, Any] | None]" = field(default_factory=queue.Queue)

    def __enter__(self) -> "Learner":
        self._end = time.monotonic() + self.limits.whole
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def taken(self, op: str) -> Taken:
        """Return the parameters of a function."""
        return self.functions[op]

    def call(
        self, op: str, positional: Sequence[Any], options: dict[str, Any], names: Sequence[str], layout: str
    ) -> Outcome:
        """Call a function; wait for its answer as long as the limits allow."""
        left = min(self.limits.call, self._end - time.monotonic())
        if left <= 0:
            return Outcome("late", error=f"the {self.limits.whole:.0f} seconds for this file are over")
        if self._process is None:
            try:
                self._start()
            except Trouble as trouble:
                return Outcome("died", error=f"it could be started once but not again: {trouble}")
        asked = {
            "op": op,
            "positional": list(positional),
            "options": options,
            "names": list(names),
            "layout": layout,
        }
        answer = self._ask(asked, left)
        if answer == "late":
            self._stop()
            return Outcome(
                "late", error=f"it doesn't come back within {left:.0f} seconds: a loop without an end?"
            )
        if answer is None:
            return Outcome("died", error=self._death())
        return Outcome(**{**answer, "values": tuple(answer["values"]), "changed": tuple(answer["changed"])})

    # -----------------------------------------------------------------------------------------------------
    # The process

    def _start(self) -> None:
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minisegnet.marking.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=os.name == "posix",  # Ctrl-C reaches us, and we end it
        )
        for target, stream in ((self._listen, self._process.stdout), (self._overhear, self._process.stderr)):
            threading.Thread(target=target, args=(stream, self._answers), daemon=True).start()
        order = {
            "target": self.target,
            "is_file": self.is_file,
            "bytes": self.limits.memory,
            "cpu_seconds": int(self.limits.whole + self.limits.importing) + 60,
            "ops": list(RESULTS),
        }
        answer = self._ask(order, self.limits.importing)
        if answer == "late":
            self._stop()
            raise Trouble(
                f"importing it takes more than {self.limits.importing:.0f} seconds. A loop without an end? Code that "
                'should not run on import belongs under `if __name__ == "__main__":`'
            )
        if answer is None:
            raise Trouble(f"importing it ended the process: {self._death()}")
        if not answer["loaded"]:
            self._stop()
            raise Trouble(_import_error(answer))
        self.functions = {op: Taken(**its) for op, its in answer["functions"].items()}
        self.ours, self.others = tuple(answer["ours"]), tuple(answer["others"])

    def _ask(self, message: dict[str, Any], seconds: float) -> Any:
        """Return the answer, None where the process has ended, or "late"."""
        assert self._process is not None and self._process.stdin is not None  # it was started
        try:
            send(self._process.stdin, message)
        except OSError:  # it has gone
            return None
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return "late"

    @staticmethod
    def _listen(stream: BinaryIO, answers: "queue.Queue[dict[str, Any] | None]") -> None:
        with suppress(OSError, ValueError):
            while (message := receive(stream)) is not None:
                answers.put(message)
        answers.put(None)

    def _overhear(self, stream: BinaryIO, _: object) -> None:
        """Keep the beginning of what is printed, throw the rest away (a full pipe would stop the learner)."""
        with suppress(OSError, ValueError):
            while chunk := os.read(stream.fileno(), 65536):
                if len(self.printed) < PRINTED:
                    self.printed += chunk.decode("utf-8", "replace")[: PRINTED - len(self.printed)]

    def _death(self) -> str:
        """Say how the process ended."""
        process = self._process
        code = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=5)
        self._stop()
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            words = {
                "SIGSEGV": "it crashed: it touched memory that isn't its own",
                "SIGKILL": "it was killed by the system; did it use up the memory?",
                "SIGXCPU": "it used up its time",
                "SIGABRT": "it aborted; did it use up the memory?",
            }
            return words.get(name, f"it was ended by the signal {name}")
        return f"it ended the whole program with exit code {code} (os._exit?): return the result instead"

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None or os.name == "posix":
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


def _environment() -> dict[str, str]:
    root = Path(minisegnet.__file__).parent.parent
    found = dict(os.environ)
    if root.name not in ("site-packages", "dist-packages"):  # a clone that may not be installed
        found["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [found.get("PYTHONPATH")])])
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Agg: a plt.show() in the file doesn't wait for a window to be closed.
    return found | one | {"MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}


def _import_error(answer: dict[str, Any]) -> str:
    kind, text, place = answer["kind"], answer["text"], answer["where"]
    at = f"\n  {place}" if place else ""
    if kind in ("SyntaxError", "IndentationError", "TabError"):
        return f"it is no valid Python: {text}{at}"
    if kind == "SystemExit":
        return f"it ends the program while it is imported (sys.exit){at}"
    if kind == "EOFError":
        return f"it asks for input while it is imported; nobody is there to answer{at}"
    if kind == "MemoryError":
        return f"it asks for more memory than the {Limits().memory // GIB} GiB that it may use{at}"
    return f"importing it raises {kind}: {text}{at}"
