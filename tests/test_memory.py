"""A training takes as much memory at its end as at its beginning.

What is measured is the memory that the system gave to the process. C's allocator keeps some of what was freed, more or
less by chance (which thread asked when), and that alone can come to a hundredth of a small process. So here it is told
to give back what it can: then only what the program holds on to remains.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import os, sys
from pathlib import Path
from statistics import median
from training_helpers import TINY
from minisegnet.training import Display, Session, StopRequest, train

session = Session(TINY.with_changes(size=(64, 64), width=4, depth=2, batch=2, count=32, steps=650, evaluate_every=50))
pages = []

class Watch(Display):
    def step(self, step, steps, measured):
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

train(session, Path(sys.argv[1]), Watch(quiet=True), StopRequest())
print(int(median(pages[100:150])), int(median(pages[600:650])))  # at first, and 500 steps later
"""

# For glibc: one heap for all threads, whose free end goes back at once; what is larger than 16 kB stands outside.
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "16384"}


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
        | GIVES_BACK
        | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)]), "MINISEGNET_BACKEND": backend},
        check=True,
        timeout=600,
    )
    before, after = map(int, ran.stdout.split())
    print(f"{backend}: {before} pages, 500 steps later {after}, {100 * (after / before - 1):+.2f} %")
    assert after < 1.01 * before
