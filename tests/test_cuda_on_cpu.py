"""The CPU's run of CUDA sources, itself: barriers, warps, shared memory, orders, building, and what it notices."""

import ctypes
import doctest
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisegnet import ops
from minisegnet.backends.cuda_on_cpu import build
from minisegnet.backends.cuda_on_cpu.module import ORDERS, Module, planned
from minisegnet.backends.cupy import launch, manifest

reason = ops.why_not("cuda-on-cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

ROOT = Path(__file__).parent.parent
CODE = "\n".join(
    [
        (manifest.FOLDER / "prelude.cu").read_text(encoding="utf-8"),
        '#line 1 "cuda_examples.cu"',
        (Path(__file__).parent / "cuda_examples.cu").read_text(encoding="utf-8"),
    ]
)
KERNELS = manifest.kernels_in(CODE)


@pytest.fixture(scope="module")
def examples() -> Module:
    return Module("cuda_examples", CODE, KERNELS, "float")


def run(module: Module, kernel: str, grid: Any, block: Any, *arguments: Any, shared: int = 0) -> None:
    grid, block = launch._three(grid), launch._three(block)
    module.get_function(kernel)(grid, block, arguments, shared_mem=shared)


def numbers(count: int) -> Any:
    return np.random.default_rng(0).standard_normal(count).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------
# Barriers, and the three orders


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("threads", [1, 31, 32, 33, 250, 1024])
def test_a_barrier_lets_a_block_talk(examples: Module, threads: int, order: str) -> None:
    x, y = numbers(threads), np.zeros(threads, np.float32)
    with planned(order=order):
        run(examples, "reverse", 1, threads, x, y)
    np.testing.assert_array_equal(y, x[::-1])


def test_a_missing_barrier_shows_in_every_order(examples: Module) -> None:
    x = numbers(128)
    for order in ORDERS:
        y = np.zeros(128, np.float32)
        with planned(order=order):
            run(examples, "reverse_without_barrier", 1, 128, x, y)
        assert (y != x[::-1]).any(), order


def test_a_missing_last_barrier_shows_in_some_order(examples: Module) -> None:
    """This is why there is more than one: in turn, no warp ever gets a round ahead of the others."""
    x, right = numbers(256), []
    for order in ORDERS:
        y = np.zeros(256, np.float32)
        with planned(order=order):
            run(examples, "reverse_twice_without_last_barrier", 1, 128, x, y)
        right.append((y == np.concatenate([x[:128][::-1], x[128:][::-1]])).all())
    assert not all(right)


def test_random_orders_come_again_with_their_seed(examples: Module) -> None:
    x, found = numbers(256), []
    for seed in (1, 1, 2, 3):
        y = np.zeros(256, np.float32)
        with planned(order="random", seed=seed):
            run(examples, "reverse_without_barrier", 1, 256, x, y)
        found.append(y.tobytes())
    assert found[0] == found[1]
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            0,
            r"block \(2, 0, 0\).*thread \(0, 0, 0\) waits at cuda_examples.cu:\d+, but thread \(40, 0, 0\) has ended",
        ),
        (1, r"thread \(0, 0, 0\) waits at cuda_examples.cu:(\d+), but thread \(40, 0, 0\) waits at "),
        (
            2,
            r"thread \(32, 0, 0\) waits for its warp at cuda_examples.cu:\d+, but thread \(0, 0, 0\) has ended",
        ),
        (3, r"waits for its warp"),
    ],
)
def test_threads_that_miss_each_other_are_named(examples: Module, how: int, message: str) -> None:
    y = np.zeros(64, np.int32)
    with pytest.raises(RuntimeError, match=message), planned(first=2):
        run(examples, "miss_each_other", 3, 64, y, np.int32(how))
    run(examples, "miss_each_other", 3, 64, y, np.int32(9))  # and the next run is as good as ever
    assert y.all()


# ---------------------------------------------------------------------------------------------------------
# Warps


@pytest.mark.parametrize("order", ORDERS)
def test_sums_of_blocks(examples: Module, order: str) -> None:
    x = np.random.default_rng(1).integers(-9, 9, (3, 500)).astype(np.float32)  # sums of integers are exact
    for threads in (32, 64, 1024):
        y = np.zeros(3, np.float32)
        with planned(order=order):
            run(examples, "sums", 3, threads, x, y, np.int32(500))
        np.testing.assert_array_equal(y, x.sum(1))


@pytest.mark.parametrize("order", ORDERS)
def test_shuffles_and_votes(examples: Module, order: str) -> None:
    x = np.random.default_rng(2).integers(0, 100, 64).astype(np.int32)
    y = np.zeros((6, 64), np.int32)
    with planned(order=order):
        run(examples, "shuffles", 1, 64, x, y, np.int32(5), np.int32(4))
    lanes, warps = np.arange(32), x.reshape(2, 32)
    np.testing.assert_array_equal(y[0], np.repeat(warps[:, 5], 32))
    np.testing.assert_array_equal(y[1].reshape(2, 32), warps[:, lanes ^ 4])
    np.testing.assert_array_equal(y[2].reshape(2, 32), warps[:, np.where(lanes + 4 < 32, lanes + 4, lanes)])
    np.testing.assert_array_equal(y[3].reshape(2, 32), warps[:, np.where(lanes >= 4, lanes - 4, lanes)])
    votes = [int(sum((v % 2) << k for k, v in enumerate(warp.tolist()))) for warp in warps]
    np.testing.assert_array_equal(y[4].view(np.uint32), np.repeat(votes, 32))
    np.testing.assert_array_equal(y[5].reshape(2, 32)[:, 0], [int(w.max() < 90) for w in warps])


