"""kill -9 at any moment: nothing that was saved is lost, and nothing half-written is left."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_no_kill_loses_what_was_saved(kills, tmp_path):
    here = os.path.dirname(__file__)
    ran = subprocess.run(
        [sys.executable, "-W", "error", os.path.join(here, "kill_driver.py"), str(tmp_path), str(kills)],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)]), "OPENBLAS_NUM_THREADS": "1"},
        check=False,
        timeout=1500,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    done, finished, _ = map(int, ran.stdout.split())
    assert done == kills
    assert kills < 200 or finished >= 1  # so that the end was compared, too
