"""What a training shows: lines that stay, and on a terminal one that moves."""

import io
import math

from minisegnet.training.display import Display, clock
from minisegnet.training.loop import Measured


class Terminal(io.StringIO):
    def isatty(self):
        return True


ROW = {"step": 10, "loss": 0.5, "val_loss": 0.25, "miou": 0.75}


def test_elsewhere_there_are_plain_lines_only():
    out, other = io.StringIO(), io.StringIO()
    display = Display(out, other)
    for step in range(1, 11):
        display.step(step, 40, Measured(1.0, 0.1, 2.0))
    display.evaluated(ROW, 40)
    assert other.getvalue() == ""
    assert out.getvalue().startswith("step 10 of 40  loss 0.500  validation loss 0.250  mIoU 0.750  ")
    assert out.getvalue().endswith(" left\n")
    assert "\r" not in out.getvalue()


def test_on_a_terminal_a_line_moves_and_is_taken_away_before_one_that_stays(monkeypatch):
    monkeypatch.setattr("minisegnet.training.display.REFRESH", 0)
    out, terminal = io.StringIO(), Terminal()
    display = Display(out, terminal)
    display.step(20, 40, Measured(1.0, 0.1, 2.0))
    assert "[############............] step 20 of 40  loss 1.000" in terminal.getvalue()
    display.evaluated(ROW, 40)
    last = terminal.getvalue().split("\r")[-2]
    assert last.strip() == "" and len(last) > 20
    display.step(21, 40, Measured(1.0, 0.1, 2.0))
    assert "mIoU 0.750" in terminal.getvalue()


def test_compilations_are_said_once_and_not_counted_as_time_of_a_step():
    out = io.StringIO()
    display = Display(out, io.StringIO())
    display.compiling("conv2d")
    display.compiling("relu")
    assert out.getvalue().count("compiling kernels") == 1
    display.step(1, 2, Measured(1.0, 0.1, 2.0))
    assert display._steps == 0
    display.step(2, 2, Measured(1.0, 0.1, 2.0))
    assert display._steps == 1


def test_nothing_is_said_when_quiet():
    out, terminal = io.StringIO(), Terminal()
    display = Display(out, terminal, quiet=True)
    display.say("hello")
    display.step(1, 2, Measured(1.0, 0.1, 2.0))
    display.evaluated({**ROW, "miou": math.nan}, 40)
    assert out.getvalue() == terminal.getvalue() == ""


def test_times():
    assert [clock(s) for s in (0, 59.6, 61, 3600)] == ["0:00", "1:00", "1:01", "1:00:00"]


def test_a_reader_that_goes_away_does_not_end_the_training():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    display = Display(Gone(), io.StringIO())
    display.say("hello")
    display.say("again")
    assert display.quiet
