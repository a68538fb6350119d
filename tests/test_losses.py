"""The losses: golden numbers, gradients, numbers by hand, what they must agree with, degenerate cases, errors."""

import inspect

import numpy as np
import pytest
from golden_cases import read
from model_checks import mean_iou

from minisegnet import functional, losses, ops
from minisegnet.autograd import Tensor
from minisegnet.testing import check_gradients, check_vjp

PAIRS = ("focal", "dice", "tversky", "lovasz_softmax")
ALL = ("cross_entropy", "bce", *PAIRS)
BY_PIXEL = ("cross_entropy", "bce", "focal")  # they have a reduction
CASES = read("composed/losses")


def draw(shape, *, ignore=None, seed=0, dtype=np.float64):
    """Draw smooth scores and labels of every class; some of the labels are the ignored one."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape).astype(dtype)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    if ignore is not None:
        target[rng.random(target.shape) < 0.3] = ignore
    return logits, target


def weights(logits, target, seed=1):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.2, 2, logits.shape[1]).astype(logits.dtype)
    return {"weight": weight, "pixel_weight": rng.uniform(0.2, 2, target.shape).astype(logits.dtype)}


def run(name, logits, target, **options):
    """Give the loss and its gradient."""
    x = Tensor(logits, requires_grad=True)
    loss = getattr(losses, name)(x, target, **options)
    loss.backward(np.ones_like(loss.data))
    return loss.data, x.grad


def pair(name):
    return getattr(losses, name + "_loss"), getattr(losses, name + "_loss_backward")


# ---------------------------------------------------------------------------------------------------------
# Golden numbers, and gradients


@pytest.mark.parametrize("name", CASES)
def test_golden(name, backend):
    case = CASES[name]
    settings = case.kwargs | {key: case.inputs.get(key) for key in ("weight", "pixel_weight")}
    for dtype, tolerance in ((np.float64, 1e-11), (np.float32, 2e-5)):
        cast = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
        x = Tensor(case.inputs["logits"].astype(dtype), requires_grad=True)
        with ops.use_backend(backend):
            loss = getattr(losses, case.op)(x, case.inputs["target"], **cast)
            loss.backward(case.inputs["dloss"].astype(dtype))
        assert loss.dtype == x.grad.dtype == dtype
        for found, expected in ((loss.data, "loss"), (x.grad, "dlogits")):
            expected = case.expected[expected]
            assert found.shape == expected.shape
            size = max(np.abs(expected).max(), 1e-3 if dtype == np.float64 else 1.0)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * size)


def test_golden_has_all_losses():
    assert {case.op for case in CASES.values()} == set(ALL)


CONFIGURATIONS = {
    "focal": [{}, {"gamma": 0.5}, {"gamma": 0.0}, {"reduction": "sum"}, {"reduction": "none"}],
    "dice": [{}, {"smooth": 0.0}, {"classes": "present"}],
    "tversky": [{}, {"alpha": 0.0, "beta": 1.0}, {"alpha": 1.0, "beta": 1.0, "classes": "present"}],
    "lovasz_softmax": [{}, {"classes": "all"}],
}


@pytest.mark.parametrize("shape", [(5, 3), (1, 2, 3), (2, 4, 2, 2)], ids=str)
@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, many in CONFIGURATIONS.items() for options in many]
)
def test_pairs_against_numerical_gradients(name, options, shape):
    forward, backward = pair(name)
    for ignore in (None, 255, 1):
        logits, target = draw(shape, ignore=ignore, seed=len(shape))
        settings = options | ({} if ignore == 1 else weights(logits, target)) | {"ignore_index": ignore}

        def f(x, target=target, settings=settings):
            return forward(x, target, **settings)[0]

        def vjp(dy, x, target=target, settings=settings):
            _, *kept = forward(x, target, **settings)
            if name == "lovasz_softmax":
                return backward(dy, *kept)
            return backward(dy, *kept, target, **settings)

        check_vjp(f, vjp, logits, step=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_tape_against_numerical_gradients(name):
    for shape in ((4, 3), (2, 3, 3, 2)):
        logits, target = draw(shape, ignore=7, seed=3)
        settings = weights(logits, target) | {"ignore_index": 7}
        x = Tensor(logits, requires_grad=True)
        check_gradients(
            lambda x, t=target, s=settings: getattr(losses, name)(x, t, **s), x, step=1e-5, rtol=1e-5
        )


def test_sums_against_numerical_gradients():
    logits, target = draw((2, 3, 3, 2), ignore=9)
    every = "ce + 0.5*bce + 0.25*dice + 2*focal + 1.5*tversky + 0.7*lovasz"
    loss = losses.build(every, ignore_index=9, weight=np.array([1.0, 0.5, 2.0]))
    settings = {"pixel_weight": weights(logits, target)["pixel_weight"]}
    x = Tensor(logits, requires_grad=True)
    check_gradients(lambda x: loss(x, target, **settings), x, step=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------------
# Numbers by hand


QUARTERS = np.log(np.array([[3.0, 1.0], [1.0, 1.0], [1.0, 3.0]]))  # p of class 0: 3/4, 1/2, 1/4
TARGET = np.array([0, 1, 1])


def test_dice_by_hand():
    # Overlaps 3/4 and 1/2 + 3/4; predicted 3/2 and 3/2; there are 1 and 2 pixels.
    by_hand = 1 - (1.5 / 2.5 + 2.5 / 3.5) / 2
    np.testing.assert_allclose(run("dice", QUARTERS, TARGET, smooth=0.0)[0], by_hand, rtol=1e-14)
    by_hand = 1 - (2.5 / 3.5 + 3.5 / 4.5) / 2
    np.testing.assert_allclose(run("dice", QUARTERS, TARGET)[0], by_hand, rtol=1e-14)


def test_dice_weighs_classes_and_pixels_by_hand():
    # Pixel weights 2, 1, 0: overlaps 2 * 3/4 and 1/2; predicted 2 and 1; areas 2 and 1. Classes 3 : 1.
    scores = (3 / 4, 1 / 2)
    options = {"weight": np.array([3.0, 1.0]), "pixel_weight": np.array([2.0, 1.0, 0.0]), "smooth": 0.0}
    loss, gradient = run("dice", QUARTERS, TARGET, **options)
    np.testing.assert_allclose(loss, 1 - (3 * scores[0] + scores[1]) / 4, rtol=1e-14)
    assert not gradient[2].any()


def test_an_absent_class_in_dice():
    logits = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0]]))  # class 2 gets 1/4 twice, and isn't there
    present = 1 - (2 * 0.5 + 1) / (0.75 + 1 + 1)  # the same for the classes 0 and 1
    absent = 1 - 1 / (0.5 + 1)
    target = np.array([0, 1])
    np.testing.assert_allclose(run("dice", logits, target)[0], (2 * present + absent) / 3, rtol=1e-14)
    np.testing.assert_allclose(run("dice", logits, target, classes="present")[0], present, rtol=1e-14)


def test_tversky_by_hand():
    # Class 0: TP 3/4, FP 1/2 + 1/4, FN 1/4. Class 1: TP 5/4, FP 1/4, FN 3/4.
    scores = 0.75 / (0.75 + 0.2 * 0.75 + 0.9 * 0.25), 1.25 / (1.25 + 0.2 * 0.25 + 0.9 * 0.75)
    loss, _ = run("tversky", QUARTERS, TARGET, alpha=0.2, beta=0.9, smooth=0.0)
    np.testing.assert_allclose(loss, 1 - sum(scores) / 2, rtol=1e-14)


def test_focal_by_hand():
    p, weight = np.array([0.75, 0.5, 0.75]), np.array([2.0, 1.0])
    each = weight[TARGET] * (1 - p) ** 3 * -np.log(p)
    settings = {"gamma": 3.0, "weight": weight}
    none, _ = run("focal", QUARTERS, TARGET, reduction="none", **settings)
    np.testing.assert_allclose(none, each, rtol=1e-13)
    np.testing.assert_allclose(run("focal", QUARTERS, TARGET, **settings)[0], each.sum() / 4, rtol=1e-13)
    total, _ = run("focal", QUARTERS, TARGET, reduction="sum", **settings)
    np.testing.assert_allclose(total, each.sum(), rtol=1e-13)


def test_lovasz_by_hand():
    # Class 0 has errors 1/4 (its pixel), 1/2 and 1/4. Largest first: pixel 1 is wrong, the union grows to 2, Jaccard
    # loss 1/2; then pixel 0, nothing is right any more, 1; then pixel 2, still 1. Class 1 has the same errors, and 2
    # pixels: pixel 1 is wrong, 1/2; then pixel 0 joins the union, 1 - 1/3 = 2/3; then pixel 2, 1.
    class_0 = 1 / 2 * 1 / 2 + 1 / 4 * 1 / 2
    class_1 = 1 / 2 * 1 / 2 + 1 / 4 * (2 / 3 - 1 / 2) + 1 / 4 * (1 - 2 / 3)
    loss, _ = run("lovasz_softmax", QUARTERS, TARGET)
    np.testing.assert_allclose(loss, (class_0 + class_1) / 2, rtol=1e-14)
    weighted, _ = run("lovasz_softmax", QUARTERS, TARGET, weight=np.array([1.0, 3.0]))
    np.testing.assert_allclose(weighted, (class_0 + 3 * class_1) / 4, rtol=1e-14)


def test_an_absent_class_in_lovasz():
    logits = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 3.0]]))
    target = np.array([0, 1, 1])
    present, _ = run("lovasz_softmax", logits, target)
    every, _ = run("lovasz_softmax", logits, target, classes="all")
    np.testing.assert_allclose(every, (2 * present + 0.6) / 3, rtol=1e-14)  # 3/5 is class 2's largest


def test_bce_takes_labels():
    logits, target = draw((2, 3, 2, 2))
    one_hot = np.moveaxis(np.eye(3)[target], -1, 1).copy()
    weight = np.array([1.0, 2.0, 3.0])
    expected = functional.bce_with_logits(logits, one_hot, weight=weight[:, None, None]).data
    for given in (target, one_hot):
        np.testing.assert_array_equal(losses.bce(logits, given, weight=weight).data, expected)


def test_bce_takes_masks_for_one_class():
    logits = draw((2, 1, 3, 2))[0]
    mask = np.random.default_rng(0).integers(0, 2, (2, 3, 2))
    expected = functional.bce_with_logits(logits, mask[:, None]).data
    for dtype in (np.uint8, bool, np.float64):
        np.testing.assert_array_equal(losses.bce(logits, mask.astype(dtype)).data, expected)


def test_bce_ignores_a_class_that_is_also_an_answer():
    # With ignore_index 0, it is pixels of class 0 that don't count, not the answers "no".
    logits, target = draw((3, 2, 2, 2))
    _, gradient = run("bce", logits, target, ignore_index=0)
    np.testing.assert_array_equal((gradient != 0).all(axis=1), target != 0)
    np.testing.assert_array_equal((gradient != 0).any(axis=1), target != 0)


# ---------------------------------------------------------------------------------------------------------
# What the losses must agree with


def both_ways(logits, target, ignore):
    yield {"ignore_index": ignore}
    yield weights(logits, target) | {"ignore_index": ignore}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_focal_with_gamma_0_is_cross_entropy(dtype, backend):
    eps = np.finfo(dtype).eps
    logits, target = draw((2, 4, 5, 3), ignore=255, dtype=dtype)
    with ops.use_backend(backend):
        for options in both_ways(logits, target, 255):
            focal, plain = (run(n, logits, target, reduction="none", **k) for n, k in _gamma_0(options))
            np.testing.assert_array_equal(focal[0], plain[0])
            np.testing.assert_array_equal(focal[1], plain[1])
            for reduction in ("mean", "sum"):
                focal, plain = (
                    run(n, logits, target, reduction=reduction, **k) for n, k in _gamma_0(options)
                )
                np.testing.assert_allclose(focal[0], plain[0], rtol=2 * eps)
                np.testing.assert_allclose(focal[1], plain[1], rtol=4 * eps)


def _gamma_0(options):
    return ("focal", options | {"gamma": 0.0}), ("cross_entropy", options)


@pytest.mark.parametrize("smooth", [0.0, 1.0, 3.5])
def test_tversky_with_halves_is_dice(smooth):
    logits, target = draw((2, 4, 5, 3), ignore=255)
    for options in both_ways(logits, target, 255):
        halves = run("tversky", logits, target, alpha=0.5, beta=0.5, smooth=smooth, **options)
        for found, expected in zip(
            halves, run("dice", logits, target, smooth=smooth, **options), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def hard(prediction, classes, dtype=np.float64):
    """Scores whose softmax is 0 and 1 to the last digit."""
    return np.moveaxis(1e4 * np.eye(classes, dtype=dtype)[prediction], -1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_lovasz_of_hard_predictions_is_one_minus_mean_iou(seed):
    rng = np.random.default_rng(seed)
    prediction, target = rng.integers(0, 5, (2, 6, 7)), rng.integers(0, 4, (2, 6, 7))  # class 4 isn't there
    ignored = rng.random(target.shape) < 0.2
    loss, gradient = run("lovasz_softmax", hard(prediction, 5), np.where(ignored, 9, target), ignore_index=9)
    expected = 1 - mean_iou(prediction[~ignored], target[~ignored])
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    assert not gradient.any()  # a softmax of 0 and 1 is flat


@pytest.mark.parametrize("name", [*PAIRS, "cross_entropy", "bce"])
def test_perfect_predictions_cost_nothing(name):
    target = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    scores = 2 * hard(target, 4) - 1e4
    loss, gradient = run(name, scores, target)
    assert loss == 0
    assert not gradient.any()


def test_dice_of_hard_predictions_is_one_minus_mean_dice():
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 3, (2, 5, 4)), rng.integers(0, 3, (2, 5, 4))
    scores = []
    for c in range(3):
        mine, found = target == c, prediction == c
        scores.append((2 * np.sum(mine & found) + 1) / (mine.sum() + found.sum() + 1))
    loss, _ = run("dice", hard(prediction, 3), target)
    np.testing.assert_allclose(loss, 1 - np.mean(scores), rtol=1e-14)


@pytest.mark.claim("S3-09")
@pytest.mark.parametrize("name", ["cross_entropy", *PAIRS])
def test_a_pixel_of_weight_2_is_a_pixel_twice(name):
    logits, target = draw((6, 3))
    times = np.array([1, 2, 0, 3, 1, 2])
    once, gradient = run(name, logits, target, pixel_weight=times.astype(float))
    repeated, gradients = run(name, np.repeat(logits, times, axis=0), np.repeat(target, times))
    np.testing.assert_allclose(once, repeated, rtol=1e-12)
    if name != "lovasz_softmax":  # where equal errors share what one of weight 2 has as a whole
        starts = np.cumsum(times)[times > 0] - times[times > 0]
        np.testing.assert_allclose(
            gradient[times > 0], np.add.reduceat(gradients, starts), rtol=1e-9, atol=1e-15
        )


@pytest.mark.parametrize("name", ALL)
def test_only_counted_pixels_are_seen(name):
    """Cutting ignored pixels out, moving pixels about or into another axis changes nothing."""
    logits, target = draw((2, 3, 4, 2), ignore=-1, seed=5)
    loss, gradient = run(name, logits, target, ignore_index=-1)
    counts = target != -1
    flat, flat_gradient = run(name, np.moveaxis(logits, 1, -1)[counts], target[counts])
    np.testing.assert_allclose(loss, flat, rtol=1e-13)
    np.testing.assert_allclose(np.moveaxis(gradient, 1, -1)[counts], flat_gradient, rtol=1e-11, atol=1e-16)
    assert not np.moveaxis(gradient, 1, -1)[~counts].any()


@pytest.mark.parametrize("name", ALL)
def test_classes_may_change_their_numbers(name):
    logits, target = draw((2, 4, 3, 3))
    order = np.array([2, 0, 3, 1])
    loss, gradient = run(name, logits, target)
    other, moved = run(name, logits[:, order], np.argsort(order)[target])
    np.testing.assert_allclose(loss, other, rtol=1e-13)
    np.testing.assert_allclose(gradient[:, order], moved, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("name", ["cross_entropy", *PAIRS])
def test_gradients_of_softmax_losses_sum_to_0_over_classes(name):
    logits, target = draw((2, 4, 3, 3))
    _, gradient = run(name, logits, target)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-16)


def test_lovasz_takes_the_first_of_equal_errors_first():
    logits, target = np.zeros((4, 2)), np.array([0, 0, 1, 1])
    _, _, slopes = losses.lovasz_softmax_loss(logits, target)
    # Class 0: the loss of 1 is reached when its second pixel is gone; class 1: when its own are, at the end.
    np.testing.assert_allclose(slopes[:, 0] * 2, [-1 / 2, -1 / 2, 0, 0], atol=1e-15)
    np.testing.assert_allclose(slopes[:, 1] * 2, [1 / 3, 1 / 6, -1 / 4, -1 / 4], atol=1e-15)


# ---------------------------------------------------------------------------------------------------------
# Degenerate cases


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ALL)
def test_nothing_counts(name, dtype, backend):
    logits = np.full((2, 3, 2, 2), np.nan, dtype)
    zeros, ones = np.zeros((2, 2, 2), dtype), np.ones((2, 3, 2, 2), dtype)
    situations = [
        (logits, np.full((2, 2, 2), 255), {"ignore_index": 255}),
        (ones, np.zeros((2, 2, 2), int), {"pixel_weight": zeros}),
        (np.zeros((0, 3, 2, 2), dtype), np.zeros((0, 2, 2), int), {}),
        (np.zeros((0, 3), dtype), np.zeros(0, int), {}),
        (ones, np.zeros((2, 2, 2), int), {"weight": np.zeros(3, dtype)}),
    ]
    with ops.use_backend(backend):
        for x, target, options in situations:
            for more in [{}] if name in BY_PIXEL else [{"classes": "all"}, {"classes": "present"}]:
                loss, gradient = run(name, x, target, **options, **more)
                assert isinstance(loss, np.ndarray)
                assert loss.shape == ()
                assert loss == 0
                assert loss.dtype == gradient.dtype == dtype
                assert gradient.shape == x.shape
                assert not gradient.any()


def test_dice_without_smoothing_of_nothing():
    assert run("dice", np.zeros((0, 3)), np.zeros(0, int), smooth=0.0)[0] == 0
    scores = hard(np.zeros(4, int), 3)  # the classes 1 and 2: nothing there, nothing found
    loss, gradient = run("dice", scores, np.zeros(4, int), smooth=0.0)
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("ignore", [255, -100, 0, 2])
@pytest.mark.parametrize("name", ALL)
def test_nan_at_ignored_pixels_touches_nothing(name, ignore):
    logits, target = draw((2, 3, 4, 3), ignore=ignore, seed=2)
    ignored = np.broadcast_to((target == ignore)[:, None], logits.shape)
    for options in both_ways(logits, target, ignore):
        expected = run(name, logits, target, **options)
        for bad in (np.nan, np.inf):
            loss, gradient = run(name, np.where(ignored, bad, logits), target, **options)
            np.testing.assert_array_equal(loss, expected[0])
            np.testing.assert_array_equal(gradient, expected[1])
            assert not gradient[ignored].any()


@pytest.mark.parametrize("name", ALL)
def test_nan_that_counts_is_not_hidden(name):
    logits, target = draw((2, 3, 4))
    logits[1, 2, 3] = np.nan
    loss, gradient = run(name, logits, target)
    assert np.isnan(loss)
    assert np.isnan(gradient[1, 2, 3])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ALL)
def test_huge_scores(name, dtype):
    target = np.array([0, 1, 2, 0])
    for size in (1e4, 1e30):
        scores = np.array([[1, 0, 0], [1, 0, -1], [0, 0, 1], [-1, 0, 0]], dtype) * dtype(size)
        loss, gradient = run(name, scores, target)
        assert np.isfinite(loss)
        assert loss >= 0
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [0.0, 0.25, 1.0, 2.0])
def test_focal_near_certainty(gamma):
    """Where 1 - p is far below a rounding error, loss and gradient still are what they should be."""
    for distance in (1.0, 30.0, 100.0):
        scores = np.array([[distance, 0.0]])
        loss, gradient = run("focal", scores, np.array([0]), gamma=gamma)
        other = np.exp(-distance) / (1 + np.exp(-distance))
        surprise = np.log1p(np.exp(-distance))
        np.testing.assert_allclose(loss, other**gamma * surprise, rtol=1e-12, atol=2e-16)
        slope = other**gamma * (1 + gamma * (1 - other) * surprise / other) * other
        np.testing.assert_allclose(gradient[0, 1], slope, rtol=1e-12)
        np.testing.assert_allclose(gradient[0, 0], -slope, rtol=1e-12, atol=2e-16)


def test_float32_sums_over_many_pixels():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 3, 128, 128)), rng.integers(0, 3, (2, 128, 128))
    for name in ALL:
        loss, gradient = run(name, logits.astype(np.float32), target.astype(np.uint8))
        wide, wide_gradient = run(name, logits, target)
        assert loss.dtype == gradient.dtype == np.float32
        np.testing.assert_allclose(loss, wide, rtol=1e-6)
        atol = 1e-5 * np.abs(wide_gradient).max()
        if name == "lovasz_softmax":  # pixels whose errors are equal in float32 may change places
            atol *= 1000
        np.testing.assert_allclose(gradient, wide_gradient, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ALL)
def test_arguments_are_not_changed_and_may_lie_in_any_order(name):
    logits, target = draw((2, 3, 4, 2), ignore=255)
    options = weights(logits, target) | {"ignore_index": 255}
    expected = run(name, logits, target, **options)
    frozen = [logits.T.copy().T, target.T.copy().T]
    options = {k: v[::-1].copy()[::-1] if isinstance(v, np.ndarray) else v for k, v in options.items()}
    for a in (*frozen, options["weight"], options["pixel_weight"]):
        a.flags.writeable = False
    for found, wanted in zip(run(name, *frozen, **options), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("name", ALL)
def test_tensors_are_taken_wherever_arrays_are(name):
    logits, target = draw((3, 2))
    options = weights(logits, target)
    wrapped = {key: Tensor(value) for key, value in options.items()}
    loss = getattr(losses, name)(logits, Tensor(target), **wrapped)
    np.testing.assert_array_equal(loss.data, getattr(losses, name)(Tensor(logits), target, **options).data)
    assert not loss.requires_grad


@pytest.mark.parametrize("name", PAIRS)
def test_a_number_will_do_as_upstream_gradient(name):
    logits, target = draw((4, 3))
    forward, backward = pair(name)
    _, *kept = forward(logits, target)
    more = () if name == "lovasz_softmax" else (target,)
    for number in (2, 2.0, np.float64(2.0), np.array(2.0)):
        np.testing.assert_array_equal(backward(number, *kept, *more), backward(np.array(2.0), *kept, *more))


# ---------------------------------------------------------------------------------------------------------
# Sums


def test_build_adds_up():
    logits, target = draw((2, 3, 4, 2), ignore=255)
    options = weights(logits, target)
    common = {"weight": options["weight"], "ignore_index": 255}
    loss = losses.build("ce + 0.5*dice+ 2 * focal", smooth=0.5, gamma=1.0, **common)
    found = loss(logits, target, pixel_weight=options["pixel_weight"]).data
    common["pixel_weight"] = options["pixel_weight"]
    parts = {"cross_entropy": {}, "dice": {"smooth": 0.5}, "focal": {"gamma": 1.0}}
    ce, dice, focal = (run(name, logits, target, **more, **common)[0] for name, more in parts.items())
    np.testing.assert_allclose(found, ce + 0.5 * dice + 2 * focal, rtol=1e-14)


def test_build_keeps_float32():
    logits, target = draw((2, 3, 4, 2), dtype=np.float32)
    x = Tensor(logits, requires_grad=True)
    loss = losses.build("0.3*ce + 0.7*lovasz")(x, target)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32
    assert isinstance(loss.data, np.ndarray)


@pytest.mark.parametrize("name", [*losses.names(), "cross_entropy", "lovasz_softmax"])
def test_build_knows_every_name(name):
    logits, target = draw((2, 3, 4, 2))
    function = losses.LOSSES[name]
    np.testing.assert_array_equal(losses.build(name)(logits, target).data, function(logits, target).data)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ce+dice", "cross_entropy + dice"),
        (" ce  +  0.5 * dice ", "cross_entropy + 0.5*dice"),
        (".5*focal+1e-2*lovasz+2.*bce", "0.5*focal + 0.01*lovasz_softmax + 2*bce"),
    ],
)
def test_build_reads(text, shown):
    assert repr(losses.build(text)) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dise", "no loss named 'dise'; did you mean 'dice'"),
        ("ce + lovash", "did you mean 'lovasz'"),
        ("Dice", "did you mean 'dice'"),
        ("crossentropy", "did you mean 'cross_entropy'"),
        ("hinge", r"no loss named 'hinge'. Losses: bce, ce, dice, focal, lovasz, tversky"),
        ("", "can't read ''"),
        ("ce +", "can't read ''"),
        ("ce - dice", "can't read 'ce - dice'"),
        ("dice*0.5", r"can't read 'dice\*0.5'"),
        ("1.2.3*ce", "can't read"),
    ],
)
def test_build_says_what_it_cannot_read(text, message):
    with pytest.raises(ValueError, match=message):
        losses.build(text)


def test_build_refuses_options_that_nothing_takes():
    with pytest.raises(TypeError, match="takes no option named 'gama'; did you mean 'gamma'"):
        losses.build("ce + focal", gama=1.0)
    with pytest.raises(
        TypeError, match=r"'ce' takes no option named 'smooth'\. Options: ignore_index, weight"
    ):
        losses.build("ce", smooth=1.0)
    with pytest.raises(TypeError, match="no option named 'reduction'"):
        losses.build("ce", reduction="sum")
    with pytest.raises(TypeError, match="got a list"):
        losses.build(["ce", "dice"])


# ---------------------------------------------------------------------------------------------------------
# Errors


@pytest.mark.parametrize("name", ["cross_entropy", "bce", *PAIRS])
def test_labels_outside_are_named_as_in_cross_entropy(name):
    logits, target = draw((2, 3, 2, 2))
    target[0, 0, 0], target[1] = -1, 255
    with pytest.raises(ValueError, match=r"labels outside 0\.\.2: -1 \(1 times\), 255 \(4 times\)"):
        run(name, logits, target)
    with pytest.raises(ValueError, match=r"labels outside 0\.\.2: -1 \(1 times\)\. If one of them marks"):
        run(name, logits, target, ignore_index=255)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"logits": np.zeros(3)}, ValueError, r"logits has shape \(3,\)"),
        ({"logits": np.zeros((2, 3, 4), int)}, TypeError, "dtype int64"),
        ({"target": np.zeros((2, 5), int)}, ValueError, r"target has shape \(2, 5\)"),
        ({"target": np.zeros((2, 4))}, TypeError, "expected an integer dtype"),
        ({"target": [[0] * 4] * 2}, TypeError, "target is a list"),
        ({"weight": np.ones(4)}, ValueError, "one weight for each class"),
        ({"weight": np.ones(3, np.float32)}, TypeError, "same dtype"),
        ({"weight": np.array([1.0, -1.0, 1.0])}, ValueError, "negative"),
        ({"pixel_weight": np.ones((2, 3))}, ValueError, "one weight for each target"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index"),
    ],
)
def test_bad_arguments(name, change, error, message):
    arguments = {"logits": np.zeros((2, 3, 4)), "target": np.zeros((2, 4), int)} | change
    with pytest.raises(error, match=message):
        getattr(losses, name)(**arguments)


def test_bad_options():
    logits, target = np.zeros((2, 3)), np.zeros(2, int)
    with pytest.raises(ValueError, match=r"dice_loss: smooth is -1\.0; expected a number of at least 0"):
        losses.dice(logits, target, smooth=-1.0)
    with pytest.raises(ValueError, match="tversky_loss: alpha is"):
        losses.tversky(logits, target, alpha=-0.1)
    with pytest.raises(ValueError, match="focal_loss: gamma is"):
        losses.focal(logits, target, gamma=-1)
    with pytest.raises(TypeError, match="gamma is '2'"):
        losses.focal(logits, target, gamma="2")
    with pytest.raises(ValueError, match=r"expected one of \['mean', 'sum', 'none'\]"):
        losses.focal(logits, target, reduction="average")
    for name in ("dice", "tversky", "lovasz_softmax"):
        with pytest.raises(ValueError, match=name + r"_loss: classes is 'some'; expected one of"):
            getattr(losses, name)(logits, target, classes="some")
    with pytest.raises(ValueError, match="target requires a gradient"):
        losses.dice(logits, Tensor(np.zeros(2), requires_grad=True))


def test_bad_arguments_of_backwards():
    logits, target = draw((4, 3))
    for name in PAIRS:
        forward, backward = pair(name)
        _, *kept = forward(logits, target)
        more = () if name == "lovasz_softmax" else (target,)
        with pytest.raises(ValueError, match=r"dloss has shape \(4,\); expected \(\)"):
            backward(np.zeros(4), *kept, *more)
        with pytest.raises(TypeError, match="dloss has dtype float32"):
            backward(np.float32(1.0)[...], *kept, *more)
    with pytest.raises(ValueError, match="slopes has shape"):
        losses.lovasz_softmax_loss_backward(1.0, np.zeros((4, 3)), np.zeros((4, 2)))


def test_every_loss_takes_the_same_names():
    for loss in losses.LOSSES.values():
        parameters = list(inspect.signature(loss).parameters)
        assert parameters[:2] == ["logits", "target"]
        assert {"weight", "pixel_weight", "ignore_index"} <= set(parameters)


def test_a_small_network_learns_with_every_loss():
    """Steps down the gradient bring all pixels of a little problem to their classes."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, (2, 4, 4))
    for name in losses.names():
        x = Tensor(0.1 * rng.normal(size=(2, 3, 4, 4)), requires_grad=True)
        loss = losses.build(name)
        for _ in range(60):
            x.grad = None
            loss(x, target).backward()
            x.data = x.data - 0.5 * x.grad / np.abs(x.grad).max()
        np.testing.assert_array_equal(x.data.argmax(axis=1), target)
