"""What a newcomer's first tries are answered: the plainest failing case, and a word that leads on."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from minisegnet.marking.calling import Direct
from minisegnet.marking.judge import judge
from minisegnet.marking.report import Report
from minisegnet.marking.text import as_text

FOLDER = Path(__file__).parent / "mistakes_newcomer"

# The file, its function, and what the answer must say.
FILES = {
    "pool_ties_before_ceil_mode": ("max_pool2d", "Is there a `>=` where `>` should be?"),
    "conv_dtype_before_groups": ("conv2d", "float32 goes in and float64 comes out"),
    "conv_groups_not_done": ("conv2d", "Not done yet? Delete `groups` from the function's first line"),
    "conv_one_picture": ("conv2d", "x has four axes, (N, C, H, W): a batch of N pictures"),
    "pool_one_map": ("max_pool2d", "x has four axes, (N, C, H, W): a batch of N pictures"),
    "conv_bias_always": ("conv2d", "b may be None: then no bias is added"),
    "linear_bias_always": ("linear", "b may be None: then no bias is added"),
    "conv_groups_index": ("conv2d", "filter k sees only C // groups channels of x"),
    "conv_backward_cut_of_nothing": ("conv2d_backward", "a[p:-p] is empty for p = 0"),
    "avg_backward_cut_of_nothing": ("avg_pool2d_backward", "a[p:-p] is empty for p = 0"),
    "conv_backward_two_results": ("conv2d_backward", "2 came where 3 are expected: dx, dw, db"),
    "linear_backward_two_results": ("linear_backward", "what you return as dw is db: are the results in"),
    "conv_bias_broadcast": ("conv2d", "b[:, None, None] lies beside (N, K, OH, OW)"),
    "transposed_bias_broadcast": ("conv_transpose2d", "b[:, None, None] lies beside (N, K, OH, OW)"),
    "batch_norm_first_axis": ("batch_norm", "it has the shape of x.mean(axis=0)"),
    "batch_norm_kept_axes": ("batch_norm", "is it a keepdims=True? `.reshape(-1)` makes one axis"),
    "unpool_backward_empty_reshape": ("max_unpool2d_backward", "write the length itself"),
    "transposed_filter_axes": (
        "conv_transpose2d",
        "w is (C, K // groups, KH, KW): the input's channels first",
    ),
}


def verdict_of(name):
    """Mark a learner's file in this process, for speed."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    op = FILES[name][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # learners' files overflow and divide by zero
        verdict = judge(Direct({op: getattr(module, op)}), op)
    assert verdict.status == "fail"
    return verdict


@pytest.mark.parametrize("name", FILES)
def test_the_answer_leads_on(name):
    text = " ".join(as_text(Report(name, verdicts=(verdict_of(name),))).split())
    assert FILES[name][1] in text


def test_a_backward_that_takes_its_size_as_a_pair_only_passes_and_it_is_told():
    def max_pool2d_backward(dy, indices, input_size):
        dx = np.zeros((*dy.shape[:2], input_size[0] * input_size[1]), dy.dtype)
        for n, c, i, j in np.ndindex(dy.shape):
            dx[n, c, indices[n, c, i, j]] += dy[n, c, i, j]
        return dx.reshape(*dy.shape[:2], *input_size)

    verdict = judge(Direct({"max_pool2d_backward": max_pool2d_backward}), "max_pool2d_backward")
    assert verdict.status == "pass"
    assert any("only pairs are taken" in missing for missing in verdict.missing)


def hint_of(function, op):
    return judge(Direct({op: function}), op).failure.hint


def test_what_the_cases_do_not_show_is_not_said():
    """An error of the same kind with another cause gets no hint on None, groups, the bias or the batch's axis."""
    nothing = None

    def always_none(x, w, b=None):
        return nothing[0]

    def always_outside(x, w, b=None, *, groups=1):
        return x[..., 99]

    def never_fits(x, w, b=None):
        return np.ones((2, 3)) + np.ones((4, 5))

    def wrong_helper(x, w, b=None):
        first, _ = "abc"
        return first

    assert hint_of(always_none, "conv2d") == ""
    assert hint_of(always_outside, "conv2d").startswith("an index lies outside of its array. Print")
    assert hint_of(never_fits, "conv2d") == ""
    assert "If it is x.shape that this line takes apart" in hint_of(wrong_helper, "conv2d")


def test_exchanged_axes_are_not_called_kept_ones():
    def conv2d(x, w):
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        return np.einsum("nchwij,kcij->knhw", windows, w)

    assert "keepdims" not in hint_of(conv2d, "conv2d")


def test_an_option_with_a_mistake_of_its_own_is_not_called_undone():
    def conv2d(x, w, *, padding=0):  # zeros above and to the left only
        ph, pw = np.broadcast_to(padding, 2)
        x = np.pad(x, ((0, 0), (0, 0), (2 * ph, 0), (2 * pw, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        return np.einsum("nchwij,kcij->nkhw", windows, w)

    failure = judge(Direct({"conv2d": conv2d}), "conv2d").failure
    assert failure.mistake == "conv2d.padding-one-side"
    assert not any("Not done yet" in line for line in failure.evidence)


def test_every_file_is_marked():
    assert sorted(FILES) == sorted(path.stem for path in FOLDER.glob("*.py"))
