"""A training takes as much memory at its end as at its beginning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import os, sys
from pathlib import Path
from training_helpers import TINY
from minisegnet.training import Display, Session, StopRequest, train

session = Session(TINY.with_changes(size=(64, 64), width=4, depth=2, batch=4, count=32, steps=600, evaluate_every=50))
pages = []

class Watch(Display):
    def step(self, step, steps, measured):
        if step % 10 == 0:
            pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

train(session, Path(sys.argv[1]), Watch(quiet=True), StopRequest())
print(max(pages[5:10]), max(pages[55:60]))  # after 50 to 100 steps, and 500 later
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_five_hundred_steps_grow_the_process_by_less_than_a_hundredth(backend, tmp_path):
    here = os.path.dirname(__file__)
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)]), "MINISEGNET_BACKEND": backend},
        check=True,
        timeout=600,
    )
    before, after = map(int, ran.stdout.split())
    assert after < 1.01 * before