@pytest.mark.parametrize("order", ORDERS)
def test_halves_of_a_warp_under_masks(examples: Module, order: str) -> None:
    x, y = np.arange(32.0) ** 2, np.zeros(64)
    with planned(order=order):
        run(examples, "half_warps", 1, 32, x, y)
    expected = np.concatenate([np.full(16, x[:16].sum()), x[16:].reshape(8, 2)[:, ::-1].reshape(-1)])
    np.testing.assert_array_equal(y[:32], expected)
    np.testing.assert_array_equal(y[32:], expected[np.arange(32) ^ 16])


# ---------------------------------------------------------------------------------------------------------
# Memory and numbers


def test_shared_memory_starts_as_nan_in_each_block(examples: Module) -> None:
    y = np.zeros(8, np.float32)
    run(examples, "read_before_write", 4, 1, y, np.int32(5), shared=20)
    assert np.isnan(y).all()


def test_a_write_behind_dynamic_shared_memory_is_reported(examples: Module) -> None:
    with pytest.raises(
        RuntimeError, match=r"write_behind is wrong: block \(0, 0, 0\) wrote behind its 64 bytes"
    ):
        run(examples, "write_behind", 1, 1, np.int32(16), shared=64)
    run(examples, "write_behind", 1, 1, np.int32(15), shared=64)


def test_atomic_operations(examples: Module) -> None:
    y = np.array([0, -1, 9999, 0, 0, 0, 0, 0], np.int32)
    run(examples, "atomics", 2, 100, y)
    assert y[:6].tolist() == [200, 99, 0, -1, 1, 1]
    assert 1 <= y[6] == y[7]


def test_arithmetic_of_the_device(examples: Module) -> None:
    x, y, z = np.array([np.nan, 2, 4, -1], np.float32), np.zeros(5, np.float32), np.zeros(2, np.uint32)
    run(examples, "numbers", 1, 1, x, y, z)
    assert y.tolist() == [2, 2, 0.5, 15, 1.5]
    assert z.tolist() == [0xFEDCBA98 * 0x12345678 >> 32, 8 + 100 * 4 + 10000 * 24]


def test_places_of_threads_and_blocks_in_three_dimensions(examples: Module) -> None:
    y = np.full((2 * 3 * 2, 4 * 3 * 2), -1, np.int32)
    run(examples, "places", (2, 3, 2), (4, 3, 2), y, np.int32(24))
    np.testing.assert_array_equal(y, 10000 * np.arange(12)[:, None] + np.arange(24))


def test_some_blocks_only(examples: Module) -> None:
    y = np.full((10, 8), -1, np.int32)
    with planned(first=3, count=4):
        run(examples, "places", 10, 8, y, np.int32(8))
    assert (y >= 0).all(1).tolist() == [False] * 3 + [True] * 4 + [False] * 3


@pytest.mark.parametrize("grid", [1, 2, 4, 50])
def test_each_element_is_visited_once_by_any_number_of_blocks(examples: Module, grid: int) -> None:
    visits = np.zeros(1000, np.int32)
    run(examples, "count_visits", grid, 256, visits[:990], np.int64(990))
    assert visits.tolist() == [1] * 990 + [0] * 10


