"""Every op x backend x dtype: equal to the reference, right gradients, clean manners. Driven by op_table."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from op_table import CPU_BACKENDS, TABLE, Call, examples

from minisegnet import ops
from minisegnet.testing import check_vjp

OPS = sorted(TABLE)
DIFFERENTIABLE = [op for op in OPS if TABLE[op].backward_name]
DTYPES = [np.float64, np.float32]
NOT_OPS = {
    "BACKENDS",
    "current_backend",
    "exact_convolutions",
    "to_backend",
    "to_numpy",
    "use_backend",
    "why_not",
}


# On the GPU, too, where there is one; one test says so where there is none, instead of hundreds.
BACKENDS_HERE = CPU_BACKENDS if ops.why_not("cupy") else (*CPU_BACKENDS, "cupy")


@pytest.fixture(params=BACKENDS_HERE)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    reason = ops.why_not(request.param)
    if reason:
        pytest.skip(reason)
    return str(request.param)


def tolerance(dtype: Any) -> float:
    return 1e-10 if dtype == np.float64 else 2e-5


def assert_close(actual: Any, expected: Any, tol: float, what: str) -> None:
    """Compare within ``tol`` of the largest magnitude; integers, bools, NaN and infinity exactly."""
    if expected is None:
        assert actual is None, what
        return
    assert isinstance(actual, np.ndarray), f"{what}: {type(actual)} is no array"
    assert actual.dtype == expected.dtype, what
    assert actual.shape == expected.shape, what
    if expected.dtype.kind in "iub":
        np.testing.assert_array_equal(actual, expected, err_msg=what)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=what)
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0)))
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=0, atol=tol * scale, err_msg=what)


def cotangent(y: Any, seed: int = 7) -> Any:
    """A random upstream gradient: never ones, which hide too much."""
    return np.asarray(np.random.default_rng(seed).standard_normal(y.shape), y.dtype)


def run(call: Call, backend: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    with ops.use_backend(backend):
        outputs = call.outputs()
        if not call.wrt:
            return outputs, ()
        return outputs, call.gradients(cotangent(outputs[0]), outputs)


# ---------------------------------------------------------------------------------------------------------
# The table is complete


def test_every_public_op_is_in_the_table() -> None:
    forwards = set(TABLE)
    backwards = {row.backward_name for row in TABLE.values() if row.backward_name}
    public = set(ops.__all__) - NOT_OPS
    assert public - forwards - backwards == set(), "public ops that no test draws"
    assert (forwards | backwards) - public == set(), "the table names ops that aren't public"


def test_every_backend_has_every_kernel(backend: str) -> None:
    module = import_module(f"minisegnet.backends.{backend.replace('-', '_')}")
    missing = [op for op in ops.__all__ if op not in NOT_OPS and not hasattr(module, op)]
    assert missing == []


# ---------------------------------------------------------------------------------------------------------
# Right numbers


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("op", OPS)
def test_equals_the_reference(op: str, backend: str, dtype: Any) -> None:
    if backend == "reference":  # compared with itself in the layout test below; here it would show nothing
        backend = "numpy"

    @settings(max_examples=examples(25, backend))
    @given(TABLE[op].calls(dtype, False))
    def check(call: Call) -> None:
        expected_outputs, expected_gradients = run(call, "reference")
        outputs, gradients = run(call, backend)
        for i, (actual, expected) in enumerate(zip(outputs, expected_outputs, strict=True)):
            assert_close(actual, expected, tolerance(dtype), f"{op} on {backend}: output {i}")
        for i, (actual, expected) in enumerate(zip(gradients, expected_gradients, strict=True)):
            assert_close(actual, expected, tolerance(dtype), f"{op} on {backend}: gradient {i}")

    check()


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_gradients_equal_numerical_ones(op: str, backend: str) -> None:
    @settings(max_examples=examples(8, backend))
    @given(TABLE[op].calls(np.float64, True))
    def check(call: Call) -> None:
        def forward(*inputs: Any) -> Any:
            return call.outputs(call.with_inputs(inputs))[0]

        def backward(dy: Any, *inputs: Any) -> Any:
            args = call.with_inputs(inputs)
            return call.gradients(dy, call.outputs(args), args)

        with ops.use_backend(backend):
            check_vjp(forward, backward, *call.inputs())

    check()


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_float32_gradients_are_near_float64_ones(op: str, backend: str) -> None:
    @settings(max_examples=examples(8, backend))
    @given(TABLE[op].calls(np.float32, True))
    def check(call: Call) -> None:
        wide = Call(op, widen(call.args), {k: widen(v) for k, v in call.kwargs.items()}, call.wrt)
        with ops.use_backend(backend):
            outputs, wide_outputs = call.outputs(), wide.outputs()
            dy = cotangent(outputs[0])
            gradients = call.gradients(dy, outputs)
            expected = wide.gradients(dy.astype(np.float64), wide_outputs)
        for i, (actual, exact) in enumerate(zip(gradients, expected, strict=True)):
            assert actual.dtype == np.float32
            assert_close(actual.astype(np.float64), exact, 1e-4, f"{op} on {backend}: gradient {i}")

    check()


def widen(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(widen(v) for v in value)
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


# ---------------------------------------------------------------------------------------------------------
# Clean manners


def strided(a: Any) -> Any:
    """The same values in another memory layout: axes in reverse order, every second element, backwards."""
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:0:-1], 2 * a.shape[0]), a.dtype).T
    view = wide[::2][::-1]
    view[...] = a
    return view


def frozen(a: Any) -> Any:
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def mapped(value: Any, change: Any) -> Any:
    if isinstance(value, tuple | list) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(mapped(v, change) for v in value)
    return change(value) if isinstance(value, np.ndarray) else value


def relaid(call: Call, change: Any) -> Call:
    return Call(
        call.op, mapped(call.args, change), {k: mapped(v, change) for k, v in call.kwargs.items()}, call.wrt
    )


@pytest.mark.parametrize("op", OPS)
def test_any_layout_gives_the_same_and_arguments_stay_as_they_were(op: str, backend: str) -> None:
    @settings(max_examples=examples(8, backend))
    @given(TABLE[op].calls(np.float64, False))
    def check(call: Call) -> None:
        before = relaid(call, np.copy)
        expected_outputs, expected_gradients = run(call, backend)
        for change in (strided, frozen):
            other = relaid(call, change)
            with ops.use_backend(backend):
                outputs = other.outputs()
                found = (
                    other.gradients(change(cotangent(outputs[0])), mapped(outputs, change))
                    if call.wrt
                    else ()
                )
            for actual, expected in zip(
                (*outputs, *found), (*expected_outputs, *expected_gradients), strict=True
            ):
                np.testing.assert_array_equal(actual, expected)
        for was, now in zip(leaves(before), leaves(call), strict=True):
            np.testing.assert_array_equal(was, now, err_msg=f"{op} on {backend} changed an argument")

    check()


def leaves(call: Call) -> list[Any]:
    found = []
    for value in (*call.args, *call.kwargs.values()):
        found += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, np.ndarray)]
    return found


@pytest.mark.parametrize("op", OPS)
def test_results_are_fresh_contiguous_arrays(op: str, backend: str) -> None:
    @settings(max_examples=examples(8, backend))
    @given(TABLE[op].calls(np.float64, False))
    def check(call: Call) -> None:
        outputs, gradients = run(call, backend)
        if op in ("batch_norm", "batch_norm_relu") and not call.kwargs["training"]:
            outputs = outputs[:1]  # evaluation hands the running statistics back as they came
        results = [a for a in (*outputs, *gradients) if a is not None]
        for i, a in enumerate(results):
            assert type(a) is np.ndarray
            assert a.flags.c_contiguous and a.flags.writeable, f"result {i} of {op} on {backend}"
            for other in (*leaves(call), *results[:i]):
                assert not np.shares_memory(a, other), f"result {i} of {op} on {backend} is no fresh array"

    check()


@pytest.mark.parametrize("op", OPS)
def test_empty_batches_give_empty_results(op: str, backend: str) -> None:
    """Hypothesis draws batch 0 now and then; this makes sure of it for every op that has a batch."""
    without_batch = {"nms", "bce_with_logits"}

    def is_empty(call: Call) -> bool:
        return any(a.size == 0 for a in leaves(call))

    @settings(max_examples=examples(3, backend))
    @given(TABLE[op].calls(np.float64, False).filter(is_empty))
    def check(call: Call) -> None:
        outputs, gradients = run(call, backend)
        for a in (*outputs, *gradients):
            assert a is None or np.isfinite(a).all()
        if op not in without_batch and op != "concat" and op != "roi_pool" and op != "roi_align":
            reduced = op == "softmax_cross_entropy" and call.kwargs["reduction"] != "none"
            assert outputs[0].size == 0 or (reduced and outputs[0] == 0)

    check()


# ---------------------------------------------------------------------------------------------------------
# Backends side by side


def test_each_backend_is_used(backend: str) -> None:
    with ops.use_backend(backend):
        assert ops.current_backend() == backend


@pytest.mark.skipif(ops.why_not("cupy") is not None, reason=f"cupy: {ops.why_not('cupy')}")
def test_cupy_is_among_the_backends() -> None:
    assert "cupy" in BACKENDS_HERE


def test_the_table_names_the_backends() -> None:
    assert set(CPU_BACKENDS) <= set(ops.BACKENDS)
