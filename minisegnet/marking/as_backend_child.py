"""The process that trains with a learner's kernels: measures, chooses a size, trains beside NumPy's, compares.

Started by `as_backend.py`. What it finds goes to the parent as messages; what the kernels print goes to standard error.
"""

import math
import os
import sys
import threading
import time
from statistics import fmean
from typing import Any, BinaryIO

from minisegnet import use_backend
from minisegnet.marking.as_backend_kernels import Stopwatch, Unusable, backend
from minisegnet.marking.as_backend_task import LADDERS, MOST, TEST, Rung, Training, called_by, choose_model
from minisegnet.marking.child import _functions, _limit, _load, _private_streams, _why
from minisegnet.marking.wire import receive, send

SHARE = 0.9  # of the time is planned; the rest is for what was guessed wrong
MEASURED = 3  # steps' worth of work goes into measuring a size (the first is computed by both)
LOOK = 0.1  # of the time that is left may go into measuring one size
LATE = 17  # exit code of a process that ran out of time
EARLY = 5  # steps over which the losses should be the same but for rounding


def main() -> None:
    """Load the file and try its kernels."""
    asked, answers = _private_streams()
    order = receive(asked)
    if order is None:
        return
    _limit(order["bytes"], order["cpu_seconds"])
    tell = _Teller(answers)
    try:
        module = _load(order["target"], order["is_file"])
    except BaseException as error:  # whatever a learner's file does while it is imported
        tell("unloaded", **_why(error, order["target"]))
        return
    functions, _ = _functions(module, set(order["ops"]))
    functions = {op: f for op, f in functions.items() if op not in order["unwritten"]}
    tell("loaded")
    end = time.monotonic() + order["seconds"]
    trial = Trial(functions, getattr(module, "__file__", "") or "", end, tell)
    threading.Thread(target=trial.watch, daemon=True).start()
    try:
        trial.run()
    except Unusable as error:
        tell("unusable", text=str(error))
    sys.stderr.flush()


