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
FORGET = 0.95  # how much of the mean loss and mean time is kept from step to step


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
        self.out = sys.stdout if out is None else out
        stream = sys.stderr if terminal is None else terminal
        self.terminal = stream if stream.isatty() and not quiet else None
        self.quiet = quiet
        self.miou = math.nan
        self._loss: float | None = None
        self._pace: float | None = None  # seconds a step
        self._last = self._drawn = time.perf_counter()
        self._shown = ""
        self._said_compiling = False

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        if not self.quiet:
            print(text, file=self.out, flush=True)

    def compiling(self, kernel: str) -> None:
        """Say that Numba compiles a kernel: once in a line that stays, then each in the moving one."""
        if not self._said_compiling:
            self._said_compiling = True
            self.say(
                "compiling kernels: the first time on a machine only, about a minute; they are kept on disk"
            )
        self._draw(f"compiling {kernel}")
        self._last = time.perf_counter() + 1e9  # this step's time says nothing about the next one's

    def step(self, step: int, steps: int, measured: "Measured") -> None:
        """Note a step."""
        now = time.perf_counter()
        if now > self._last:
            self._pace = _mean(self._pace, now - self._last)
        self._last = now
        self._loss = _mean(self._loss, measured.loss)
        if now - self._drawn >= REFRESH:
            self._draw(f"{_bar(step, steps)} step {step} of {steps}  {self._state(steps - step)}")

    def evaluated(self, row: Mapping[str, float], steps: int) -> None:
        """Print the result of an evaluation."""
        self.miou = row["miou"]
        step = int(row["step"])
        width = len(str(steps))
        self.say(
            f"step {step:>{width}} of {steps}  loss {row['loss'] if self._loss is None else self._loss:.3f}  "
            f"validation loss {row['val_loss']:.3f}  mIoU {row['miou']:.3f}  {self._left(steps - step)}"
        )
        self._last = time.perf_counter()  # the evaluation is not part of the next step's time

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
        return "" if self._pace is None else f"{clock(steps_left * self._pace)} left"


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds, or with hours.

    >>> clock(75), clock(3 * 3600 + 62)
    ('1:15', '3:01:02')
    """
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _mean(before: float | None, value: float) -> float:
    return value if before is None else FORGET * before + (1 - FORGET) * value


def _bar(done: int, all_: int) -> str:
    full = BAR * done // all_
    return "[" + "#" * full + "." * (BAR - full) + "]"