def test_impossible_launches_raise(examples: Module) -> None:
    y = np.zeros(4, np.int32)
    for grid, block, message in [
        (1, 1025, "1 to 1024 threads"),
        (1, (1, 1, 65), "1 to 1024 threads"),
        ((1, 65536), 1, "65535 along y"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(examples, "places", grid, block, y, np.int32(1))
    with pytest.raises(ValueError, match="shared memory"):
        run(examples, "places", 1, 1, y, np.int32(1), shared=1 << 20)


def test_python_threads_take_turns(examples: Module) -> None:
    x, results = numbers(1024), [np.zeros(1024, np.float32) for _ in range(8)]
    threads = [threading.Thread(target=run, args=(examples, "reverse", 1, 1024, x, y)) for y in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for y in results:
        np.testing.assert_array_equal(y, x[::-1])


# ---------------------------------------------------------------------------------------------------------
# Arguments


@pytest.fixture
def bind(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(manifest, "kernels", lambda source: KERNELS)
    return lambda kernel, *arguments: launch.bound_arguments(
        "cuda_examples", kernel, arguments, "float32", False
    )


def test_arguments_become_what_the_kernel_declares(examples: Module, bind: Any) -> None:
    y = np.zeros(10)
    ready = bind(
        "every_type", 200, True, -5, 2**32 - 1, 2**40, 0.1, 0.1, 0.1, None, np.array([False, True]), y
    )
    run(examples, "every_type", 1, 1, *ready)
    tenth = float(np.float32(0.1))
    assert y.tolist() == [200, 1, -5, 2**32 - 1, 2**40, tenth, 0.1, tenth, 1, 1]


def test_arguments_that_do_not_fit_are_named(bind: Any) -> None:
    x, y = np.zeros(4, np.float32), np.zeros(4, np.float32)
    bind("reverse", x, y)
    frozen = y.copy()
    frozen.flags.writeable = False
    bind("reverse", frozen, y)
    for arguments, error, message in [
        ((x,), TypeError, r"takes 2 arguments \(x, y\); got 1"),
        (
            (x, y.astype(np.float64)),
            TypeError,
            r"reverse: y points to real \(float32\); got an array of float64",
        ),
        ((x[::2], y), ValueError, "reverse: x must be C-contiguous"),
        ((x, frozen), ValueError, "reverse: y is written to"),
        ((x, [0, 0]), TypeError, "a NumPy array; got list"),
    ]:
        with pytest.raises(error, match=message):
            bind("reverse", *arguments)
    with pytest.raises(ValueError, match=r"n is 2147483648, more than its type int"):
        bind("sums", x, y, 2**31)
    with pytest.raises(TypeError, match=r"n is an int; got 1.5"):
        bind("sums", x, y, 1.5)
    with pytest.raises(ValueError, match="has no kernel revers; it has reverse"):
        bind("revers", x, y)


def test_new_arrays_are_poisoned() -> None:
    like = np.zeros(1, np.float32)
    assert np.isnan(launch.empty((2, 3), like)).all() and launch.empty(3, like).dtype == np.float32
    assert (launch.empty((2, 3), like, np.int64) != 0).all()
    assert launch.empty((2, 3), like, bool).view(np.uint8).tolist() == [[0xA5] * 3] * 2
    assert launch.empty((), like).shape == () and launch.empty((0, 3), like).size == 0
    assert (launch.zeros((2, 3), like, np.int32) == 0).all()
    assert launch.problem(like) is None


def test_the_examples_in_the_docstrings() -> None:
    from minisegnet.backends.cuda_on_cpu import module

    for described in (module, manifest):
        tried = doctest.testmod(described)
        assert tried.attempted > 0 and tried.failed == 0


# ---------------------------------------------------------------------------------------------------------
# Building


def test_a_mistake_in_a_source_is_shown_with_its_line() -> None:
    code = '#line 7 "mine.cu"\nextern "C" __global__ void wrong(float* x) { x[0] = missing; }\n'
    with pytest.raises(RuntimeError, match=r"mine.cu:7.*missing"):
        Module("mine", code, manifest.kernels_in(code), "float")


def test_libraries_are_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path)
    built = []
    compile_really = build._compile
    monkeypatch.setattr(build, "_compile", lambda *a: (built.append(1), compile_really(*a)))
    text = 'extern "C" int answer() { return 42; }'
    assert build.library(text).answer() == 42
    assert build.library(text).answer() == 42
    assert len(built) == 1
    assert build.library(text, ("-O2",)).answer() == 42
    assert build.library(text.replace("42", "43")).answer() == 43
    assert len(built) == 3, "the flags and the text decide"
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".so"] * 3, "nothing else is left"


def test_the_headers_are_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = build._fingerprint("", ["g++"])
    for name in build.HEADERS:
        (tmp_path / name).write_text("other", encoding="utf-8")
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    assert build._fingerprint("", ["g++"]) != before


def test_processes_that_build_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from minisegnet import ops\n"
        "with ops.use_backend('cuda-on-cpu'): print(ops.relu(np.array([-1.0, 2.0])))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    start = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=300)[0].strip() for process in start] == ["[0. 2.]"] * 2
    left = list((tmp_path / "minisegnet" / "cuda-on-cpu").iterdir())
    assert len(left) == 1 and left[0].suffix == ".so"


def test_a_cache_that_others_can_write_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Libraries are loaded and run: one that somebody else put there would run with this user's rights."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    find = build.cache_folder.__wrapped__
    usual = tmp_path / "minisegnet" / "cuda-on-cpu"
    assert find() == usual
    usual.chmod(0o777)
    assert find().parent == tmp_path / "temporary"


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "apt install g++" in str(build.why_not())
    with pytest.raises(RuntimeError, match="needs the compiler g"):
        build.library("")


def test_a_library_is_closed_in_itself() -> None:
    """Two libraries with functions of the same names each call their own."""
    codes = [f'extern "C" __global__ void same(int* y) {{ y[0] = {n}; }}' for n in (1, 2)]
    modules = [Module("same", code, manifest.kernels_in(code), "float") for code in codes]
    for value, module in enumerate(modules, 1):
        y = np.zeros(1, np.int32)
        run(module, "same", 1, 1, y)
        assert y[0] == value
    assert isinstance(modules[0].library, ctypes.CDLL)
