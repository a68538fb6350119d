"""What the Numba backend promises beyond right numbers: threads, caching, read-only inputs, no JIT, bounds checks."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import ops

reason = ops.why_not("numba")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

ROOT = Path(__file__).parent.parent

EVERY_OP = """
import sys
import numpy as np
import op_table
from hypothesis import given, settings, HealthCheck, Phase
from minisegnet import ops

found = []

def run(op, dtype):
    @settings(max_examples=4, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(op_table.TABLE[op].calls(dtype, False))
    def once(call):
        with ops.use_backend("numba"):
            outputs = call.outputs()
            found.extend(outputs)
            if call.wrt:
                dy = np.asarray(np.random.default_rng(0).standard_normal(outputs[0].shape), dtype)
                found.extend(call.gradients(dy, outputs))
    once()

for op in sorted(op_table.TABLE):
    run(op, np.float32)
"""


def python(code: str, **environment: str) -> str:
    """Run code in a fresh process with the tests' folder on the path; return what it prints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", **environment}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stderr[-4000:]
    return out.stdout


# ---------------------------------------------------------------------------------------------------------
# Threads


def some_results() -> list[Any]:
    """A few ops with sums over many elements, where the order of adding could show."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3, 5, 37, 41)).astype(np.float32)
    w = generator.standard_normal((7, 5, 3, 3)).astype(np.float32)
    target = generator.integers(0, 5, (3, 37, 41))
    y = ops.conv2d(x, w, padding=1)
    normal = ops.batch_norm(x, None, None, None, None, training=True)
    loss, probs = ops.softmax_cross_entropy(x, target)
    rois = np.array([[0, 1, 2, 30, 20], [2, 5, 5, 40, 36], [0, 3, 3, 9, 9]], np.float32)
    pooled, argmax = ops.roi_pool(x, rois, 7)
    return [
        y,
        *ops.conv2d_backward(y, x, w, padding=1),
        *normal[:3],
        ops.batch_norm_backward(x, x, None, *normal[1:3], training=True)[0],
        loss,
        ops.softmax_cross_entropy_backward(1.0, probs, target),
        ops.bce_with_logits(x, np.abs(np.tanh(x))),
        ops.resize_bilinear_backward(x, (18, 20)),
        ops.max_pool2d_backward(*ops.max_pool2d(x, 3, stride=2), (37, 41)),
        ops.roi_pool_backward(pooled, argmax, rois, x.shape),
        ops.roi_align_backward(pooled, rois, x.shape),
        ops.global_avg_pool2d(x),
    ]


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    available = numba.config.NUMBA_NUM_THREADS
    before = numba.get_num_threads()
    try:
        with ops.use_backend("numba"):
            numba.set_num_threads(1)
            one = some_results()
            numba.set_num_threads(available)
            many = some_results()
    finally:
        numba.set_num_threads(before)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


def test_several_python_threads_may_call_at_once() -> None:
    with ops.use_backend("numba"):
        expected = some_results()
    failures: list[str] = []

    def work() -> None:
        with ops.use_backend("numba"):
            for _ in range(3):
                for a, b in zip(some_results(), expected, strict=True):
                    if not np.array_equal(a, b):
                        failures.append("a result differs")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.slow
def test_several_threads_on_the_workqueue_layer() -> None:
    """The layer that kills a process when parallel kernels are started from several threads at once."""
    code = """
import numba, sys
from test_numba import test_several_python_threads_may_call_at_once
test_several_python_threads_may_call_at_once()
print(numba.threading_layer())
"""
    assert python(code, NUMBA_THREADING_LAYER="workqueue").strip() == "workqueue"


# ---------------------------------------------------------------------------------------------------------
# Compilation


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    code = (
        EVERY_OP
        + """
import importlib, pkgutil
import minisegnet.backends.numba as backend
from numba.core.dispatcher import Dispatcher
hits = misses = 0
for info in pkgutil.iter_modules(backend.__path__):
    module = importlib.import_module(f"{backend.__name__}.{info.name}")
    for value in vars(module).values():
        compiled = getattr(value, "compiled", value)
        if isinstance(compiled, Dispatcher) and compiled.py_func.__module__ == module.__name__:
            hits += sum(compiled.stats.cache_hits.values())
            misses += sum(compiled.stats.cache_misses.values())
print(hits, misses)
"""
    )
    cache = str(tmp_path / "cache")
    _, first_misses = map(int, python(code, NUMBA_CACHE_DIR=cache).split())
    hits, misses = map(int, python(code, NUMBA_CACHE_DIR=cache).split())
    assert first_misses > 20
    assert misses == 0 and hits > 20


def test_read_only_arrays_compile_nothing_new() -> None:
    from minisegnet.backends.numba import conv

    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    with ops.use_backend("numba"):
        ops.conv2d(x, w)
        kernels = [getattr(v, "compiled", v) for v in vars(conv).values()]
        kernels = [k for k in kernels if hasattr(k, "signatures")]
        before = [len(k.signatures) for k in kernels]
        for a in (x, w):
            a.flags.writeable = False
        ops.conv2d(x, w)
    assert before == [len(k.signatures) for k in kernels]
    assert any(before)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT", "MINISEGNET_PLAIN"])
def test_all_kernels_with_bounds_checked_without_compilation_and_without_vectors(
    flag: str, tmp_path: Path
) -> None:
    """The whole op suite on numba. The disk cache ignores Numba's flags, so each run has a cache of its own."""
    share = "0.6" if flag == "NUMBA_BOUNDSCHECK" else "0.3"  # plain Python takes its time
    env = {**os.environ, flag: "1", "NUMBA_CACHE_DIR": str(tmp_path), "MINISEGNET_EXAMPLES": share}
    files = ["tests/test_ops.py", "tests/test_ops_facts.py"]
    command = [sys.executable, "-m", "pytest", *files, "-k", "numba", "-p", "no:cacheprovider"]
    out = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=1500)
    assert out.returncode == 0, out.stdout[-4000:]
    passed = re.search(r"(\d+) passed", out.stdout)
    assert passed and int(passed.group(1)) > 200, out.stdout[-500:]
