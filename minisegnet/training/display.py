"""What is seen while a training runs: a line that moves on a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from minisegnet.training.loop import Measured

BAR = 24  # characters
REFRESH = 0.1  # seconds between two drawings of the moving line
KEPT = 0.95  # how much of the mean loss is kept from step to step


class Display:
    """Tell a person how a training goes.

    Evaluations are lines that stay, on standard output. Between them, where standard error is a terminal, one line
    on it moves on: how far, the mean loss of late, mIoU, time left.

    Parameters
    ----------
    out, terminal
        Where lines go, and where the moving line goes; None: standard output and standard error.
    quiet
        Whether to say nothing at all.
    """

    def __init__(
        self, out: TextIO | None = None, terminal: TextIO | None = None, *, quiet: bool = False
    ) -> None:
        self.out = sys.stdout if out is None else out  # None as well where standard output is closed
        stream = sys.stderr if terminal is None else terminal
        self.terminal = stream if stream is not None and stream.isatty() and not quiet else None
        self.quiet = quiet or self.out is None
        self.miou = math.nan
        self._loss: float | None = None
        self._steps, self._seconds = (
            0,
            0.0,
        )  # so many steps took so long, evaluations and all but compilations
        self._last = self._drawn = time.perf_counter()
        self._compiled = True  # nothing is known of how long the first step took without what came before it
        self._shown = ""
        self._kernels = 0  # compiled so far

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        if self.quiet:
            return
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:  # whoever read our output (head, less) has gone; the training goes on
            self.quiet = True

    def compiling(self, kernel: str) -> None:
        """Say that Numba compiles a kernel: once in a line that stays, then each in the moving one."""
        if not self._kernels:
            self.say(
                "compiling kernels for this processor, up to a minute; they are kept on disk, so that next time it "
                "starts at once"
            )
        self._kernels += 1
        self._draw(f"compiling kernel {self._kernels}: {kernel}")
        self._compiled = True

    def step(self, step: int, steps: int, measured: "Measured") -> None:
        """Note a step."""
        now = time.perf_counter()
        if not self._compiled:  # a step with compilations says nothing about the others
            self._steps, self._seconds = self._steps + 1, self._seconds + now - self._last
        self._last, self._compiled = now, False
        self._loss = measured.loss if self._loss is None else KEPT * self._loss + (1 - KEPT) * measured.loss
        if now - self._drawn >= REFRESH:
            self._draw(f"{_bar(step, steps)} step {step} of {steps}  {self._state(steps - step)}")

    def evaluated(self, row: Mapping[str, float], steps: int) -> None:
        """Print the result of an evaluation."""
        self.miou = row["miou"]
        step = int(row["step"])
        width = len(str(steps))
        self.say(
            f"step {step:>{width}} of {steps}  loss {row['loss']:.3f}  "
            f"validation loss {row['val_loss']:.3f}  mIoU {row['miou']:.3f}  {self._left(steps - step)}"
        )

    def clear(self) -> None:
        """Take the moving line away."""
        if self.terminal and self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=self.terminal, flush=True)
            self._shown = ""

    def _draw(self, text: str) -> None:
        self._drawn = time.perf_counter()
        if self.terminal:
            print("\r" + text.ljust(len(self._shown)), end="", file=self.terminal, flush=True)
            self._shown = text

    def _state(self, steps_left: int) -> str:
        miou = "" if math.isnan(self.miou) else f"mIoU {self.miou:.3f}  "
        return f"loss {self._loss:.3f}  {miou}{self._left(steps_left)}"

    def _left(self, steps_left: int) -> str:
        return f"{clock(steps_left * self._seconds / self._steps)} left" if self._steps else ""


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds, or with hours.

    >>> clock(75), clock(3 * 3600 + 62)
    ('1:15', '3:01:02')
    """
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _bar(done: int, all_: int) -> str:
    full = BAR * done // all_
    return "[" + "#" * full + "." * (BAR - full) + "]"
