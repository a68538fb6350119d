"""The marker: what is right passes, however it is written; what is wrong is shown small, and named where it is sure."""

import functools
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minisegnet import ops, use_backend
from minisegnet.backends.numpy import conv as numpy_conv
from minisegnet.marking import calling
from minisegnet.marking.calling import Direct, Number, Strange, perform
from minisegnet.marking.cases import FAMILIES, cases
from minisegnet.marking.compare import equal
from minisegnet.marking.contract import LESSONS, RESULTS, contract
from minisegnet.marking.drawing import blocks, number, side_by_side
from minisegnet.marking.judge import judge
from minisegnet.marking.numeric import derivative, forward_of
from minisegnet.marking.report import Report
from minisegnet.marking.text import as_dict, as_text
from minisegnet.marking.wire import receive, send


def verdict_of(function, op=None):
    op = op or function.__name__
    return judge(Direct({op: function}, __file__), op)


# ---------------------------------------------------------------------------------------------------------
# What is right passes


@pytest.mark.parametrize("op", RESULTS)
def test_the_numpy_backend_passes(op):
    with use_backend("numpy"):
        found = verdict_of(getattr(ops, op), op)
    assert (found.status, found.failure, found.missing, found.advice) == ("pass", None, (), ())
    assert found.tried >= 40


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_the_other_backends_pass(backend):
    """On numba those of the lessons: it compiles each kernel anew for every rank and dtype, minutes for all."""
    lessons = {op for names in LESSONS.values() for op in names}
    with use_backend(backend):
        for op in RESULTS if backend == "reference" else sorted(lessons):
            assert verdict_of(getattr(ops, op), op).status == "pass", op


def test_bare_kernels_which_take_pairs_only_pass_and_it_is_told():
    for op in ("conv2d", "conv2d_backward", "conv_transpose2d", "conv_transpose2d_backward"):
        found = verdict_of(getattr(numpy_conv, op), op)
        assert found.status == "pass"
        assert found.missing == ("one number for height and width, such as stride=2 (only pairs are taken)",)


class Labelled(np.ndarray):
    """A subclass of arrays, as some libraries return."""


def fft(x, w):
    size = x.shape[2] + w.shape[2] - 1, x.shape[3] + w.shape[3] - 1
    product = np.einsum("nchw,kchw->nkhw", np.fft.rfft2(x, size), np.fft.rfft2(w[:, :, ::-1, ::-1], size))
    y = np.fft.irfft2(product, size)[:, :, w.shape[2] - 1 : x.shape[2], w.shape[3] - 1 : x.shape[3]]
    return y.astype(x.dtype)


def windows(x, w, b=None, *, stride=1, padding=0, dilation=1):
    (sh, sw), (ph, pw), (dh, dw) = (np.broadcast_to(v, 2) for v in (stride, padding, dilation))
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    reach = dh * (w.shape[2] - 1) + 1, dw * (w.shape[3] - 1) + 1
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))[:, :, ::sh, ::sw, ::dh, ::dw]
    y = np.einsum("ncxyij,kcij->nkxy", seen, w)
    return y if b is None else y + b[:, None, None]


def matrix(x, w):
    """A convolution as one large matrix, made by convolving a basis; summed the other way round."""
    N, C, H, W = x.shape
    basis = np.eye(C * H * W, dtype=x.dtype).reshape(-1, C, H, W)
    columns = windows(basis, w)
    return (x.reshape(N, C * H * W)[:, ::-1] @ columns.reshape(C * H * W, -1)[::-1]).reshape(
        N, *columns.shape[1:]
    )


def fortran(x, w):
    return np.asfortranarray(windows(x, w))


def subclass(x, w, b=None):
    return windows(x, w, b).view(Labelled)


def everything(*arguments, **options):
    return ops.conv2d(*arguments, **options)


def positional_bias_by_name(x, w, *, b=None):
    return windows(x, w, b)


@pytest.mark.parametrize(
    "function", [fft, windows, matrix, fortran, subclass, everything, positional_bias_by_name]
)
def test_unusual_convolutions_pass(function):
    with use_backend("numpy"):
        assert verdict_of(function, "conv2d").status == "pass"


