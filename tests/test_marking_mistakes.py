"""Each typical mistake is recognised in two files that are written differently, by what they answer alone."""

import ast
import importlib.util
import json
import warnings
from pathlib import Path

import pytest

from minisegnet.cli import main
from minisegnet.marking.calling import Direct
from minisegnet.marking.cases import cases
from minisegnet.marking.compare import equal, result_names
from minisegnet.marking.judge import judge
from minisegnet.marking.suspects import SUSPECTS

FOLDER = Path(__file__).parent / "mistakes"

# The mistake, and the files that make it. The function is the id's first word.
MISTAKES = {
    "conv2d.flipped": ("conv_flipped_loops", "conv_flipped_fft"),
    "conv2d.stride-dilation-swapped": (
        "conv_swapped_stride_dilation_loops",
        "conv_swapped_stride_dilation_windows",
    ),
    "conv2d.channels-overwritten": ("conv_last_channel_loops", "conv_last_channel_shifts"),
    "conv2d.padding-one-side": ("conv_padding_top_left", "conv_padding_bottom_right"),
    "conv2d.padding-wraps": ("conv_padding_wraps_loops", "conv_padding_wraps_roll", "conv_negative_row"),
    "conv2d_backward.padding-wraps": ("conv_backward_negative_row", "conv_backward_negative_row_dw"),
    "conv2d_backward.db-overwritten": ("conv_backward_db_last", "conv_backward_db_last_place"),
    "conv_transpose2d.padding-wraps": ("transposed_negative_row", "transposed_negative_row_taps"),
    "max_pool2d.starts-at-zero": ("pool_starts_at_zero", "pool_starts_at_zero_windows"),
    "conv2d.bias-many-times": ("conv_bias_in_loop", "conv_bias_per_channel"),
    "conv2d.groups-ignored": ("conv_groups_first", "conv_groups_loops"),
    "conv2d.stride-swapped": ("conv_stride_swapped_loops", "conv_stride_swapped_windows"),
    "conv2d_backward.dx-flip": ("conv_backward_flip_full", "conv_backward_flip_loops"),
    "conv2d_backward.dx-overwritten": ("conv_backward_overwritten_windows", "conv_backward_overwritten_taps"),
    "conv2d_backward.dx-padding-ignored": ("conv_backward_padding_kept", "conv_backward_padding_in_index"),
    "conv2d_backward.dw-one-picture": ("conv_backward_dw_last_picture", "conv_backward_dw_first_picture"),
    "conv2d_backward.db-axes": ("conv_backward_db_batch", "conv_backward_db_places"),
    "conv2d_backward.dw-mean": ("conv_backward_mean", "conv_backward_mean_loops"),
    "linear_backward.db-mean": ("linear_db_mean", "linear_db_mean_loops"),
    "linear_backward.dw-transposed": ("linear_dw_transposed", "linear_dw_transposed_outer"),
    "relu_backward.passes-everywhere": ("relu_backward_at_least", "relu_backward_untouched"),
    "relu.nan-hidden": ("relu_nan_where", "relu_nan_loops"),
    "max_pool2d.padding-zero": ("pool_zero_padding_loops", "pool_zero_padding_windows"),
    "max_pool2d.last-maximum": ("pool_last_maximum_loops", "pool_last_maximum_argmax"),
    "max_pool2d.index-padded-width": ("pool_padded_index_loops", "pool_padded_index_windows"),
    "max_pool2d.index-wide": ("pool_padded_index_shift", "pool_padded_index_shift_windows"),
    "max_pool2d.index-row-not-shifted": ("pool_row_not_shifted", "pool_row_not_shifted_windows"),
    "max_pool2d.index-in-window": ("pool_window_index_loops", "pool_window_index_reshape"),
    "max_pool2d.nan-hidden": ("pool_nan_hidden_loops", "pool_nan_hidden_fmax"),
    "max_pool2d_backward.overwritten": ("pool_backward_assigned", "pool_backward_buffered"),
    "max_unpool2d.adds": ("unpool_adds_loops", "unpool_adds_at"),
    "avg_pool2d_backward.no-division": ("avg_backward_whole", "avg_backward_whole_repeat"),
    "avg_pool2d.count_include_pad-inverted": ("avg_counts_padding_not", "avg_counts_padding_not_windows"),
    "global_avg_pool2d.axes": ("global_pool_axes", "global_pool_axes_loops"),
    "conv_transpose2d.overwritten": ("transposed_overwritten_loops", "transposed_overwritten_taps"),
    "conv_transpose2d.flipped": ("transposed_flipped_zeros", "transposed_flipped_paint"),
    "resize_bilinear.half-pixel-forgotten": ("bilinear_no_half_pixel_loops", "bilinear_no_half_pixel_matrix"),
    "resize_bilinear.border-not-clamped": ("bilinear_no_clamp_loops", "bilinear_no_clamp_matrix"),
    "resize_bilinear.align_corners-inverted": (
        "bilinear_corners_mixed_up",
        "bilinear_corners_mixed_up_interp",
    ),
    "resize_bilinear_backward.resized-back": (
        "bilinear_backward_resized_back",
        "bilinear_backward_resized_back_loops",
    ),
    "resize_bilinear_backward.overwritten": ("bilinear_backward_overwritten", "bilinear_backward_buffered"),
    "resize_nearest.rounded": ("nearest_rounded", "nearest_rounded_rint"),
    "resize_nearest_backward.overwritten": ("nearest_backward_assigned", "nearest_backward_buffered"),
    "softmax.overflow": ("softmax_overflow", "softmax_overflow_loops"),
    "softmax.wrong-axis": ("softmax_last_axis", "softmax_whole_array"),
    "softmax_backward.diagonal": ("softmax_backward_diagonal", "softmax_backward_diagonal_loops"),
    "softmax_cross_entropy.mean-over-all": ("cross_entropy_over_all", "cross_entropy_over_all_loops"),
    "softmax_cross_entropy_backward.dloss-forgotten": (
        "cross_entropy_backward_no_dloss",
        "cross_entropy_backward_no_dloss_loops",
    ),
    "softmax_cross_entropy_backward.mean-forgotten": (
        "cross_entropy_backward_no_mean",
        "cross_entropy_backward_no_mean_loops",
    ),
    "bce_with_logits.overflow": ("bce_overflow", "bce_overflow_softplus"),
    "batch_norm.unbiased": ("batch_norm_unbiased", "batch_norm_unbiased_loops"),
    "batch_norm.momentum-swapped": ("batch_norm_momentum", "batch_norm_momentum_loops"),
    "batch_norm_backward.constants": ("batch_norm_backward_constants", "batch_norm_backward_constants_loops"),
    "concat.reversed": ("concat_reversed", "concat_reversed_loops"),
    "crop2d.rounded-up": ("crop_rounded_up", "crop_rounded_up_loops"),
    "pad2d.edge-repeated": ("pad_edge_repeated", "pad_edge_repeated_loops"),
    "nms.at-least": ("nms_at_least", "nms_at_least_loops"),
    "nms.ties-last-first": ("nms_ties", "nms_ties_loops"),
    "roi_pool.bankers-rounding": ("roi_bankers", "roi_bankers_rint"),
    "roi_pool_backward.overwritten": ("roi_backward_overwritten", "roi_backward_buffered"),
    "sigmoid_backward.of-x": ("sigmoid_backward_of_x", "sigmoid_backward_of_x_loops"),
    "pad2d_backward.reflections-lost": ("pad_backward_cut", "pad_backward_cut_loops"),
}
FILES = [(name, mistake) for mistake, names in MISTAKES.items() for name in names]
# Written with argmax, which takes the first NaN of a window: a second, rarer mistake, and the marker says so.
TWO_MISTAKES = {
    "pool_padded_index_shift_windows",
    "pool_padded_index_windows",
    "pool_window_index_loops",
    "pool_window_index_reshape",
}
NAMED = {suspect.mistake for suspects in SUSPECTS.values() for suspect in suspects}


