"""Places in arrays of more than 2^31 elements are computed in 64 bits (see cuda_wide.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minisegnet import ops

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

TESTS = Path(__file__).parent


def outcomes(*cases: str) -> dict[str, str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    command = [sys.executable, "cuda_wide.py", *cases]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, cwd=TESTS)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_places_beyond_31_bits() -> None:
    wrong = {name: how for name, how in outcomes().items() if how}
    assert not wrong, "\n\n".join(f"{name}: {how}" for name, how in wrong.items())
