"""Tests of the tests: planted mistakes that the gradient checks must catch, and right code that they must pass.

The convolution and the pooling here are small loops of their own, so that nothing depends on the ops.
"""

import numpy as np
import pytest

from minisegnet.autograd import Tensor, no_grad, record
from minisegnet.testing import GradientError, check_adjoint, check_gradients, check_vjp, distinct_values

SEEDS = [0, 1, 2]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# ---------------------------------------------------------------------------------------------------------
# Right code to plant mistakes in


def convolve(x, w):
    KH, KW = w.shape
    OH, OW = x.shape[0] - KH + 1, x.shape[1] - KW + 1
    y = np.zeros((OH, OW))
    for i in range(OH):
        for j in range(OW):
            y[i, j] = (x[i : i + KH, j : j + KW] * w).sum()
    return y


def convolve_backward(dy, x, w, flip=False):
    KH, KW = w.shape
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i : i + KH, j : j + KW] += dy[i, j] * (w[::-1, ::-1] if flip else w)
            dw += dy[i, j] * x[i : i + KH, j : j + KW]
    return dx, dw


def windows(x, k, s, p):
    """Yield (output position, input positions) of each pooling window; padding is left out."""
    H, W = x.shape
    for i in range((H + 2 * p - k) // s + 1):
        for j in range((W + 2 * p - k) // s + 1):
            rows = range(max(i * s - p, 0), min(i * s - p + k, H))
            columns = range(max(j * s - p, 0), min(j * s - p + k, W))
            yield (i, j), [(r, c) for r in rows for c in columns]


def max_pool(x, k=3, s=2, p=1):
    H, W = x.shape
    y = np.zeros(((H + 2 * p - k) // s + 1, (W + 2 * p - k) // s + 1))
    for out, seen in windows(x, k, s, p):
        y[out] = max(x[at] for at in seen)
    return y


def max_pool_backward(dy, x, k=3, s=2, p=1, assign=False, padded_index=False):
    dx = np.zeros(x.size)
    W = x.shape[1]
    for out, seen in windows(x, k, s, p):
        r, c = max(seen, key=lambda at: x[at])
        index = (r * (W + 2 * p) + c) % x.size if padded_index else r * W + c
        if assign:
            dx[index] = dy[out]
        else:
            dx[index] += dy[out]
    return dx.reshape(x.shape)


# ---------------------------------------------------------------------------------------------------------
# No false alarms


@pytest.mark.parametrize("seed", SEEDS)
def test_right_code_passes(seed):
    check_vjp(convolve, convolve_backward, normal(5, 6), normal(3, 2), seed=seed)
    check_vjp(max_pool, max_pool_backward, distinct_values((5, 7), seed=seed), seed=seed)
    check_vjp(np.sin, lambda dy, x: dy * np.cos(x), normal(3, 4), seed=seed)
    check_vjp(
        lambda a, b: a @ b, lambda dy, a, b: (dy @ b.T, a.T @ dy), normal(3, 4), normal(4, 2), seed=seed
    )
    check_vjp(lambda a, b: a + b, lambda dy, a, b: (dy, dy), normal(4), normal(4), seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_steep_and_flat_functions_pass(seed):
    x = normal(50, seed=seed)
    check_vjp(lambda x: np.exp(3 * x), lambda dy, x: 3 * dy * np.exp(3 * x), x, seed=seed)
    check_vjp(lambda x: np.sin(40 * x), lambda dy, x: 40 * dy * np.cos(40 * x), x, seed=seed)
    check_vjp(lambda x: 1e6 + x, lambda dy, x: dy, x, seed=seed)
    check_vjp(lambda x: 1e-3 * x**3, lambda dy, x: 3e-3 * dy * x**2, x, seed=seed)
    check_vjp(lambda x: x / 255, lambda dy, x: dy / 255, 255 * np.abs(x), seed=seed)
    check_vjp(lambda x: 0 * x, lambda dy, x: 0 * dy, x, seed=seed)


def test_scalars_and_empty_batches_pass():
    check_vjp(np.sum, lambda dy, x: np.full_like(x, dy), normal(3, 2))
    check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, np.array(3.0))
    check_vjp(lambda x: 2 * x, lambda dy, x: 2 * dy, np.zeros((0, 3, 4, 4)))
    check_vjp(
        lambda x, w: x @ w, lambda dy, x, w: [dy @ w.T, x.T @ dy], np.zeros((0, 3)), normal(3, 2)
    )  # nothing in, but a gradient of w comes out: zeros
    check_vjp(lambda x: x.sum() + 0.0, lambda dy, x: np.zeros_like(x), np.zeros((0, 2)))


def test_views_and_remembering_code_pass():
    check_vjp(lambda x: x, lambda dy, x: dy, normal(3))
    check_vjp(lambda x: x.T, lambda dy, x: dy.T, normal(3, 2)[:, ::-1])

    class Square:
        def forward(self, x):
            self.x = x
            return x**2

        def backward(self, dy, x):
            return 2 * self.x * dy

    layer = Square()
    check_vjp(layer.forward, layer.backward, normal(4))


def test_a_larger_input_takes_few_calls():
    calls = []

    def f(x):
        calls.append(1)
        return x**2

    check_vjp(f, lambda dy, x: 2 * x * dy, normal(5000))
    assert len(calls) < 20


def test_the_inputs_stay_as_they_are():
    x = normal(3, 2)
    x.flags.writeable = False
    before = x.copy()
    check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, x)
    np.testing.assert_array_equal(x, before)


# ---------------------------------------------------------------------------------------------------------
# Planted mistakes


def mutate_first(dy, x):
    x[0] += 1
    return dy * 2


PLANTED = {
    "ignores dy": (
        np.sin,
        lambda dy, x: np.cos(x),
        [normal(3, 4)],
        r"not linear in dy.*\[\d, \d\].*does backward ignore dy\?",
    ),
    "divides by dy": (
        np.sin,
        lambda dy, x: np.cos(x) / dy,
        [normal(3, 4)],
        r"not linear in dy.*does it divide by dy",
    ),
    "dy twice": (np.sin, lambda dy, x: np.cos(x) * dy * dy, [normal(3)], r"does dy come in twice"),
    "dy plus a constant": (np.sin, lambda dy, x: np.cos(x) * dy + 1, [normal(3)], r"something else added"),
    "max pool: 1/dy": (
        max_pool,
        lambda dy, x: max_pool_backward(1 / dy, x),
        [distinct_values((5, 7))],
        r"not linear in dy",
    ),
    "= for += where windows overlap": (
        max_pool,
        lambda dy, x: max_pool_backward(dy, x, assign=True),
        [distinct_values((5, 7))],
        r"gradient of input 0 \(x\) is wrong\n  at \[\d, \d\]: backward gives .*, the numerical derivative is",
    ),
    "index of the padded plane": (
        max_pool,
        lambda dy, x: max_pool_backward(dy, x, padded_index=True),
        [distinct_values((5, 7))],
        r"gradient of input 0 \(x\) is wrong",
    ),
    "missing flip": (
        convolve,
        lambda dy, x, w: convolve_backward(dy, x, w, flip=True),
        [normal(5, 6), normal(3, 2)],
        r"gradient of input 0 \(x\) is wrong",
    ),
    "forgotten 1/n": (
        lambda x: x.mean(),
        lambda dy, x: np.full_like(x, dy),
        [normal(3, 4)],
        r"every gradient is 12.00 times too large, and 12 is the number of elements of the input: .* missing\?",
    ),
    "1/n of the wrong axis": (
        lambda x: x.mean(axis=0),
        lambda dy, x: np.tile(dy / x.shape[1], (3, 1)),
        [normal(3, 5)],
        r"every gradient is 1.67 times too small",
    ),
    "mean over the wrong axis": (
        lambda x: x.mean(axis=0),
        lambda dy, x: np.tile(dy[:, None] / 4, (1, 4)),
        [normal(4, 4)],
        r"gradient of input 0 \(x\) is wrong",
    ),
    "a factor of two": (
        lambda x: x**2,
        lambda dy, x: x * dy,
        [normal(3)],
        r"3 of 3 elements checked are wrong\n  hint: every gradient is 2.00 times too small",
    ),
    "opposite sign": (lambda x: -x, lambda dy, x: dy, [normal(3)], r"every gradient has the opposite sign"),
    "negative multiple": (
        lambda x: -x,
        lambda dy, x: 3 * dy,
        [normal(3)],
        r"is -3.00 times what it should be",
    ),
    "always zero": (
        lambda x: x,
        lambda dy, x: 0 * dy,
        [normal(3)],
        r"every gradient is 0: does dy reach it\?",
    ),
    "backward changes an input": (
        lambda x: 2 * x,
        mutate_first,
        [normal(3)],
        r"backward changed input 0 \(x\) in place, first at \[0\]",
    ),
    "backward changes dy": (
        lambda x: 2 * x,
        lambda dy, x: np.multiply(dy, 2, out=dy),
        [normal(3)],
        r"backward changed dy in place",
    ),
    "the function changes its input": (
        lambda x: np.multiply(x, 2, out=x),
        lambda dy, x: 2 * dy,
        [normal(3)],
        r"the function changed input 0 \(x\) in place",
    ),
    "float32 result": (
        lambda x: (2 * x).astype(np.float32),
        lambda dy, x: 2 * dy,
        [normal(3)],
        r"the function returned float32",
    ),
    "float32 gradient": (
        lambda x: 2 * x,
        lambda dy, x: (2 * dy).astype(np.float32),
        [normal(3)],
        r"gradient of input 0 \(x\) is float32; expected float64",
    ),
    "float32 inside": (
        lambda x: (2 * x).astype(np.float32).astype(np.float64),
        lambda dy, x: 2 * dy,
        [normal(3)],
        r"compute in float32 inside",
    ),
    "swapped, other shapes": (
        lambda a, b: a @ b,
        lambda dy, a, b: (a.T @ dy, dy @ b.T),
        [normal(3, 4), normal(4, 2)],
        r"gradient of input 0 \(a\) has shape \(4, 2\); expected \(3, 4\)\n.*fit input 1 \(b\): .*order",
    ),
    "swapped, same shape": (
        lambda a, b: a * b,
        lambda dy, a, b: (dy * a, dy * b),
        [normal(3, 4), normal(3, 4, seed=1)],
        r"gradient of input 0 \(a\) is wrong.*returned for input 1 \(b\): .*order",
    ),
    "one is missing": (
        lambda a, b: a * b,
        lambda dy, a, b: dy * b,
        [normal(3)] * 2,
        r"returned 1 gradients for 2",
    ),
    "one is None": (
        lambda a, b: a * b,
        lambda dy, a, b: (dy * b, None),
        [normal(3)] * 2,
        r"gradient of input 1 \(b\) is missing \(None\)",
    ),
    "a number": (lambda x: x.sum(), lambda dy, x: 1.0, [normal(3)], r"is a float; expected a NumPy array"),
    "not summed over copies": (
        lambda x, b: x + b,
        lambda dy, x, b: (dy, dy),
        [normal(3, 4), normal(1, 4)],
        r"gradient of input 1 \(b\) has shape \(3, 4\)",
    ),
    "summed too far": (
        lambda x: x + 1,
        lambda dy, x: dy.sum(axis=0),
        [normal(3, 4)],
        r"has shape \(4,\); expected \(3, 4\)\n  hint: is it summed over too many axes\?",
    ),
    "NaN": (
        lambda x: x,
        lambda dy, x: np.where(x == x[1], np.nan, dy),
        [normal(3)],
        r"gradient of input 0 \(x\) holds NaN or infinity, first at \[1\]",
    ),
    "NaN result": (lambda x: x * np.nan, lambda dy, x: dy, [normal(3)], r"function returned NaN or infinity"),
    "wrong for one input only": (
        lambda a, b, c: a * b * c,
        lambda dy, a, b, c: (dy * b * c, dy * a * c, dy * a),
        [normal(3), normal(3, seed=1), normal(3, seed=2)],
        r"gradient of input 2 \(c\) is wrong",
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PLANTED)
def test_planted_mistakes_are_caught(name, seed):
    f, backward, inputs, message = PLANTED[name]
    with pytest.raises(GradientError, match="(?s)" + message):
        check_vjp(f, backward, *inputs, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("place", [0, 1234, 2999])
def test_one_wrong_element_of_thousands_is_named(place, seed):
    def backward(dy, x):
        dx = 2 * x * dy
        dx[place] *= 1.5
        return dx

    with pytest.raises(GradientError, match=rf"at \[{place}\]: backward gives"):
        check_vjp(lambda x: x**2, backward, 1 + np.abs(normal(3000)), seed=seed)


def test_a_small_error_beside_large_gradients_is_found_in_a_tiny_input():
    scale = np.array([1e6, 0.1, 1e6])
    with pytest.raises(GradientError, match=r"at \[1\](?s:.*)1 of 3 elements checked are wrong"):
        check_vjp(lambda x: scale * x, lambda dy, x: dy * np.array([1e6, 0.2, 1e6]), normal(3))


def test_the_factor_is_named_on_large_inputs_too():
    with pytest.raises(GradientError, match=r"3000.00 times too large, and 3000 is the number of elements"):
        check_vjp(np.mean, lambda dy, x: np.full_like(x, dy), normal(3000))


def test_random_functions_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="another result when it is called again"):
        check_vjp(lambda x: x * rng.random(x.shape), lambda dy, x: dy, normal(3))


def test_ties_are_named():
    with pytest.raises(GradientError, match=r"(?s)kink.*distinct_values"):
        check_vjp(max_pool, max_pool_backward, np.ones((5, 7)))
    with pytest.raises(GradientError, match="kink"):
        check_vjp(lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0), np.array([1.0, 0.0, -2.0]))


# ---------------------------------------------------------------------------------------------------------
# Arguments that are refused


def test_float32_is_refused_with_a_reason():
    with pytest.raises(
        TypeError, match=r"input 0 \(x\) has dtype float32; expected float64\..*rounding.*astype"
    ):
        check_vjp(lambda x: x, lambda dy, x: dy, normal(3).astype(np.float32))


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match=r"input 1 \(t\) has dtype int64.*lambda x: f\(x, target\)"):
        check_vjp(lambda x, t: x, lambda dy, x, t: (dy, None), normal(3), np.arange(3))
    with pytest.raises(TypeError, match="input 0 is a list; expected a NumPy array"):
        check_vjp(lambda *x: x[0], lambda dy, x: dy, [1.0, 2.0])
    with pytest.raises(ValueError, match="NaN or infinity"):
        check_vjp(lambda x: x, lambda dy, x: dy, np.array([1.0, np.nan]))
    with pytest.raises(TypeError, match="at least one input"):
        check_vjp(lambda x: x, lambda dy, x: dy)
    with pytest.raises(TypeError, match=r"returned a tuple; check one result at a time"):
        check_vjp(lambda x: (x, x), lambda dy, x: dy, normal(3))
    with pytest.raises(TypeError, match=r"returned a float; expected a NumPy array"):
        check_vjp(lambda x: 1.0, lambda dy, x: dy, normal(3))


# ---------------------------------------------------------------------------------------------------------
# check_gradients


def square(x, factor=2.0):
    x_data = x.data
    return record(x_data**2, [x], lambda dy: factor * x_data * dy)


def leaf(*shape, seed=0):
    return Tensor(normal(*shape, seed=seed), requires_grad=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tape_passes(seed):
    x = leaf(3, 4)
    check_gradients(square, x, seed=seed)
    check_gradients(lambda x: square(square(x) * 0.5), x, seed=seed)
    check_gradients(lambda x: (square(x), "indices"), x, seed=seed)
    check_gradients(square, Tensor(np.array(3.0), requires_grad=True), seed=seed)
    check_gradients(square, Tensor(np.zeros((0, 2)), requires_grad=True), seed=seed)


def test_the_tape_is_judged():
    with pytest.raises(GradientError, match=r"(?s)gradient of tensor 0 \(x\) is wrong.*1.50 times too large"):
        check_gradients(lambda x: square(x, 3.0), leaf(3))
    with pytest.raises(GradientError, match="does not require a gradient: the function lost the tape"):
        check_gradients(lambda x: square(x.detach()), leaf(3))
    with pytest.raises(GradientError, match=r"gradient of tensor 1 \(unused\) is missing"):
        check_gradients(lambda x, unused: square(x), leaf(3), leaf(2))
    with pytest.raises(GradientError, match="backward is not linear in dy"):
        check_gradients(lambda x: record(x.data * 2, [x], lambda dy: np.full(3, 2.0)), leaf(3))


def test_constants_are_left_out_and_named_by_position():
    constant = Tensor(np.arange(3))
    wrong = lambda c, x: square(x, 1.0)  # noqa: E731
    with pytest.raises(GradientError, match=r"tensor 1 \(x\)"):
        check_gradients(wrong, constant, leaf(3))
    check_gradients(lambda c, x: square(x), constant, leaf(3))


def test_tensors_are_left_as_they_were():
    x, z = leaf(3), leaf(3)
    data, grad = x.data, np.ones(3)
    x.grad = grad
    check_gradients(square, x)
    assert x.data is data and x.grad is grad
    with pytest.raises(GradientError):
        check_gradients(lambda z: square(z, 3.0), z)
    assert z.grad is None
    np.testing.assert_array_equal(z.data, normal(3))


def test_parameters_reached_another_way_are_checked():
    w = leaf(3)
    check_gradients(lambda *parameters: square(w), w)
    with pytest.raises(GradientError, match="tensor 0 is wrong"):
        check_gradients(lambda *parameters: square(w, 1.0), w)


def test_bad_tensors_are_refused():
    with pytest.raises(TypeError, match="argument 0 is a ndarray; expected a Tensor"):
        check_gradients(square, normal(3))
    with pytest.raises(TypeError, match=r"tensor 0 \(x\) has dtype float32; expected float64"):
        check_gradients(square, Tensor(np.ones(3, np.float32), requires_grad=True))
    with pytest.raises(ValueError, match="no tensor requires a gradient"):
        check_gradients(square, Tensor(normal(3)))
    with pytest.raises(ValueError, match=r"only leaves keep a gradient: pass .detach\(\)"):
        check_gradients(square, 2 * leaf(3))
    with pytest.raises(TypeError, match="returned ndarray; expected a Tensor"):
        check_gradients(lambda x: x.data, leaf(3))
    with no_grad(), pytest.raises(GradientError, match="no_grad"):
        check_gradients(square, leaf(3))


# ---------------------------------------------------------------------------------------------------------
# check_adjoint


@pytest.mark.parametrize("seed", SEEDS)
def test_adjoints_pass(seed):
    w = normal(3, 2)
    check_adjoint(
        lambda x: convolve(x, w),
        lambda dy: convolve_backward(dy, np.zeros((5, 6)), w)[0],
        normal(5, 6),
        seed=seed,
    )
    check_adjoint(lambda x: x[::2], lambda y: np.insert(y, [1, 2], 0.0), np.zeros(4), seed=seed)
    check_adjoint(lambda x: 2 * x, lambda y: 2 * y, np.zeros((0, 3)), seed=seed)
    check_adjoint(np.sum, lambda y: np.full(3, y), np.ones(3), seed=seed)


def test_wrong_adjoints_are_caught():
    w = normal(3, 2)
    flipped = lambda dy: convolve_backward(dy, np.zeros((5, 6)), w, flip=True)[0]  # noqa: E731
    with pytest.raises(GradientError, match=r"not the adjoint of linear\n  <linear\(x\), y> is"):
        check_adjoint(lambda x: convolve(x, w), flipped, normal(5, 6))
    with pytest.raises(GradientError, match="2 times as much"):
        check_adjoint(lambda x: x, lambda y: 2 * y, np.zeros(4))
    with pytest.raises(GradientError, match=r"linear is not linear.*\n.*is there a bias\?"):
        check_adjoint(lambda x: x + 1, lambda y: y, np.ones(4))
    with pytest.raises(GradientError, match=r"linear is not linear.*\n.*relu"):
        check_adjoint(lambda x: np.maximum(x, 0), lambda y: y, np.ones(4))
    with pytest.raises(GradientError, match=r"adjoint\(y\) has shape \(4,\); expected \(2, 2\)"):
        check_adjoint(lambda x: x.ravel(), lambda y: y, np.ones((2, 2)))
    with pytest.raises(GradientError, match="adjoint changed y in place"):
        check_adjoint(lambda x: x, lambda y: np.negative(y, out=y), np.ones(4))
    with pytest.raises(GradientError, match="not the adjoint of linear"):
        check_adjoint(lambda x: 0 * x, lambda y: y, np.ones(4))
    with pytest.raises(TypeError, match="x has dtype float32"):
        check_adjoint(lambda x: x, lambda y: y, np.ones(4, np.float32))


# ---------------------------------------------------------------------------------------------------------
# distinct_values


@pytest.mark.parametrize("shape", [(), 1, 7, (2, 3), (1, 2, 5, 5), (0, 3)])
@pytest.mark.parametrize("seed", SEEDS)
def test_distinct_values_are_far_apart(shape, seed):
    x = distinct_values(shape, seed=seed, gap=0.1)
    assert x.shape == ((shape,) if isinstance(shape, int) else shape) and x.dtype == np.float64
    ladder = np.sort(x, axis=None)
    assert np.all(np.diff(ladder) >= 0.1 - 1e-12)
    assert np.all(np.abs(ladder) >= 0.05 - 1e-12)
    assert abs(ladder.sum()) <= 0.05 * x.size + 1e-12


def test_distinct_values_are_shuffled_by_seed():
    a, b = distinct_values(50, seed=1), distinct_values(50, seed=2)
    assert not np.array_equal(a, b) and not np.array_equal(a, np.sort(a))
    np.testing.assert_array_equal(a, distinct_values(50, seed=1))
    assert distinct_values((2, 2), dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="gap is 0"):
        distinct_values(3, gap=0)