def scatter(x, w, b=None, *, stride=1, padding=0):
    (sh, sw), (ph, pw) = np.broadcast_to(stride, 2), np.broadcast_to(padding, 2)
    (N, _, H, W), (K, KH, KW) = x.shape, w.shape[1:]
    y = np.zeros((N, K, (H - 1) * sh + KH, (W - 1) * sw + KW), x.dtype)
    places = np.ogrid[:N, :K, :H, :W]
    for i, j in np.ndindex(KH, KW):
        index = places[0], places[1], places[2] * sh + i, places[3] * sw + j
        np.add.at(y, index, np.einsum("nchw,ck->nkhw", x, w[:, :, i, j]))
    y = y[:, :, ph : y.shape[2] - ph, pw : y.shape[3] - pw]
    return y.copy() if b is None else y + b[:, None, None]


def log_softmax_by_logaddexp(x, axis=1):
    return x - np.logaddexp.reduce(x, axis=axis, keepdims=True)


def backward_by_transposed(dy, x, w):
    dx = scatter(dy, w)
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return [dx, np.tensordot(dy, seen, ((0, 2, 3), (0, 2, 3))), np.add.reduce(dy, axis=(0, 2, 3))]


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (scatter, "conv_transpose2d"),
        (log_softmax_by_logaddexp, "log_softmax"),
        (backward_by_transposed, "conv2d_backward"),
        (functools.partial(np.maximum, 0), "relu"),
        (lambda a, b: np.add(b, a), "add"),
        (np.add, "add"),
        (lambda x, w, b=None: x @ w.T + (0 if b is None else b), "linear"),
        (lambda logits, target: ops.bce_with_logits(logits, target)[()], "bce_with_logits"),  # a NumPy number
    ],
)
def test_other_unusual_solutions_pass(function, op):
    with use_backend("numpy"):
        found = verdict_of(function, op)
    assert found.status == "pass", found.failure


# ---------------------------------------------------------------------------------------------------------
# What the signature takes


def test_options_that_are_not_there_yet_are_told_and_not_marked():
    found = verdict_of(lambda x, w: windows(x, w), "conv2d")
    assert found.status == "pass" and found.missing == ("b", "stride", "padding", "dilation", "groups")


def test_results_that_are_not_there_yet_are_told():
    with use_backend("numpy"):
        found = verdict_of(lambda x, kernel_size: ops.max_pool2d(x, kernel_size)[0], "max_pool2d")
    assert found.status == "pass" and found.missing[-1] == "the result indices"


def test_pairs_that_are_not_taken_yet_are_told():
    def conv2d(x, w, *, stride=1):
        return windows(x, w)[:, :, ::stride, ::stride].copy()

    found = verdict_of(conv2d)
    assert found.status == "pass" and "(h, w) pairs for stride" in found.missing


def test_a_wrong_default_is_found():
    def conv2d(x, w, *, stride=2):
        return windows(x, w, stride=stride)

    found = verdict_of(conv2d)
    assert found.failure.problem.kind == "shape" and found.failure.call == "conv2d(x, w)"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x, "it takes no `w`"),
        (lambda x, w, pad: x, "without `pad`"),
        (lambda x, w, *, paddings: x, "did you mean 'padding'?"),
        (lambda w, x: x, "in another order: (w, x)"),
    ],
)
def test_a_signature_that_does_not_fit_is_explained(function, words):
    found = verdict_of(function, "conv2d")
    assert found.status == "fail" and words in found.failure.problem.text
    assert contract("conv2d").signature() in found.failure.problem.text


def test_a_stub_is_not_written_yet():
    def relu(x):
        raise NotImplementedError

    assert verdict_of(relu).status == "unwritten"


# ---------------------------------------------------------------------------------------------------------
# What is wrong is shown small


def test_the_smallest_case_is_found_and_told_in_small_whole_numbers():
    failure = verdict_of(lambda x, w: windows(x, w[:, :, ::-1, ::-1]), "conv2d").failure
    assert [array.shape for _, array in failure.arrays] == [(1, 1, 1, 2), (1, 1, 1, 2)]
    assert all(array.tolist() == [[[[1.0, 2.0]]]] for _, array in failure.arrays)
    assert failure.call == "conv2d(x, w)"


def test_a_mistake_that_nobody_knows_is_not_named():
    def conv2d(x, w, *, stride=1, padding=0):
        y = windows(x, w, stride=stride, padding=padding)
        y[..., -1, -1] += 0.125
        return y

    failure = verdict_of(conv2d).failure
    assert (failure.mistake, failure.hint) == ("", "")
    assert "In every failing case all wrong entries lie in the last row." in failure.evidence


