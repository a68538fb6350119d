"""The NumPy backend gives the same bits whatever the number of BLAS threads, and leaves BLAS as it was."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import numpy as np
import pytest
import threadpoolctl

from minisegnet import ops, use_backend
from minisegnet.backends.numpy import threads

# Prints the digest of everything that an op or a training computes, by name.
PROGRAM = """
import hashlib, json, sys
import numpy as np
import threadpoolctl
from minisegnet import losses, models, ops, optim, use_backend

if sys.argv[1:]:
    threadpoolctl.threadpool_limits(int(sys.argv[1]))  # more than there are cores, unlike the variable
use_backend("numpy")
random = np.random.default_rng(0)
digests = {}


def draw(*shape, dtype=np.float32):
    return random.random(shape, dtype) - dtype(0.5)


def note(name, *arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    digests[name] = digest.hexdigest()


CONVOLUTIONS = [  # channels, filters, size, kernel, options
    (3, 16, 70, 3, {"padding": 1}),
    (16, 16, 64, 3, {"padding": 1}),
    (64, 64, 48, 3, {"padding": 1}),
    (64, 64, 28, 3, {"padding": 1, "stride": 2}),
    (64, 96, 20, 3, {"padding": 2, "dilation": 2, "groups": 4}),
    (64, 64, 33, 3, {"padding": 1, "groups": 64}),
    (64, 64, 40, 1, {}),
    (256, 256, 9, 3, {"padding": 1}),
    (64, 512, 7, 7, {}),
    (512, 512, 6, 3, {"padding": 1}),
]
TRANSPOSED = [
    (64, 32, 24, 2, {"stride": 2}),
    (32, 64, 24, 4, {"stride": 2, "padding": 1}),
    (64, 64, 20, 3, {"padding": 1}),
    (64, 64, 12, 4, {"stride": 3, "output_padding": 1, "groups": 4}),
    (21, 21, 10, 16, {"stride": 8, "padding": 4}),
]
for dtype in (np.float32, np.float64):
    for N in (1, 3, 8) if dtype == np.float32 else (3,):
        for number, (C, K, size, kernel, options) in enumerate(CONVOLUTIONS):
            x = draw(N, C, size, size, dtype=dtype)
            w = draw(K, C // options.get("groups", 1), kernel, kernel, dtype=dtype)
            y = ops.conv2d(x, w, draw(K, dtype=dtype), **options)
            gradients = ops.conv2d_backward(draw(*y.shape, dtype=dtype), x, w, **options)
            note(f"conv2d {number}, batch {N}, {x.dtype}", y, *gradients)
        for number, (C, K, size, kernel, options) in enumerate(TRANSPOSED):
            x = draw(N, C, size, size, dtype=dtype)
            w = draw(C, K // options.get("groups", 1), kernel, kernel, dtype=dtype)
            y = ops.conv_transpose2d(x, w, draw(K, dtype=dtype), **options)
            gradients = ops.conv_transpose2d_backward(draw(*y.shape, dtype=dtype), x, w, **options)
            note(f"conv_transpose2d {number}, batch {N}, {x.dtype}", y, *gradients)
        for rows, inputs, outputs in ((N, 1024, 700), (100 * N, 300, 64), (N, 4, 3)):
            x, w = draw(rows, inputs, dtype=dtype), draw(outputs, inputs, dtype=dtype)
            y = ops.linear(x, w, draw(outputs, dtype=dtype))
            gradients = ops.linear_backward(draw(*y.shape, dtype=dtype), x, w)
            note(f"linear {rows, inputs, outputs}, {x.dtype}", y, *gradients)
        x, gamma = draw(N, 4, 150, 160, dtype=dtype), draw(4, dtype=dtype)
        statistics = np.zeros_like(gamma), np.ones_like(gamma)
        y, mean, inv_std, *running = ops.batch_norm(x, gamma, gamma, *statistics, training=True)
        gradients = ops.batch_norm_backward(draw(*y.shape, dtype=dtype), x, gamma, mean, inv_std, training=True)
        note(f"batch_norm, batch {N}, {x.dtype}", y, mean, inv_std, *running, *gradients)
        x, rois = draw(N, 128, 200, 200, dtype=dtype), np.array([[0, 3, 3, 190, 195], [N - 1, 20, 5, 60, 99]], dtype)
        note(f"roi_align, batch {N}, {x.dtype}", ops.roi_align(x, rois, 2))

model = models.build("unet", classes=3, width=16, seed=1)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss_of = losses.build("ce")
for step in range(3):
    images, labels = draw(2, 3, 64, 64), random.integers(0, 3, (2, 64, 64))
    optimizer.zero_grad()
    loss = loss_of(model(images), labels)
    loss.backward()
    note(f"unet, gradients of step {step}", *(p.grad for p in model.parameters()))
    optimizer.step()
note("unet after three steps", *model.state_dict().values())
print(json.dumps(digests))
"""


def digests(number, *arguments):
    environment = os.environ | {
        "OPENBLAS_NUM_THREADS": number,
        "OMP_NUM_THREADS": number,
        "MKL_NUM_THREADS": number,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("more", [["2"], ["4", "4"]], ids=["2", "4"])
def test_the_number_of_threads_changes_no_bit(more, one_thread):
    assert digests(*more) == one_thread


@pytest.fixture(scope="module")
def one_thread():
    return digests("1")


def blas_threads():
    return [
        library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"
    ]


def a_convolution(seed=0, N=4):
    random = np.random.default_rng(seed)
    x, w = random.standard_normal((N, 16, 40, 40)), random.standard_normal((24, 16, 3, 3))
    with use_backend("numpy"):
        y = ops.conv2d(x, w, padding=1)
        return y, *ops.conv2d_backward(y, x, w, padding=1)


def test_blas_has_its_threads_back_after_an_op():
    with threadpoolctl.threadpool_limits(2):
        before = blas_threads()
        a_convolution()
        assert blas_threads() == before
    with threadpoolctl.threadpool_limits(2), pytest.raises(ZeroDivisionError), threads.one_blas_thread():
        assert set(blas_threads()) <= {1}
        raise ZeroDivisionError
    with threadpoolctl.threadpool_limits(2):
        assert blas_threads() == before


def test_ops_from_several_python_threads_at_once():
    with threadpoolctl.threadpool_limits(2):
        before, expected = blas_threads(), [a_convolution(seed) for seed in range(4)]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(a_convolution, [0, 1, 2, 3] * 5))
        assert blas_threads() == before
    for number, result in enumerate(results):
        assert all(np.array_equal(a, b) for a, b in zip(result, expected[number % 4], strict=True))


def test_any_thread_may_set_the_number_after_an_op_in_another():
    """Of threadpoolctl 3.8, the thread that set the number last keeps the right to do so, unless it gives it back."""
    with threadpoolctl.threadpool_limits(2), ThreadPoolExecutor(1) as pool:
        expected = a_convolution()
        result = pool.submit(a_convolution).result()
        assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))
        with threadpoolctl.threadpool_limits(1):
            assert set(blas_threads()) <= {1}
            pool.submit(a_convolution).result()
        assert set(blas_threads()) <= {2}


def test_all_tasks_are_done_once_by_several_threads():
    done, names = [], set()
    both = threading.Barrier(2, timeout=20)

    def task(number, other):
        names.add(threading.current_thread().name)
        if number < 2:
            both.wait()  # only if two threads work at the same time, both come here
        done.append((number, other))

    with threadpoolctl.threadpool_limits(2):
        threads.in_parallel(task, [(i, -i) for i in range(50)])
    assert sorted(done) == [(i, -i) for i in range(50)]
    assert len(names) == 2
    threads.in_parallel(task, [])


def test_a_task_sees_its_callers_context():
    variable = ContextVar("variable", default="not set")
    seen, both = [], threading.Barrier(2, timeout=20)

    def task(_):
        both.wait()
        seen.append((variable.get(), np.geterr()["over"]))

    variable.set("set")
    with threadpoolctl.threadpool_limits(2), np.errstate(over="raise"):
        threads.in_parallel(task, [(0,), (1,)])
    assert seen == [("set", "raise")] * 2


@pytest.mark.parametrize("bad", [0, 1, 30])
def test_an_error_in_a_task_comes_out(bad):
    both = threading.Barrier(2, timeout=20)

    def task(number):
        if number < 2:
            both.wait()
        if number == bad:
            raise ValueError(f"task {bad}")

    with threadpoolctl.threadpool_limits(2), pytest.raises(ValueError, match=f"task {bad}"):
        threads.in_parallel(task, [(i,) for i in range(40)])
    assert a_convolution()[0].shape == (4, 24, 40, 40)


def test_overflow_in_a_helper_warns_nobody():
    x = np.full((8, 16, 32, 32), 3e38, np.float32)
    with use_backend("numpy"), threadpoolctl.threadpool_limits(2):
        y = ops.conv2d(x, np.ones((4, 16, 3, 3), np.float32))
        _, dw, _ = ops.conv2d_backward(np.full_like(y, 3e38), x, np.ones((4, 16, 3, 3), np.float32))
    assert np.isinf(y).all() and np.isinf(dw).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_the_same():
    program = """
import os, sys, threading, time
sys.path.insert(0, "tests")
import numpy as np
import threadpoolctl
from test_numpy_threads import a_convolution, blas_threads
threadpoolctl.threadpool_limits(2)
expected = a_convolution()  # starts the helpers
def work():
    while not stop: a_convolution()
stop = False
other = threading.Thread(target=work)
other.start()  # so that some fork happens while an op runs
for i in range(20):
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(a, b) for a, b in zip(a_convolution(), expected, strict=True))
        os._exit(0 if same and set(blas_threads()) == {2} else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop = True
other.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_pieces_cover_the_length():
    for length in range(40):
        for most in (1, 2, 4):
            for shortest in (1, 8):
                cut = threads.pieces(length, most=most, shortest=shortest)
                assert [i for piece in cut for i in range(length)[piece]] == list(range(length))
                assert 1 <= len(cut) <= most
                assert len(cut) == 1 or min(piece.stop - piece.start for piece in cut) >= shortest