class _Teller:
    """Sends messages, from one thread at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.lock = stream, threading.Lock()

    def __call__(self, event: str, **facts: Any) -> None:
        with self.lock:
            send(self.stream, {"event": event, **facts})


class Side:
    """One of the two that are compared: a backend with its stopwatch, and the training that it computes."""

    def __init__(self, functions: dict[str, Any], file: str) -> None:
        self.watch = Stopwatch()
        self.module, self.notes = backend(functions, file, self.watch)
        self.training: Training | None = None
        self.seconds = 0.0
        self.losses: list[float] = []

    def begin(self, model: str, rung: Rung, steps: int) -> None:
        """Set up a training anew."""
        self.training, self.seconds, self.losses = Training(model, rung, steps), 0.0, []
        self.watch.clear()

    def step(self) -> float:
        """Make a step; return how long it took."""
        assert self.training is not None
        with use_backend(self.module):
            begin = time.perf_counter()
            self.losses.append(self.training.step())
            took = time.perf_counter() - begin
        self.seconds += took
        return took

    def facts(self) -> dict[str, Any]:
        """Tell what came of it."""
        assert self.training is not None
        steps = len(self.losses)
        kernels = {op: [s / steps, self.watch.calls[op] / steps] for op, s in self.watch.seconds.items()}
        with use_backend(self.module):
            miou = self.training.miou()
        return {
            "miou": miou,
            "step_seconds": self.seconds / steps,
            "first_losses": self.losses[:EARLY],
            "last_loss": fmean(self.losses[-10:]),
            "kernels": kernels,
        }


class Trial:
    """Tries a learner's kernels on the demo's training, within a time."""

    def __init__(self, functions: dict[str, Any], file: str, end: float, tell: _Teller) -> None:
        self.functions, self.file, self.end, self.tell = functions, file, end, tell
        self.mine, self.ours = Side({}, file), Side({}, file)
        self.rung: Rung | None = None

    def run(self) -> None:
        """Measure, train, compare."""
        model = choose_model(self.functions)
        if model is None:
            self.tell("uncalled", functions=sorted(self.functions))
            return
        called = {op: f for op, f in self.functions.items() if op in called_by(model)}
        self.mine = Side(called, self.file)
        rung, costs = self._climb(model)
        steps = min(self._fitting(rung, *costs), MOST)
        if steps < 1:
            self.tell("slow", rung=rung._asdict(), seconds=list(costs), left=self._left())
            return
        self.tell("chosen", rung=rung._asdict(), steps=steps, seconds=list(costs))
        done = self._train(model, rung, steps)
        if done:
            self._compare(model, done)

    def _compare(self, model: str, steps: int) -> None:
        """Look at pictures that neither was trained on, and tell everything."""
        mine, ours = self.mine.facts(), self.ours.facts()
        notes = list(self.mine.notes.lines.values())
        functions = sorted(self.functions)
        self.tell("result", model=model, functions=functions, steps=steps, mine=mine, ours=ours, notes=notes)

    def _left(self) -> float:
        return self.end - time.monotonic()

    def watch(self) -> None:
        """Say where it hangs, and end the process, when the time is over."""
        time.sleep(max(self._left(), 0))
        if self.rung is not None:
            inside, steps = self.mine.watch.inside, len(self.mine.losses)
            smallest = any(self.rung == ladder[0] for ladder in LADDERS.values())
            self.tell("late", inside=inside, rung=self.rung._asdict(), steps=steps, smallest=smallest)
        os._exit(LATE)

    # -----------------------------------------------------------------------------------------------------
    # How large

    def _climb(self, model: str) -> tuple[Rung, tuple[float, float]]:
        """Go up the ladder as long as enough steps fit; return the last rung that was measured to be good."""
        ladder = LADDERS[model]
        rung, costs = ladder[0], self._measure(model, ladder[0])
        for higher in ladder[1:]:
            if (
                MEASURED * higher.work / rung.work * sum(costs) > LOOK * self._left()
            ):  # a guess, rather too high
                break
            measured = self._measure(model, higher)
            if self._fitting(higher, *measured) < higher.least:
                break
            rung, costs = higher, measured
        return rung, costs

    def _measure(self, model: str, rung: Rung) -> tuple[float, float]:
        """Return what a step takes, the learner's and ours. In the first one each answer is held beside NumPy's."""
        self.rung, costs = rung, []
        for side in (self.mine, self.ours):
            side.begin(model, rung, MOST)
            first = side.step()
            costs.append(side.step() if MEASURED * first < self._left() else first)
        self.tell("measured", rung=rung._asdict(), seconds=costs)
        return costs[0], costs[1]

    def _fitting(self, rung: Rung, mine: float, ours: float) -> int:
        """Count the steps that fit into what is left; a look at a batch of test pictures is half a step."""
        looking = math.ceil(TEST / rung.batch) * (mine + ours) / 2
        return int(max(SHARE * self._left() - looking, 0) / (mine + ours))

    # -----------------------------------------------------------------------------------------------------
    # Training

    def _train(self, model: str, rung: Rung, steps: int) -> int:
        """Train both, a step each in turn, so that both see the same machine; return how many steps were made."""
        self.rung = rung
        for side in (self.mine, self.ours):
            side.begin(model, rung, steps)
        for done in range(1, steps + 1):
            self.mine.step()
            self.ours.step()
            if not math.isfinite(self.mine.losses[-1]):
                self.tell("nonfinite", step=done, loss=self.mine.losses[-1], ours=self.ours.losses[-1])
                return 0
            self.tell("step", done=done, steps=steps, loss=self.mine.losses[-1])
            per_step = (self.mine.seconds + self.ours.seconds) / done
            if self._left() < per_step * (2 + math.ceil(TEST / rung.batch) / 2):
                return done
        return steps


if __name__ == "__main__":
    main()
