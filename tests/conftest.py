"""Settings for all tests: hypothesis without randomness or deadlines, and the backends that can run here."""

import os
from collections.abc import Iterator

import hypothesis
import matplotlib
import pytest
from op_table import CPU_BACKENDS

from minisegnet import buffers, ops

os.environ.setdefault(
    "GOMP_SPINCOUNT", "0"
)  # several processes of tests share the cores: see numba/launch.py

pytest_plugins = ["claims_plugin", "browser_helpers"]
matplotlib.use("Agg")
pytest.register_assert_rewrite("model_checks")  # so that its asserts show their values

hypothesis.settings.register_profile(
    "minisegnet",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
)
hypothesis.settings.load_profile("minisegnet")


@pytest.fixture(autouse=True, scope="session")
def poison() -> None:
    """Memory that is lent comes full of NaN: a kernel that leaves out an element gives itself away."""
    buffers.POOL.poison = True


@pytest.fixture(params=CPU_BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each CPU backend in turn; one that can't run here is skipped, and the reason shown."""
    reason = ops.why_not(request.param)
    if reason:
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(params=["numpy", "numba"])
def fast(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on each of the two fast backends; for whole models the reference's plain loops take too long."""
    reason = ops.why_not(request.param)
    if reason:
        pytest.skip(reason)
    with ops.use_backend(request.param):
        yield request.param
