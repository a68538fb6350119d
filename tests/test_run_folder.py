"""Run folders: never one over another, the right checkpoint found, one training at a time."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from minisegnet.training import run_folder
from minisegnet.training.checkpoint import CheckpointError
from minisegnet.training.run_folder import BEST, LAST, LOCK, checkpoint_of, lock, new_run

# ---------------------------------------------------------------------------------------------------------
# Making


def test_names_are_counted_up_and_nothing_is_overwritten(tmp_path: Path) -> None:
    parent = tmp_path / "deep" / "runs"
    first = new_run(parent, "shapes")
    (first / LAST).write_text("mine")
    (parent / "shapes-2").write_text("a file in the way")
    assert [new_run(str(parent), "shapes").name for _ in range(3)] == ["shapes-3", "shapes-4", "shapes-5"]
    assert (first / LAST).read_text() == "mine" and (parent / "shapes-2").is_file()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("my data/cells", "my data-cells"),
        ("..\\..\\x", "-..-x"),
        ("../../etc", "-..-etc"),
        ("/", "-"),
        ("..", "run"),
        ("", "run"),
        (" . ", "run"),
        ("a\nb\0c", "a-b-c"),
        ("C:\\data", "C--data"),
        ("세포-unet", "세포-unet"),
    ],
)
def test_a_name_stays_inside_its_parent(tmp_path: Path, name: str, folder: str) -> None:
    run = new_run(tmp_path / "runs", name)
    assert run == tmp_path / "runs" / folder and run.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for parent in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="it is no folder; choose another place"):
            new_run(parent, "shapes")


def test_runs_that_start_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    together = Barrier(16)

    def start(_: int) -> Path:
        together.wait()
        return new_run(tmp_path / "runs", "shapes")

    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(start, range(16)))
    assert {run.name for run in runs} == {"shapes", *(f"shapes-{i}" for i in range(2, 17))}


def test_names_of_files_differ() -> None:
    files = [value for name, value in vars(run_folder).items() if name.isupper() and isinstance(value, str)]
    assert len(files) == len(set(files)) == 11


# ---------------------------------------------------------------------------------------------------------
# Finding a checkpoint


def made(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("x")
    return folder


def test_the_best_checkpoint_is_taken_then_the_last_one(tmp_path: Path) -> None:
    assert checkpoint_of(made(tmp_path / "a", BEST, LAST)) == tmp_path / "a" / BEST
    assert checkpoint_of(str(made(tmp_path / "b", LAST))) == tmp_path / "b" / LAST
    assert checkpoint_of(tmp_path / "a" / LAST) == tmp_path / "a" / LAST


def test_what_is_near_is_named(tmp_path: Path) -> None:
    made(tmp_path / "shapes-unet", LAST)
    made(tmp_path / "streets", BEST)
    made(tmp_path / "shapes-unit")  # no checkpoint: not proposed
    with pytest.raises(CheckpointError, match=r"no such run or checkpoint; did you mean .*shapes-unet"):
        checkpoint_of(tmp_path / "shape-unet")
    with pytest.raises(
        CheckpointError, match=r"the runs in .* are: (streets, shapes-unet|shapes-unet, streets)"
    ):
        checkpoint_of(tmp_path / "quite-different")
    with pytest.raises(CheckpointError, match=r"there are no runs in .* either; train first"):
        checkpoint_of(tmp_path / "nowhere" / "x")
    with pytest.raises(CheckpointError, match=r"has no checkpoint .*; train first, or choose another folder"):
        checkpoint_of(tmp_path / "shapes-unit")
    with pytest.raises(CheckpointError, match=r"has no checkpoint .*; choose a run in it: "):
        checkpoint_of(tmp_path)


def test_many_runs_are_not_all_listed(tmp_path: Path) -> None:
    for i in range(20):
        made(tmp_path / f"{i}", LAST)
    with pytest.raises(CheckpointError, match=r"and 12 more$"):
        checkpoint_of(tmp_path)


# ---------------------------------------------------------------------------------------------------------
# The lock

HOLD = """
import sys, time
from minisegnet.training.run_folder import lock
with lock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_the_lock_is_free_again_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock(tmp_path):
        raise KeyError("the training failed")
    for _ in range(2):
        with (
            lock(tmp_path),
            pytest.raises(ValueError, match=r"this process is training in .*; wait for its end"),
            lock(str(tmp_path)),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_two_runs_have_two_locks(tmp_path: Path) -> None:
    with lock(made(tmp_path / "a")), lock(made(tmp_path / "b")):
        pass


def test_another_process_is_named_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("12345678901234567890, an old and longer text")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "locked\n"
            with (
                pytest.raises(ValueError, match=rf"another process \(pid {process.pid}\) is training in"),
                lock(tmp_path),
            ):
                pass
        finally:
            process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait()
    with lock(tmp_path):
        assert (tmp_path / LOCK).read_text().split()[0] == str(os.getpid())


def test_a_run_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock(tmp_path / "nowhere"):
        pass
