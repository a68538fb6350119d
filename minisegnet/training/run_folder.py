"""Run folders: one folder for each training, never one over another, and never two trainings in one."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import count
from pathlib import Path

from minisegnet.training.checkpoint import CheckpointError

LAST = "last.safetensors"  # what a training goes on from
BEST = "best.safetensors"  # the checkpoint with the best score so far
SETTINGS = "settings.toml"
METRICS_CSV = "metrics.csv"
METRICS_JSONL = "metrics.jsonl"
STEPS = "steps.csv"
CURVES = "curves.png"
SAMPLES = "samples.png"
CONFUSION = "confusion.png"
REPORT = "report.json"
LOCK = ".lock"

MOST_NAMES = 8  # of runs in an error message
PID_WIDTH = 20  # characters for a process's number


# ---------------------------------------------------------------------------------------------------------
# Making and finding


def new_run(parent: Path | str, name: str) -> Path:
    """Make a folder for a new run: ``name``, or ``name-2``, ``name-3`` … where that is taken.

    Parameters
    ----------
    parent
        The folder of all runs; it is made if it isn't there.
    name
        How to call the run. Letters that can't be in a file's name on some system become ``-``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     [new_run(parent, name).name for name in ("shapes", "shapes", "my/cells")]
    ['shapes', 'shapes-2', 'my-cells']
    """
    parent, name = Path(parent), _clean(name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"runs can't go to {parent}: it is no folder; choose another place") from None
    for number in count(1):
        run = parent / (name if number == 1 else f"{name}-{number}")
        try:
            run.mkdir()  # fails where anything of that name exists, also for the slower of two that start at once
            return run
        except FileExistsError:
            continue
    raise AssertionError("unreachable")


def _clean(name: str) -> str:
    return re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "-", name).strip(" .") or "run"


def checkpoint_of(run: Path | str) -> Path:
    """Return the checkpoint to predict with: a run's best one (else its last), or the given file itself.

    Parameters
    ----------
    run
        The folder of a run, or a checkpoint file.
    """
    run = Path(run)
    if run.is_file():
        return run
    for name in (BEST, LAST):
        if (run / name).is_file():
            return run / name
    if run.is_dir():
        inside = _runs_in(run)
        hint = f"choose a run in it: {_listed(inside)}" if inside else "train first, or choose another folder"
        raise CheckpointError(f"{run} has no checkpoint ({BEST} or {LAST}); {hint}")
    elsewhere = Path("runs", run)
    if any((elsewhere / name).is_file() for name in (BEST, LAST)):
        raise CheckpointError(f"{run}: there is no such run or checkpoint; did you mean {elsewhere}?")
    beside = _runs_in(run.parent)
    near = get_close_matches(run.name, beside, n=1)
    if near:
        hint = f"did you mean {run.parent / near[0]}?"
    elif beside:
        hint = f"the runs in {run.parent} are: {_listed(beside)}"
    else:
        hint = f"there are no runs in {run.parent} either; train first: minisegnet train"
    raise CheckpointError(f"{run}: there is no such run or checkpoint; {hint}")


def _runs_in(folder: Path) -> list[str]:
    """Names of the folders with a checkpoint, the newest first."""
    try:
        found = [path for path in folder.iterdir() if any((path / name).is_file() for name in (BEST, LAST))]
        return [path.name for path in sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))]
    except OSError:  # it isn't there, or can't be looked into
        return []


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


# ---------------------------------------------------------------------------------------------------------
# One training at a time


@contextmanager
def lock(run: Path | str) -> Iterator[None]:
    """Hold a run's lock inside a ``with`` block, so that no two processes train in one run.

    The system holds the lock and gives it back when the process ends, even by ``kill -9``: there is nothing to
    clean up. The file ``.lock`` stays; it only says who had it last.

    Parameters
    ----------
    run
        The folder of a run.

    Raises
    ------
    ValueError
        Somebody else has it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run:
    ...     with lock(run):
    ...         try:
    ...             with lock(run):
    ...                 pass
    ...         except ValueError:
    ...             print("only one at a time")
    only one at a time
    """
    path = Path(run, LOCK)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _take(descriptor, path):
            raise ValueError(_taken(descriptor, Path(run)))
        os.write(descriptor, f"{os.getpid():<{PID_WIDTH}}\n".encode())  # over what the last one wrote
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def _taken(descriptor: int, run: Path) -> str:
    holder = os.read(descriptor, PID_WIDTH).decode("ascii", "replace").strip() or "unknown"
    who = "this process" if holder == str(os.getpid()) else f"another process (pid {holder})"
    return f"{who} is training in {run}; wait for its end, or start a run of its own"


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # Windows locks bytes, and no one can read those: lock one far behind the process's number

    def _take(descriptor: int, path: Path) -> bool:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _take(descriptor: int, path: Path) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # some network drives know no locks
            raise OSError(
                error.errno, f"{error.strerror}; choose another place for runs", str(path)
            ) from error
        return True