def function_of(name, op):
    """Import a learner's file into this process, for speed; the subprocess is tested with the command."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, op)


@pytest.mark.parametrize(("name", "mistake"), FILES, ids=[name for name, _ in FILES])
def test_the_mistake_is_named(name, mistake):
    op = mistake.split(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # learners' files overflow and divide by zero
        verdict = judge(Direct({op: function_of(name, op)}), op)
    assert verdict.status == "fail"
    assert verdict.failure.mistake == mistake
    assert verdict.failure.sure == (name not in TWO_MISTAKES)
    assert verdict.failure.hint and verdict.failure.arrays


def test_each_is_made_twice_in_files_that_do_nothing_else():
    assert len(MISTAKES) >= 50 and set(MISTAKES) <= NAMED
    assert sorted(name for name, _ in FILES) == sorted(path.stem for path in FOLDER.glob("*.py"))
    for mistake, names in MISTAKES.items():
        trees = [ast.dump(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) for name in names]
        assert len(set(trees)) == len(names) >= 2, mistake


@pytest.mark.slow
@pytest.mark.parametrize("op", SUSPECTS)
def test_each_suspect_differs_from_the_reference_and_says_what_to_do(op):
    """A suspect that answers like the reference everywhere could never be told from it."""
    ordinary = [case for case in cases(op) if case.dtype == "float64" and case.layout == "plain"]
    telling = dict.fromkeys({(s.mistake, s.output) for s in SUSPECTS[op]}, 0)
    for suspect in SUSPECTS[op]:
        assert len(suspect.hint) > 20 and not suspect.hint.endswith(".")
        for case in ordinary:
            names = result_names(case)
            right = case.expected()[names.index(suspect.output)] if suspect.output in names else None
            wrong = suspect.answer(case.arguments())
            if right is not None and wrong is not None and not equal(wrong, right):
                telling[suspect.mistake, suspect.output] += 1
    never = {mistake for (mistake, _), count in telling.items() if count == 0}
    told = {mistake for (mistake, _), count in telling.items() if count}
    assert never - told <= SAME_RESULT


# Options that have no part in a result, or without which the call is refused: registered with the rest of their kind.
SAME_RESULT = {
    "avg_pool2d_backward.ceil_mode-ignored",
    "avg_pool2d_backward.ceil_mode-inverted",
    "avg_pool2d_backward.padding-swapped",
    "concat.axis-ignored",
}


@pytest.mark.parametrize(
    "name", ["conv_backward_flip_loops", "pool_last_maximum_argmax", "cross_entropy_over_all"]
)
def test_the_command_names_it(name, capsys):
    assert main(["check", str(FOLDER / f"{name}.py"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert dict(FILES)[name] == found["functions"][0]["failure"]["mistake"]


@pytest.mark.slow
def test_the_command_marks_the_whole_folder(capsys):
    assert main(["check", str(FOLDER), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {Path(line["file"]).stem: line["functions"][0]["failure"]["mistake"] for line in lines}
    assert found == dict(FILES)