@pytest.mark.parametrize(
    ("function", "op", "words"),
    [
        (lambda x: -ops.sigmoid(x), "sigmoid", "opposite sign everywhere"),
        (lambda x: ops.relu(x) * 3, "relu", "3 times what it should be"),
        (lambda x: np.zeros_like(x), "relu", "all zeros"),
        (lambda x: x.sum(axis=(2, 3), keepdims=True), "global_avg_pool2d", "divide by H * W"),
        (lambda x, size: ops.resize_nearest(x, size)[..., ::-1], "resize_nearest", "but mirrored"),
        (lambda x: ops.relu(x).astype(np.float64), "relu", "np.zeros(shape, x.dtype)"),
        (lambda x: ops.relu(x).astype(np.float32), "relu", "half of the digits are lost"),
        (lambda x: ops.relu(x).astype(int), "relu", ""),
        (lambda x: list(ops.relu(x)), "relu", "np.array(list)"),
        (lambda x: (ops.relu(x), x), "relu", "return the array alone"),
        (lambda x: None, "relu", "`return` missing"),
        (lambda a, b: a, "add", "your y is a unchanged"),
        (lambda dy, x, w: (dy @ w, dy.sum(0), dy.T @ x), "linear_backward", ""),
        (lambda x: np.where(np.isnan(x), 0, ops.relu(np.nan_to_num(x))), "relu", "a NaN must come through"),
        (lambda x: np.random.default_rng().random(x.shape), "relu", "draw random numbers"),
    ],
)  # fmt: skip
def test_what_can_be_seen_is_said(function, op, words):
    with use_backend("numpy"), np.errstate(all="ignore"):
        found = verdict_of(function, op)
    assert found.status == "fail"
    assert words in found.failure.hint


def test_a_changed_argument_is_found_and_named():
    def relu(x):
        x[x < 0] = 0
        return x.copy()

    failure = verdict_of(relu).failure
    assert failure.problem.kind == "changed" and "work on a copy" in failure.hint


def test_memory_between_calls_is_found():
    kept = {}

    def add(a, b):
        return kept.setdefault(a.shape, a + b).copy()

    assert verdict_of(add).status == "fail"


def test_a_view_of_an_argument_is_advised_against_only():
    found = verdict_of(lambda x, size: x[:, :, *(slice((H - h) // 2, (H - h) // 2 + h) for H, h in
                       zip(x.shape[2:], np.broadcast_to(size, 2), strict=True))], "crop2d")  # fmt: skip
    assert found.status == "pass" and "Return a copy" in found.advice[0]


def test_an_error_shows_the_case_and_the_line():
    def add(a, b):
        return a[5]

    failure = verdict_of(add).failure
    assert failure.problem.text.startswith("it raises IndexError")
    assert "return a[5]" in failure.where and [v.shape for _, v in failure.arrays] == [(1,), (1,)]


def test_two_mistakes_are_told_one_after_the_other():
    """A suspect that explains the small case but not all is named, and that there is more is said."""

    def conv2d_backward(dy, x, w):
        dx, dw, db = backward_by_transposed(dy, x, w[:, :, ::-1, ::-1])
        return dx, dw, db * 2

    failure = verdict_of(conv2d_backward).failure
    assert failure.mistake in ("conv2d_backward.dx-flip", "") and failure.problem.output in ("dx", "db")


def test_a_wrong_gradient_has_a_second_witness():
    failure = verdict_of(lambda dy, x, w: (dy @ w * 2, dy.T @ x, dy.sum(axis=0)), "linear_backward").failure
    assert any("nudge x[0, 0]" in line for line in failure.evidence)
    assert "Right in every case: dw, db." in failure.evidence


@pytest.mark.parametrize("op", [op for op in RESULTS if op.endswith("_backward")])
def test_the_second_witness_agrees_with_the_reference(op):
    """Numerical derivatives of the forward, which know nothing of the reference's backward."""
    checked = 0
    for case in cases(op)[:12]:
        forward = forward_of(case)
        if forward is None:
            continue
        for output in forward.outputs:
            right = case.expected()[RESULTS[op].index(output)]
            for index in list(np.ndindex(*right.shape))[:3]:
                assert derivative(case, output, index) == pytest.approx(right[index], rel=1e-5, abs=1e-6)
                checked += 1
    without = {
        "max_pool2d",
        "roi_pool",
        "relu",
        "leaky_relu",
        "conv2d_relu",
        "batch_norm_relu",
        "concat",
        "add",
        "softmax_cross_entropy",
        "dropout",
    }
    assert checked > 3 or op.removesuffix("_backward") in without


# ---------------------------------------------------------------------------------------------------------
# Contract and cases


def test_every_op_of_a_lesson_can_be_marked():
    assert {op for names in LESSONS.values() for op in names} <= set(RESULTS)
    assert set(FAMILIES) == set(RESULTS)
    unmarked = {"dropout"}  # its bits are drawn by a generator of our own
    public = {op for op in ops.__all__ if callable(getattr(ops, op)) and op.islower()}
    others = {"current_backend", "exact_convolutions", "to_backend", "to_numpy", "use_backend", "why_not"}
    assert public - others - unmarked == set(RESULTS)


@pytest.mark.parametrize("op", RESULTS)
def test_cases_go_through_sizes_options_layouts_and_dtypes(op):
    found = cases(op)
    assert {c.layout for c in found} >= {"plain", "read-only", "every second", "transposed", "backwards"}
    assert {c.dtype for c in found} == {"float64", "float32"}
    for name, default in contract(op).defaults.items():
        if name not in ("momentum", "eps", "slope") or op == "batch_norm":
            assert any(c.arguments()[name] is not default for c in found), name
    batch = FAMILIES[op].batch
    assert not batch or any(c.sizes[batch] == 0 for c in found)


# ---------------------------------------------------------------------------------------------------------
# One call, one message, one drawing


@pytest.mark.parametrize("layout", calling.LAYOUTS)
def test_layouts_keep_the_values(layout):
    seen = []
    x = np.arange(12.0).reshape(3, 4)
    perform(lambda a: seen.append(a), [x], {}, ["a"], layout, "")
    assert np.array_equal(seen[0], x) and seen[0].flags.writeable == (layout != "read-only")
    assert seen[0].flags.c_contiguous == (layout in ("plain", "read-only"))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.text(max_size=5),
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, bool]), hnp.array_shapes(min_dims=0, min_side=0)
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), st.one_of(VALUES, st.lists(VALUES, max_size=3))))
def test_messages_arrive_as_they_were_sent(message):
    stream = io.BytesIO()
    send(stream, message)
    stream.seek(0)
    found = receive(stream)
    assert repr(found) == repr(message)


