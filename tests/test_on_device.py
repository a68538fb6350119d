"""Run the tests of tests/on_device with the stand-in for CuPy, each file in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minisegnet import ops

TESTS = Path(__file__).parent
NOTHING = 5  # pytest's word for: no test was chosen
FILES = sorted(path.name for path in (TESTS / "on_device").glob("test_*.py"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(
        os.environ, PYTHONPATH=os.pathsep.join([str(TESTS / "stand_in_cupy"), str(TESTS.parent)])
    )
    environment.pop("MINISEGNET_BACKEND", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def check(file: str, which: str) -> None:
    if reason := ops.why_not("cuda-on-cpu"):
        pytest.skip(reason)
    done = run("-m", "pytest", "-p", "no:cacheprovider", "-m", which, f"tests/on_device/{file}")
    assert done.returncode in (0, NOTHING), done.stdout[-6000:] + done.stderr[-2000:]
    assert " skipped" not in done.stdout, done.stdout[-2000:]
    assert " passed" in done.stdout or which == "slow", done.stdout[-2000:]


@pytest.mark.parametrize("file", FILES)
def test_on_the_stand_in(file: str) -> None:
    check(file, "not slow")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_slow_ones_on_the_stand_in(file: str) -> None:
    check(file, "slow")


def test_without_cupy_nothing_of_it_is_imported() -> None:
    """The stand-in must not hide that the package needs no CuPy."""
    code = "import sys, minisegnet.training, minisegnet.optim.on_device; print('cupy' in sys.modules)"
    assert run("-c", code).stdout.strip() == "False"
