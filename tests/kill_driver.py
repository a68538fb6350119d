"""Train, kill -9 at a random moment, look at what is left, go on; over and over. Run by test_kill.py.

A child process trains and tells through a pipe which checkpoints are complete. Whatever moment it is killed at, the
checkpoint on disk must be readable, and at least as far as the last that was complete. In the end the run, killed so
many times, must be bit for bit the run that never was.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from training_helpers import TINY, StopAfter, last_bytes, trained

from minisegnet import files, ops
from minisegnet.training import checkpoint, loop
from minisegnet.training.run_folder import BEST, LAST
from minisegnet.training.session import Session
from minisegnet.training.stopping import StopRequest

SETTINGS = TINY.with_changes(steps=40, save_every=1, evaluate_every=4)


def child(run: Path, pipe: int) -> None:
    """Start or go on, and tell of each complete checkpoint."""
    save = checkpoint.save

    def save_and_tell(path, arrays, facts):
        save(path, arrays, facts)
        if path.name == LAST:
            os.write(pipe, f"{facts['step']}\n".encode())

    checkpoint.save = save_and_tell
    files.sweep(run)
    if (run / LAST).exists():
        session = Session.of_checkpoint(*checkpoint.load(run / LAST))
    else:
        session = Session(SETTINGS)
    stop = StopRequest()
    loop.train(session, run, StopAfter(10**9, stop), stop)


def kill_once(run: Path, after: float) -> tuple[int, bool]:
    """Kill a child that trains after so long; return the last step that it told of, and whether it was still alive."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            child(run, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(read) as told:
        steps = [int(line) for line in told if line.endswith("\n")]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("the child failed")
    return max(steps, default=0), os.WIFSIGNALED(status)


def main(folder: Path, kills: int) -> None:
    """Kill so many times; finished runs are compared with the whole one and begun again."""
    begin = time.monotonic()
    whole, moments = trained(SETTINGS, folder / "whole"), random.Random(0)
    longest = max(0.35, (time.monotonic() - begin) / 4)  # a child must get past an evaluation
    done = finished = orphans = 0
    run = folder / "run-0"
    run.mkdir()
    while done < kills:
        step, killed = kill_once(run, moments.uniform(0, longest))
        done += killed
        orphans += sum(path.suffix == ".tmp" for path in run.iterdir())
        if (run / LAST).exists():
            facts = checkpoint.load(run / LAST).facts
            assert facts["step"] >= step, f"{facts['step']} on disk, {step} was complete"
        else:
            assert step == 0, "a complete checkpoint is gone"
        if (run / BEST).exists():
            checkpoint.load(run / BEST)
        if not killed:
            assert last_bytes(run) == whole, "the killed run ended differently"
            assert not [path for path in run.iterdir() if path.suffix == ".tmp"], "orphans were not swept"
            finished += 1
            run = folder / f"run-{finished}"
            run.mkdir()
    print(done, finished, orphans)


if __name__ == "__main__":
    with ops.use_backend("numpy"):
        main(Path(sys.argv[1]), int(sys.argv[2]))