def test_numbers_strange_things_and_large_arrays_are_told_apart():
    stream = io.BytesIO()
    send(stream, {"a": Number(np.array(1.5), "python"), "b": Strange("set", "{1}"), "c": np.zeros(2**23)})
    stream.seek(0)
    found = receive(stream)
    assert (found["a"].kind, float(found["a"].value), found["b"]) == ("python", 1.5, Strange("set", "{1}"))
    assert found["c"] == Strange("array of shape (8388608,)", "")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_what_is_no_message_is_none(data):
    assert receive(io.BytesIO(data)) is None
    assert receive(io.BytesIO(len(data).to_bytes(8, "little") + data)) is None


def test_wrong_entries_stand_between_stars_and_columns_are_aligned():
    array = np.array([[1.0, -20.5], [np.nan, 3.0]])
    assert blocks("y", array, array == 3) == [["y (2, 2)", "      1  -20.5 ", "    nan     *3*"]]
    assert number(np.float64(1 / 3)) == "0.3333" and number(np.bool_(True)) == "True"


def test_large_arrays_are_drawn_in_part():
    lines = side_by_side(blocks("x", np.zeros((3, 4, 30, 30))))
    assert len(lines) < 30 and any("more maps" in line for line in lines)
    assert max(len(line) for line in lines) <= 100


def test_reports_of_every_kind_can_be_told_and_written():
    """NaN, empty arrays and 0-d ones, too; JSON has no NaN of its own."""
    for function, op in (
        (lambda x: np.where(x > 0, x, 0).astype(x.dtype), "relu"),
        (lambda logits, target: np.array(np.nan), "bce_with_logits"),
        (lambda boxes, scores, iou_threshold: np.zeros(0, int), "nms"),
        (lambda arrays: arrays[0], "concat"),
        (lambda x: None, "relu"),
    ):
        with np.errstate(all="ignore"):
            report = Report("mine.py", None, (verdict_of(function, op),))
        text = as_text(report)
        assert op in text and max(len(line) for line in text.splitlines()) <= 110
        json.loads(json.dumps(as_dict(report), allow_nan=False))


def test_equal_means_but_for_rounding():
    right = np.array([1.0, np.nan, np.inf])
    assert equal(right + 1e-12, right) and not equal(right + 1e-3, right)
    assert not equal(np.array([1.0, np.nan, -np.inf]), right) and not equal(right[:2], right)
    assert not equal(np.array([1.0, 0.0, np.inf]), right)
