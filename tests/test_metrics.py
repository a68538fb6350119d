"""Confusion matrix, report and evaluation against hand-worked numbers and plain loops."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minisegnet.metrics import Evaluation, Report, boundary_f1, confusion_matrix

NAN = float("nan")


@st.composite
def label_pairs(draw: st.DrawFn, least: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    C = draw(st.integers(1, 5))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=max(least, 1), max_side=6))
    labels = arrays.arrays(
        draw(st.sampled_from([np.uint8, np.int16, np.int64])), shape, elements=st.integers(0, C - 1)
    )
    return draw(labels), draw(labels), C


def loop_confusion(target, predicted, C, ignore_index=None):
    table = [[0] * C for _ in range(C)]
    for t, y in zip(target.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if t != ignore_index:
            table[t][y] += 1
    return table


def loop_report(n):
    """The formulas of the FCN paper, section 5, and the others, in plain Python; nan where there is nothing."""
    C = len(n)
    t = [sum(n[i]) for i in range(C)]
    y = [sum(n[j][i] for j in range(C)) for i in range(C)]

    def ratio(a, b):
        return a / b if b else NAN

    def mean(values):
        numbers = [v for v in values if not math.isnan(v)]
        return ratio(sum(numbers), len(numbers))

    iou = [ratio(n[i][i], t[i] + y[i] - n[i][i]) for i in range(C)]
    accuracy = [ratio(n[i][i], t[i]) for i in range(C)]
    precision = [ratio(n[i][i], y[i]) for i in range(C)]
    dice = [ratio(2 * n[i][i], t[i] + y[i]) for i in range(C)]
    return {
        "support": t,
        "iou": iou,
        "accuracy": accuracy,
        "precision": precision,
        "dice": dice,
        "pixel_accuracy": ratio(sum(n[i][i] for i in range(C)), sum(t)),
        "mean_accuracy": mean(accuracy),
        "mean_precision": mean(precision),
        "miou": mean(iou),
        "mean_dice": mean(dice),
        "frequency_weighted_iou": ratio(sum(t[i] * iou[i] for i in range(C) if t[i]), sum(t)),
    }


# ---------------------------------------------------------------------------------------------------------
# The confusion matrix


@pytest.mark.claim("S4-02")
def test_worked_example():
    target = np.array([[0, 0, 0, 1], [2, 2, 1, 1]], np.uint8)
    predicted = np.array([[0, 1, 0, 1], [2, 0, 1, 2]], np.int32)
    confusion = confusion_matrix(target, predicted, 3)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[2, 1, 0], [0, 2, 1], [1, 0, 1]]
    report = Report.of(confusion, ["sky", "road", "car"])
    assert report.support.tolist() == [3, 3, 2]
    assert report.pixel_accuracy == 5 / 8
    assert report.accuracy.tolist() == [2 / 3, 2 / 3, 1 / 2]
    assert report.precision.tolist() == [2 / 3, 2 / 3, 1 / 2]
    assert report.iou.tolist() == [2 / 4, 2 / 4, 1 / 3]
    assert report.miou == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3, abs=1e-15)
    assert report.frequency_weighted_iou == pytest.approx((3 / 2 + 3 / 2 + 2 / 3) / 8, abs=1e-15)
    assert report.dice.tolist() == [4 / 6, 4 / 6, 2 / 4]


@given(label_pairs())
def test_confusion_is_the_loop(pair):
    target, predicted, C = pair
    before = target.copy(), predicted.copy()
    confusion = confusion_matrix(target, predicted, C)
    assert confusion.tolist() == loop_confusion(target, predicted, C)
    assert confusion.sum() == target.size
    assert np.array_equal(confusion, confusion_matrix(predicted, target, C).T)
    assert np.array_equal(before[0], target) and np.array_equal(before[1], predicted)


@given(label_pairs(), st.integers(-2, 6))
def test_ignored_pixels_do_not_count(pair, ignored):
    target, predicted, C = (pair[0].astype(np.int64), pair[1].astype(np.int64), pair[2])
    target.flat[::3] = ignored
    expected = loop_confusion(target, predicted, C, ignored)
    wild = np.where(target == ignored, 999, predicted)  # whatever was predicted there
    assert confusion_matrix(target, wild, C, ignore_index=ignored).tolist() == expected


@given(label_pairs(least=2))
def test_parts_add_up(pair):
    target, predicted, C = pair
    whole = confusion_matrix(target, predicted, C)
    parts = [confusion_matrix(target[part], predicted[part], C) for part in (slice(0, 1), slice(1, None))]
    assert np.array_equal(whole, parts[0] + parts[1])


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_every_integer_dtype_and_layout(dtype):
    target = np.arange(24, dtype=dtype).reshape(4, 6) % 3
    predicted = np.ascontiguousarray(target.T).T  # Fortran order
    target.flags.writeable = False
    assert np.array_equal(confusion_matrix(target, predicted, 3), np.diag([8, 8, 8]))


def test_many_classes_in_a_small_dtype():
    target = np.full((4, 4), 254, np.uint8)  # 255 * 254 + 254 wouldn't fit
    confusion = confusion_matrix(target, target, 255)
    assert confusion.shape == (255, 255) and confusion[254, 254] == 16


def test_wrong_labels_are_named_and_counted():
    target = np.array([[0, 1, 7], [7, -1, 255]])
    with pytest.raises(
        ValueError, match=r"target holds 3 labels outside 0..1: -1 \(1 times\), 7 \(2 times\)"
    ):
        confusion_matrix(target, np.zeros_like(target), 2, ignore_index=255)
    with pytest.raises(ValueError, match=r"predicted holds 1 labels outside 0..1: 9 \(1 times\)"):
        confusion_matrix(np.zeros((2, 2), int), np.array([[0, 0], [9, 0]]), 2)
    with pytest.raises(ValueError, match="and 95 more values"):
        confusion_matrix(np.arange(102), np.zeros(102, int), 2)
    with pytest.raises(ValueError, match="ignore_index"):
        confusion_matrix(np.array([255]), np.array([0]), 2)


@pytest.mark.parametrize(
    ("target", "predicted", "options", "kind", "text"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), {}, ValueError, r"predicted has shape \(2, 3\)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), {}, TypeError, "target has dtype float64"),
        (np.zeros(2, int), np.zeros(2, bool), {}, TypeError, "predicted has dtype bool"),
        ([0, 1], np.zeros(2, int), {}, TypeError, "target is a list"),
        (np.zeros(2, int), np.zeros(2, int), {"classes": 0}, ValueError, "classes"),
        (np.zeros(2, int), np.zeros(2, int), {"classes": 2.0}, TypeError, "classes"),
        (np.zeros(2, int), np.zeros(2, int), {"ignore_index": 1.5}, TypeError, "ignore_index"),
    ],
)
def test_bad_arguments(target, predicted, options, kind, text):
    with pytest.raises(kind, match=text):
        confusion_matrix(target, predicted, **{"classes": 2, **options})


# ---------------------------------------------------------------------------------------------------------
# The report


@given(
    arrays.arrays(
        np.int64, st.integers(1, 5).map(lambda C: (C, C)), elements=st.sampled_from([0, 0, 0, 1, 2, 50])
    )
)
def test_report_is_the_formulas(confusion):
    report, expected = Report.of(confusion), loop_report(confusion.tolist())
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(report, name), value, rtol=1e-14, err_msg=name)
    facts = report.as_dict()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert "nan" not in report.table()


@pytest.mark.claim("S4-03")
@given(label_pairs())
def test_relations(pair):
    target, predicted, C = pair
    report = Report.of(confusion_matrix(target, predicted, C))
    swapped = Report.of(confusion_matrix(predicted, target, C))
    np.testing.assert_array_equal(report.iou, swapped.iou)
    np.testing.assert_array_equal(report.accuracy, swapped.precision)
    np.testing.assert_allclose(report.dice, 2 * report.iou / (1 + report.iou), rtol=1e-14)
    assert (report.miou == 1) == np.array_equal(target, predicted)
    there = ~np.isnan(report.iou)
    assert np.array_equal(there, np.isin(np.arange(C), [target, predicted]))
    assert (report.iou[there] >= 0).all() and (report.iou[there] <= report.dice[there]).all()


@given(label_pairs(), st.randoms(use_true_random=False))
def test_renaming_classes_moves_the_results(pair, random):
    target, predicted, C = pair
    new = list(range(C))
    random.shuffle(new)
    new = np.array(new)
    before = Report.of(confusion_matrix(target, predicted, C))
    after = Report.of(confusion_matrix(new[target], new[predicted], C))
    for name in ("iou", "accuracy", "precision", "dice", "support"):
        np.testing.assert_array_equal(getattr(after, name)[new], getattr(before, name))
    assert after.miou == pytest.approx(before.miou, rel=1e-14)
    assert after.pixel_accuracy == before.pixel_accuracy


def test_an_absent_class_is_not_a_number_and_a_false_alarm_is_zero():
    report = Report.of(np.array([[4, 0, 1], [0, 0, 0], [0, 0, 0]]), ["ground", "ghost", "alarm"])
    np.testing.assert_array_equal(report.iou, [0.8, NAN, 0])
    np.testing.assert_array_equal(report.accuracy, [0.8, NAN, NAN])
    np.testing.assert_array_equal(report.precision, [1, NAN, 0])
    assert report.miou == 0.4  # (0.8 + 0) / 2: the alarm's pixel is a mistake, the ghost is nothing
    assert report.mean_accuracy == 0.8
    lines = report.table().splitlines()
    assert lines[2].split() == ["ghost", "0", "0.0", "%", "-", "-", "-", "-"]
    assert lines[3].split() == ["alarm", "0", "0.0", "%", "0.000", "-", "0.000", "0.000"]
    assert lines[-1].startswith("-: not a number")


def test_all_ignored_is_not_a_number():
    target = np.full((3, 3), 255)
    report = Report.of(confusion_matrix(target, target, 2, ignore_index=255))
    for name in ("pixel_accuracy", "mean_accuracy", "miou", "frequency_weighted_iou", "mean_dice"):
        assert math.isnan(getattr(report, name))
        assert report.as_dict()[name] is None
    assert report.table().splitlines()[1].split() == ["0", "0", "-", "-", "-", "-", "-"]


def test_table_lines_up():
    report = Report.of(np.diag([1_234_567, 5, 0]), ["배경", "a rather long name", "x\ny"])
    header, *rows = report.table().splitlines()[:5]
    assert header.split() == ["class", "pixels", "share", "IoU", "accuracy", "precision", "Dice"]
    assert "1,234,567" in rows[0]
    wide = [line.replace("배경", "abcd") for line in (header, *rows)]  # two columns a letter
    assert len({len(line) for line in wide}) == 1
    assert rows[2].startswith("x y ")
    assert not report.table().endswith("\n")
    assert all(line == line.rstrip() for line in report.table().splitlines())


def test_report_keeps_its_own_counts():
    confusion = np.eye(2, dtype=np.int64)
    report = Report.of(confusion)
    confusion[:] = 9
    assert report.confusion.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        report.confusion[0, 0] = 5
    assert report.as_dict()["confusion"] == [[1, 0], [0, 1]]
    assert report.class_names == ("0", "1")


@pytest.mark.parametrize(
    ("confusion", "names", "kind", "text"),
    [
        (np.zeros((2, 3), int), None, ValueError, r"shape \(2, 3\)"),
        (np.zeros((0, 0), int), None, ValueError, "shape"),
        (np.zeros((2, 2)), None, TypeError, "float64"),
        (np.array([[1, -1], [0, 0]]), None, ValueError, "holds -1"),
        (np.eye(2, dtype=int), ["one"], ValueError, "1 names"),
        (np.eye(2, dtype=int), ["same", "same"], ValueError, "2 names"),
        (np.eye(2, dtype=int), "ab", TypeError, "class_names"),
        (np.eye(2, dtype=int), [1, 2], TypeError, "class_names"),
    ],
)
def test_bad_reports(confusion, names, kind, text):
    with pytest.raises(kind, match=text):
        Report.of(confusion, names)


# ---------------------------------------------------------------------------------------------------------
# Many pictures


@given(st.lists(label_pairs(), min_size=1, max_size=4))
def test_evaluation_adds_up(pairs):
    evaluation = Evaluation(5, boundary=True)
    pictures = []
    for target, predicted, _ in pairs:
        pictures.append((target.reshape(1, -1), predicted.reshape(1, -1)))
        evaluation.add(*pictures[-1])
    report = evaluation.report()
    total = sum(confusion_matrix(t, y, 5) for t, y in pictures)
    assert np.array_equal(report.confusion, total)
    mious = [Report.of(confusion_matrix(t, y, 5)).miou for t, y in pictures]
    assert report.miou_per_image == pytest.approx(sum(mious) / len(mious), rel=1e-14)
    assert report.pictures == len(pairs)


@given(st.lists(label_pairs(), min_size=1, max_size=4), st.sampled_from([None, 0]))
def test_each_picture_keeps_its_own_numbers(pairs, ignored):
    evaluation = Evaluation(7, ignore_index=ignored, boundary=True, tolerance=1)
    for target, predicted, _ in pairs:
        target, predicted = target.reshape(1, -1).astype(int), predicted.reshape(1, -1)
        evaluation.add(target, predicted)
        picture, own = evaluation.pictures[-1], loop_report(loop_confusion(target, predicted, 7, ignored))
        assert picture.size == target.shape
        assert picture.miou == pytest.approx(own["miou"], rel=1e-14, nan_ok=True)
        assert picture.pixel_accuracy == pytest.approx(own["pixel_accuracy"], rel=1e-14, nan_ok=True)
        guessed = Report.of(confusion_matrix(target, predicted, 7, ignore_index=ignored)).confusion.sum(
            axis=0
        )
        there = [c for c in range(7) if own["support"][c] or guessed[c]]
        assert picture.classes.tolist() == there  # and no other class takes memory
        for name in ("support", "iou", "accuracy", "precision", "dice"):
            expected = [own[name][c] for c in there]
            assert getattr(picture, name).tolist() == pytest.approx(expected, rel=1e-14, nan_ok=True)
        f1 = boundary_f1(target, predicted, 7, tolerance=1, ignore_index=ignored)
        np.testing.assert_array_equal(picture.boundary_f1, f1[there])
        assert np.isnan(np.delete(f1, there)).all()


def test_a_batch_is_its_pictures():
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 3, (2, 4, 8, 9))
    together, apart = Evaluation(3, boundary=True), Evaluation(3, boundary=True)
    together.add(target, predicted)
    for pair in zip(target, predicted, strict=True):
        apart.add(*pair)
    assert together.report().as_dict() == apart.report().as_dict()


def test_per_image_leaves_out_a_picture_without_pixels():
    evaluation = Evaluation(2, ignore_index=9)
    evaluation.add(np.array([[0, 1]]), np.array([[0, 1]]))
    evaluation.add(np.array([[9, 9]]), np.array([[0, 1]]))
    assert evaluation.report().miou_per_image == 1
    assert evaluation.report().pictures == 2
    assert "per image 1.000, 2 pictures" in evaluation.report().table()


def test_empty_evaluation():
    report = Evaluation(2, ["a", "b"], boundary=True).report()
    assert (
        math.isnan(report.miou) and math.isnan(report.miou_per_image) and math.isnan(report.mean_boundary_f1)
    )
    assert report.as_dict()["miou"] is None
    assert "per image" not in report.table()


def test_boundary_column():
    target = np.repeat([[0, 0, 0, 1, 1, 1]], 6, axis=0)
    evaluation = Evaluation(3, boundary=True, tolerance=1)
    evaluation.add(target, np.roll(target, 1, axis=1) * (np.arange(6) > 2))
    report = evaluation.report()
    assert report.boundary_f1.tolist()[:2] == [1, 1] and math.isnan(report.boundary_f1[2])
    assert report.mean_boundary_f1 == 1 == report.as_dict()["mean_boundary_f1"]
    header, *rows = report.table().splitlines()
    assert header.endswith("boundary F1") and rows[0].endswith("1.000") and rows[2].endswith("-")


def test_an_error_leaves_the_evaluation_as_it_was():
    evaluation = Evaluation(2)
    good = np.zeros((1, 2, 2), int)
    with pytest.raises(ValueError, match="predicted"):
        evaluation.add(np.concatenate([good, good]), np.concatenate([good, good + 5]))
    assert evaluation.report().pictures == 0 and evaluation.confusion.sum() == 0


@pytest.mark.parametrize("shape", [(4,), (1, 1, 2, 2)])
def test_evaluation_wants_pictures(shape):
    with pytest.raises(ValueError, match="expected \\(H, W\\)"):
        Evaluation(2).add(np.zeros(shape, int), np.zeros(shape, int))


def test_bad_evaluations():
    with pytest.raises(ValueError, match="classes"):
        Evaluation(0)
    with pytest.raises(ValueError, match="2 names"):
        Evaluation(3, ["a", "b"])
    with pytest.raises(TypeError, match="boundary"):
        Evaluation(3, boundary=2)


def test_order_of_pictures_does_not_matter_to_the_counts():
    pictures = [np.random.default_rng(k).integers(0, 3, (2, 5, 5)) for k in range(3)]
    tables = []
    for order in itertools.permutations(range(3)):
        evaluation = Evaluation(3)
        for k in order:
            evaluation.add(*pictures[k])
        tables.append(evaluation.report().confusion.tolist())
    assert all(table == tables[0] for table in tables)
