"""No CUDA kernel touches memory before or behind its arrays: pages without access lie there (see cuda_guard.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minisegnet import ops

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

TESTS = Path(__file__).parent

PLANTED = """
import numpy as np, cuda_guard
from minisegnet.backends.cupy import launch, manifest
code = '''
extern "C" __global__ void peep(const real* x, real* y, int from) { y[threadIdx.x] = x[from + (int)threadIdx.x]; }
'''
manifest.text = lambda source: "typedef REAL real; " + code
manifest.kernels = lambda source: manifest.kernels_in(code)
cuda_guard.guard_all("SIDE")
x = np.arange(700, dtype=np.float32)
launch.blocks("peep", "peep", 1, 100, x, np.zeros(100, np.float32), FROM, like=x)
print("done")
"""


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, timeout=600, cwd=TESTS
    )


@pytest.mark.parametrize("side", ["before", "behind"])
def test_kernels_stay_inside_their_arrays(side: str) -> None:
    done = in_a_process("cuda_guard.py", side, "all")
    last = "\n".join(done.stdout.splitlines()[-2:])
    assert done.returncode == 0, (
        f"memory {side} an array was touched, by the last of these:\n{last}\n{done.stderr}"
    )
    assert done.stdout.endswith("done\n")


@pytest.mark.parametrize(
    ("side", "start", "survives"),
    [("behind", 600, True), ("behind", 601, False), ("before", 0, True), ("before", -1, False)],
)
def test_one_element_too_far_ends_the_process(side: str, start: int, survives: bool) -> None:
    """The pages do what is said of them: one element inside is fine, one outside is not."""
    done = in_a_process("-c", PLANTED.replace("SIDE", side).replace("FROM", str(start)))
    assert (done.returncode == 0) == survives, done.stderr
    assert done.stdout.splitlines()[0] == "  peep in peep.cu"
