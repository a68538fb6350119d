"""More typical mistakes, each in two files that are written differently: losses, norms, resizing, regions."""

import ast
import importlib.util
import warnings
from pathlib import Path

import pytest

from minisegnet.marking.calling import Direct
from minisegnet.marking.judge import judge

FOLDER = Path(__file__).parent / "mistakes_more"

# The mistake, and the files that make it. The function is the id's first word.
MISTAKES = {
    "softmax_cross_entropy.weights-not-in-mean": (
        "weighted_mean_by_count",
        "weighted_mean_by_count_loops",
        "weighted_mean_without_ignore_index",
    ),
    "batch_norm.eps-outside": ("batch_norm_eps_outside", "batch_norm_eps_outside_training"),
    "softmax_cross_entropy.sign": ("cross_entropy_sign", "cross_entropy_sign_loops"),
    "softmax_cross_entropy_backward.only-label": (
        "cross_entropy_backward_only_label",
        "cross_entropy_backward_only_label_mask",
    ),
    "softmax_cross_entropy_backward.one-hot-forgotten": (
        "cross_entropy_backward_no_label",
        "cross_entropy_backward_no_label_loops",
    ),
    "softmax_cross_entropy_backward.ignored-get-gradient": (
        "cross_entropy_backward_ignored",
        "cross_entropy_backward_ignored_put",
    ),
    "log_softmax.overflow": ("log_softmax_overflow", "log_softmax_overflow_softmax"),
    "log_softmax_backward.sum-forgotten": (
        "log_softmax_backward_no_sum",
        "log_softmax_backward_no_sum_loops",
    ),
    "batch_norm.root-forgotten": ("batch_norm_no_root", "batch_norm_no_root_loops"),
    "resize_nearest_backward.mean": ("nearest_backward_mean", "nearest_backward_mean_masks"),
    "max_unpool2d.first-stays": ("unpool_first_stays", "unpool_first_stays_reversed"),
    "add_backward.halved": ("add_backward_halves", "add_backward_halves_loops"),
    "roi_pool_backward.first-picture": ("roi_backward_first_picture", "roi_backward_first_picture_at"),
    "roi_pool_backward.empty-bin": ("roi_backward_empty_bin", "roi_backward_empty_bin_modulo"),
    "nms.sorted-by-index": ("nms_sorted", "nms_sorted_mask"),
}
FILES = [(name, mistake) for mistake, names in MISTAKES.items() for name in names]


@pytest.mark.parametrize(("name", "mistake"), FILES, ids=[name for name, _ in FILES])
def test_the_mistake_is_named(name, mistake):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    op = mistake.split(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # learners' files overflow and divide by zero
        verdict = judge(Direct({op: getattr(module, op)}), op)
    assert verdict.status == "fail"
    assert verdict.failure.mistake == mistake
    assert verdict.failure.sure
    assert verdict.failure.hint and verdict.failure.arrays


def test_each_is_made_twice_and_differently():
    assert sorted(name for name, _ in FILES) == sorted(path.stem for path in FOLDER.glob("*.py"))
    for mistake, names in MISTAKES.items():
        trees = {ast.dump(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) for name in names}
        assert len(trees) == len(names) >= 2, mistake
