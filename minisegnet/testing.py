"""Is my backward right? Gradient checks for kernels and for the tape, for this library's code and for yours.

``check_vjp`` checks a forward and a backward written by hand, ``check_gradients`` a function of Tensors,
``check_adjoint`` a linear op and its transpose. ``distinct_values`` makes inputs without ties, as max pooling
needs them. A check that fails raises ``GradientError`` and says which input, which element, and what was
expected.

The idea. Let g = backward(dy) be the gradient of <dy, f(x)>, a number. Walk a small step along a random direction
u: that number must change by <g, u> per unit of the way. If it does for random dy and random u, every entry of
the Jacobian has taken part in it. dy is never all ones: a backward that ignores dy would pass.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, no_grad

TINY = 64  # up to this many elements, an input is checked element by element
SAMPLE = 96  # so many elements of a larger input are looked at once it has failed
EPS = float(np.finfo(np.float64).eps)


class GradientError(AssertionError):
    """A gradient check failed."""


# ---------------------------------------------------------------------------------------------------------
# The four public functions


def check_vjp(
    f: Callable[..., Any],
    backward: Callable[..., Any],
    *inputs: Array,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    seed: int = 0,
    step: float = 1e-4,
) -> None:
    """Check a backward against numerical derivatives of its forward.

    Parameters
    ----------
    f
        ``f(*inputs) -> y``. Options and constant arguments (stride, targets, indices) go into a lambda.
    backward
        ``backward(dy, *inputs)`` -> one gradient for each input, in that order; for one input the array alone
        will do.
    *inputs
        float64 arrays, of ordinary size (about 1).
    rtol, atol
        How far analytic and numerical derivative may be apart, relative to the derivative and absolutely.
    seed
        Of the random dy and directions.
    step
        Largest change of an element. f must have no kink (a tie, relu at 0) that close.

    Raises
    ------
    GradientError
        Also where f or backward changes an argument, f gives another result the second time, or backward isn't
        linear in dy.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> check_vjp(lambda x: x**2, lambda dy, x: 2 * x * dy, x)
    >>> check_vjp(lambda x: x**2, lambda dy, x: 4 * x * dy, x)
    Traceback (most recent call last):
    ...
    minisegnet.testing.GradientError: the gradient of input 0 (x) is wrong
      at [1, 0]: backward gives 7.68507, the numerical derivative is 3.84254
      4 of 4 elements checked are wrong
      hint: every gradient is 2.00 times too large
    """
    names = _names("input", f, len(inputs))
    arrays = [_checked_input(x, name) for x, name in zip(inputs, names, strict=True)]
    if not arrays:
        raise TypeError("check_vjp needs at least one input: check_vjp(f, backward, x)")
    _Check(f, backward, arrays, names, rtol, atol, step, seed).run()


def check_gradients(
    function: Callable[..., Any],
    *tensors: Tensor,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    seed: int = 0,
    step: float = 1e-4,
) -> None:
    """Check the gradients that the tape gives for a function of Tensors against numerical derivatives.

    Parameters
    ----------
    function
        ``function(*tensors)`` -> a Tensor, or a tuple that starts with one.
    *tensors
        Those that require a gradient are checked. They are float64. Their ``.data`` is exchanged while the check
        runs; afterwards ``.data`` and ``.grad`` are as they were. The function may also reach them some other
        way, for example as a model's parameters.
    rtol, atol, seed, step
        As in :func:`check_vjp`.

    Examples
    --------
    >>> from minisegnet import functional
    >>> x = Tensor(distinct_values((2, 3)), requires_grad=True)
    >>> check_gradients(functional.relu, x)
    """
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"argument {i} is a {type(tensor).__name__}; expected a Tensor")
        if tensor.requires_grad and tensor.node is not None:
            raise ValueError(
                f"tensor {i} was made by a function; only leaves keep a gradient: pass .detach()"
            )
    checked = [t for t in tensors if t.requires_grad]
    if not checked:
        raise ValueError("no tensor requires a gradient: make one by Tensor(array, requires_grad=True)")
    names = [
        name
        for name, t in zip(_names("tensor", function, len(tensors)), tensors, strict=True)
        if t.requires_grad
    ]
    arrays = [_checked_input(t.data, name) for t, name in zip(checked, names, strict=True)]

    f, backward = _on_tape(function, tensors, checked)
    before = [(tensor.data, tensor.grad) for tensor in checked]
    try:
        _Check(f, backward, arrays, names, rtol, atol, step, seed).run()
    finally:
        for tensor, (data, grad) in zip(checked, before, strict=True):
            tensor.data, tensor.grad = data, grad


def check_adjoint(
    linear: Callable[[Array], Array],
    adjoint: Callable[[Array], Array],
    x: Array,
    *,
    rtol: float = 1e-9,
    seed: int = 0,
) -> None:
    """Check that one linear op is the transpose of another: <linear(x), y> = <x, adjoint(y)> for any x and y.

    The backward of a linear op is its adjoint, so that this checks it without any finite differences.

    Parameters
    ----------
    linear, adjoint
        Functions of one float64 array. ``adjoint(y)`` has x's shape.
    x
        An input of ``linear``; others of its shape are drawn at random.
    rtol
        How far the two products may be apart, relative to the size of what is summed.
    seed
        Of the random arrays.

    Examples
    --------
    >>> matrix = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    >>> check_adjoint(lambda x: matrix @ x, lambda y: matrix.T @ y, np.ones(3))
    >>> check_adjoint(lambda x: matrix @ x, lambda y: 2 * matrix.T @ y, np.ones(3))
    Traceback (most recent call last):
    ...
    minisegnet.testing.GradientError: adjoint is not the adjoint of linear
      <linear(x), y> is -1.82798, but <x, adjoint(y)> is -3.65595, 2 times as much
    """
    rng = np.random.default_rng(seed)
    x = _checked_input(x, "x")
    z = rng.standard_normal(x.shape)
    a, b = 0.75, 1.25
    of_x, of_z, mixed = (
        _checked_result(_call(linear, "linear", ["x"], point), "linear") for point in (x, z, a * x - b * z)
    )
    scale = np.abs(of_x).max(initial=0) + np.abs(of_z).max(initial=0)
    if np.any(np.abs(mixed - (a * of_x - b * of_z)) > rtol * scale):
        at_zero = _checked_result(linear(np.zeros_like(x)), "linear")
        hint = (
            "linear(0) is not 0: is there a bias?"
            if at_zero.any()
            else "is there a relu, a maximum or a product?"
        )
        raise GradientError(
            f"linear is not linear: linear({a} x - {b} z) is not {a} linear(x) - {b} linear(z)\n  hint: {hint}"
        )
    y = rng.standard_normal(of_x.shape)
    back = _checked_gradient(_call(adjoint, "adjoint", ["y"], y), x.shape, "adjoint(y)")
    for point, image in ((x, of_x), (z, of_z)):
        there, here = float(np.sum(image * y)), float(np.sum(point * back))
        scale = np.linalg.norm(image) * np.linalg.norm(y) + np.linalg.norm(point) * np.linalg.norm(back)
        if abs(there - here) > rtol * scale:
            times = f", {here / there:.6g} times as much" if there else ""
            raise GradientError(
                "adjoint is not the adjoint of linear\n"
                f"  <linear(x), y> is {there:.6g}, but <x, adjoint(y)> is {here:.6g}{times}"
            )


def distinct_values(
    shape: int | Sequence[int], *, seed: int = 0, gap: float = 0.05, dtype: Any = np.float64
) -> Array:
    """Make an array without ties: a shuffled ladder around 0 that leaves out 0 itself.

    Max pooling has a kink where two values of a window are equal, and relu has one at 0. A numerical derivative
    across a kink is wrong. Here any two values are at least ``gap`` apart, and at least ``gap / 2`` from 0.

    Parameters
    ----------
    shape
        Of the result.
    seed
        Of the shuffle.
    gap
        Distance of neighbouring values.
    dtype
        Of the result.

    Examples
    --------
    >>> np.sort(distinct_values((2, 2), gap=1.0), axis=None)
    array([-1.5, -0.5,  0.5,  1.5])
    """
    if not gap > 0:
        raise ValueError(f"gap is {gap}; expected a positive number")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n = math.prod(shape)
    ladder = (np.arange(n) - n // 2 + 0.5) * gap  # the gap times ... -1.5, -0.5, 0.5, 1.5 ...
    values: Array = np.random.default_rng(seed).permutation(ladder).reshape(shape).astype(dtype)
    return values


def _on_tape(
    function: Callable[..., Any], tensors: Sequence[Tensor], checked: Sequence[Tensor]
) -> tuple[Callable[..., Array], Callable[..., list[Array | None]]]:
    """Turn a function of tensors into a forward and a backward of the arrays of those that are checked."""

    def forward(*values: Array) -> Tensor:
        for tensor, value in zip(checked, values, strict=True):
            tensor.data, tensor.grad = value, None
        result = function(*tensors)
        result = result[0] if isinstance(result, tuple) and result else result
        if not isinstance(result, Tensor):
            raise TypeError(f"the function returned {type(result).__name__}; expected a Tensor")
        return result

    def f(*values: Array) -> Array:
        with no_grad():
            return forward(*values).data

    def backward(dy: Array, *values: Array) -> list[Array | None]:
        result = forward(*values)
        if not result.requires_grad:
            raise GradientError(
                "the result does not require a gradient: the function lost the tape on its way (.data? detach()? "
                "no_grad()?), or uses none of the tensors"
            )
        result.backward(dy)
        return [tensor.grad for tensor in checked]

    return f, backward


# ---------------------------------------------------------------------------------------------------------
# The check itself


@dataclass
class _Check:
    """One check: what is given, and (once it has begun) dy, y and the gradients that are being judged."""

    f: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: list[Array]
    names: list[str]  # what a message calls each input
    rtol: float
    atol: float
    step: float
    seed: int
    dy: Array = field(init=False)
    y: Array = field(init=False)
    gradients: list[Array] = field(init=False)

    def run(self) -> None:
        self.y, again = self._result(), self._result()
        largest = np.abs(self.y).max(initial=0)
        if self.y.shape != again.shape or np.any(np.abs(self.y - again) > 1e-12 * largest):
            raise GradientError(
                "the function gives another result when it is called again with the same inputs\n"
                "  hint: does it draw random numbers or keep state? Fix the seed inside, or pass the mask in"
            )
        rng = np.random.default_rng(self.seed)
        self.dy = rng.standard_normal(self.y.shape)
        self.gradients = self._backward(self.dy)
        self._check_linear_in_dy(rng)
        for i, x in enumerate(self.inputs):
            direction = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape)
            terms = self.gradients[i] * direction
            found, expected = float(np.sum(terms)), self._slope(i, direction)
            scale = max(float(np.linalg.norm(terms)), abs(expected))
            if not abs(found - expected) <= self._tolerance(i, scale):  # `not <=`, so that a NaN fails too
                self._check_elements(i, self._suspects(i, rng))
                raise GradientError(
                    f"the gradient of {self.names[i]} is wrong: along a random direction it gives {found:.8g}, the "
                    f"numerical derivative is {expected:.8g} (no single element stands out)"
                )
            if x.size <= TINY:
                self._check_elements(i, np.arange(x.size))

    # Calling what is checked

    def _result(self) -> Array:
        return _checked_result(_call(self.f, "the function", self.names, *self.inputs), "the function")

    def _backward(self, dy: Array) -> list[Array]:
        """Call backward right after the function (which may be code that remembers its last forward)."""
        dy = np.asarray(dy)  # arithmetic turns 0-d arrays into NumPy numbers
        self._result()
        found = _call(self.backward, "backward", ["dy", *self.names], dy, *self.inputs)
        if not isinstance(found, tuple | list):
            found = [found]
        if len(found) != len(self.inputs):
            raise GradientError(
                f"backward returned {len(found)} gradients for {len(self.inputs)} inputs; expected one for each"
            )
        shapes = {name: x.shape for name, x in zip(self.names, self.inputs, strict=True)}
        return [
            _checked_gradient(g, x.shape, f"the gradient of {name}", shapes)
            for g, x, name in zip(found, self.inputs, self.names, strict=True)
        ]

    # Numerical derivatives

    def _moved(self, i: int, change: Array) -> Array:
        inputs = [x.copy() for x in self.inputs]
        inputs[i] += change
        return np.array(self.f(*inputs))  # a copy: the result may be a view of an input

    def _slope(self, i: int, direction: Array) -> float:
        """How fast <dy, f> changes as input i moves along the direction; the error is of order step**4."""

        def central(step: float) -> float:
            difference = self._moved(i, step * direction) - self._moved(i, -step * direction)
            return float(np.sum(self.dy * difference)) / (2 * step)

        # Richardson: the errors of order step**2 cancel.
        return (4 * central(self.step / 2) - central(self.step)) / 3

    def _tolerance(self, i: int, scale: Any) -> Any:
        """Allow for what the caller allows, and for rounding, which the division by the step blows up."""
        of_result = 50 * EPS / self.step * float(np.linalg.norm(self.dy * self.y))
        of_input = 8 * EPS / self.step * float(np.abs(self.inputs[i]).max(initial=0))
        return self.atol + of_result + (self.rtol + of_input) * scale

    # The checks

    def _check_linear_in_dy(self, rng: np.random.Generator) -> None:
        """Check backward(a dy - b other) = a backward(dy) - b backward(other)."""
        a, b = 0.75, 1.25
        other = rng.standard_normal(self.dy.shape)
        others, mixed = self._backward(other), self._backward(a * self.dy - b * other)
        for i, name in enumerate(self.names):
            expected = a * self.gradients[i] - b * others[i]
            scale = np.abs(self.gradients[i]).max(initial=0) + np.abs(others[i]).max(initial=0)
            off = np.abs(mixed[i] - expected)
            if np.all(off <= self.rtol * scale + self.atol):
                continue
            index = np.unravel_index(int(np.argmax(off)), off.shape)
            raise GradientError(
                f"backward is not linear in dy: for {name} at {_at(index)}, backward({a} dy - {b} other) gives "
                f"{mixed[i][index]:.6g}, but {a} backward(dy) - {b} backward(other) is {expected[index]:.6g}"
                f"\n  hint: {self._linearity_hint(i, others[i])}"
            )

    def _suspects(self, i: int, rng: np.random.Generator) -> Array:
        """Flat positions to look at in an input that has failed: all, or a sample and one that is surely wrong."""
        shape, size = self.inputs[i].shape, self.inputs[i].size
        suspects = np.arange(size)
        if size <= SAMPLE:
            return suspects
        sample = rng.choice(size, SAMPLE, replace=False)
        while suspects.size > 1:  # go on with the half that is further off
            halves = np.array_split(suspects, 2)
            off = []
            for half in halves:
                direction = np.zeros(shape)
                direction.reshape(-1)[half] = rng.uniform(0.5, 1.0, half.size)
                off.append(abs(float(np.sum(self.gradients[i] * direction)) - self._slope(i, direction)))
            suspects = halves[int(np.argmax(off))]
        return np.union1d(sample, suspects)

    def _check_elements(self, i: int, elements: Array) -> None:
        """Compare element by element, and raise if any is wrong."""
        shape = self.inputs[i].shape
        analytic = self.gradients[i].reshape(-1)[elements]
        numeric = np.array([self._slope(i, _unit(shape, e)) for e in elements])
        tolerance = self._tolerance(i, np.maximum(np.abs(analytic), np.abs(numeric)))
        off = np.abs(analytic - numeric)
        wrong = ~(off <= tolerance)
        if not wrong.any():
            return
        worst = int(np.argmax(np.where(wrong, off, -1)))
        index = np.unravel_index(int(elements[worst]), shape)
        hint = self._element_hint(i, elements, analytic, numeric, tolerance, worst)
        raise GradientError(
            f"the gradient of {self.names[i]} is wrong\n"
            f"  at {_at(index)}: backward gives {analytic[worst]:.6g}, "
            f"the numerical derivative is {numeric[worst]:.6g}\n"
            f"  {int(wrong.sum())} of {elements.size} elements checked are wrong"
            + (f"\n  hint: {hint}" if hint else "")
        )

    # Hints: what such an error usually comes from

    def _linearity_hint(self, i: int, of_other: Array) -> str:
        if np.array_equal(self.gradients[i], of_other):
            return "the gradient stays the same when dy changes: does backward ignore dy?"
        twice = self._backward(2 * self.dy)[i]
        if np.allclose(twice, self.gradients[i] / 2):
            return "twice the dy gives half the gradient: does it divide by dy where it should multiply?"
        if np.allclose(twice, self.gradients[i] * 4):
            return "twice the dy gives four times the gradient: does dy come in twice?"
        return "every term of a gradient has dy in it once, as a factor; is something else added to it?"

    def _element_hint(
        self, i: int, elements: Array, analytic: Array, numeric: Array, tolerance: Array, worst: int
    ) -> str:
        for other, gradient in zip(self.names, self.gradients, strict=True):
            same_shape = other != self.names[i] and gradient.shape == self.inputs[i].shape
            if same_shape and np.all(np.abs(gradient.reshape(-1)[elements] - numeric) <= tolerance):
                return f"this is what backward returned for {other}: are the gradients in the order of the inputs?"
        if self._has_kink(i, int(elements[worst]), float(np.abs(numeric).max())):
            return (
                "the function has a kink or a jump here (the slopes to the left and right differ). Are there "
                "ties, or zeros in front of a relu? Make the input by distinct_values"
            )
        if np.array_equal(self.y, self.y.astype(np.float32)) and np.allclose(analytic, numeric, rtol=0.02):
            return "the result has only the digits of float32: does the function compute in float32 inside?"
        lengths = {"elements of the input": self.inputs[i].size, "elements of the result": self.y.size}
        lengths |= {f"elements along axis {axis}": n for axis, n in enumerate(self.inputs[i].shape)}
        return _ratio_hint(analytic, numeric, tolerance, lengths)

    def _has_kink(self, i: int, element: int, scale: float) -> bool:
        direction = self.step * _unit(self.inputs[i].shape, element)
        here = self._moved(i, 0 * direction)
        right = float(np.sum(self.dy * (self._moved(i, direction) - here))) / self.step
        left = float(np.sum(self.dy * (here - self._moved(i, -direction)))) / self.step
        return abs(right - left) > 0.05 * max(abs(right), abs(left), scale)


def _ratio_hint(found: Array, expected: Array, tolerance: Array, lengths: dict[str, int]) -> str:
    """Name the factor, if there is one that explains all the elements."""
    if not found.any():
        return "every gradient is 0: does dy reach it?"
    largest = int(np.argmax(np.abs(expected)))
    if expected[largest] == 0:
        return ""
    ratio = float(found[largest] / expected[largest])
    if np.any(np.abs(found - ratio * expected) > 1e-3 * np.abs(ratio * expected) + 10 * tolerance):
        return ""
    if abs(ratio + 1) < 1e-3:
        return "every gradient has the opposite sign"
    if ratio < 0:
        return f"every gradient is {ratio:.2f} times what it should be"
    size = ratio if ratio > 1 else 1 / ratio
    text = f"every gradient is {size:.2f} times too {'large' if ratio > 1 else 'small'}"
    for what, length in lengths.items():
        if length > 2 and abs(size / length - 1) < 1e-3:
            slip = "is a division by it missing?" if ratio > 1 else "is it divided by once too often?"
            return f"{text}, and {length} is the number of {what}: {slip}"
    return text


# ---------------------------------------------------------------------------------------------------------
# Looking at what comes in and what comes back


def _checked_input(x: Any, name: str) -> Array:
    """Check an input and return a copy of it, so that nothing can happen to the caller's array."""
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"{name} is a {type(x).__name__}; expected a NumPy array. Constants go into a lambda; for CuPy wrap f "
            "and backward so that they take and return NumPy arrays"
        )
    if x.dtype != np.float64:
        hint = (
            "The difference over a small step would be mostly rounding: convert it by .astype(np.float64)"
            if x.dtype.kind == "f"
            else "Arguments that aren't differentiable go into a lambda: lambda x: f(x, target)"
        )
        raise TypeError(f"{name} has dtype {x.dtype}; expected float64. {hint}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds NaN or infinity; a derivative needs finite numbers")
    return x.copy()


def _call(function: Callable[..., Any], who: str, names: Sequence[str], *arguments: Array) -> Any:
    """Call with copies, and raise if the function has changed one of them."""
    copies = [a.copy() for a in arguments]
    result = function(*copies)
    for name, before, after in zip(names, arguments, copies, strict=True):
        if not np.array_equal(before, after):
            raise GradientError(
                f"{who} changed {name} in place, first at {_at_first(before != after)}\n"
                "  hint: work on a copy; an argument belongs to the caller"
            )
    return result


def _checked_result(y: Any, who: str) -> Array:
    if isinstance(y, np.generic):  # sums and means return NumPy numbers
        y = np.asarray(y)
    if isinstance(y, tuple | list):
        raise TypeError(f"{who} returned a {type(y).__name__}; check one result at a time: lambda x: f(x)[0]")
    if not isinstance(y, np.ndarray):
        raise TypeError(f"{who} returned a {type(y).__name__}; expected a NumPy array")
    if y.dtype != np.float64:
        raise GradientError(
            f"{who} returned {y.dtype} for float64 inputs\n"
            "  hint: is there an np.zeros(..., np.float32) or an astype in it?"
        )
    if not np.isfinite(y).all():
        raise GradientError(f"{who} returned NaN or infinity, first at {_at_first(~np.isfinite(y))}")
    return y.copy()


def _checked_gradient(
    g: Any, shape: tuple[int, ...], name: str, shapes: dict[str, tuple[int, ...]] | None = None
) -> Array:
    if isinstance(g, np.generic):
        g = np.asarray(g)
    if g is None:
        raise GradientError(
            f"{name} is missing (None)\n  hint: is it computed and returned? Does the function use this input?"
        )
    if not isinstance(g, np.ndarray):
        raise GradientError(f"{name} is a {type(g).__name__}; expected a NumPy array")
    if g.shape != shape:
        owners = [other for other, its_shape in (shapes or {}).items() if its_shape == g.shape]
        if owners:
            hint = f"it would fit {owners[0]}: are the gradients in the order of the inputs?"
        elif g.size < math.prod(shape):
            hint = "is it summed over too many axes?"
        else:
            hint = "where the forward repeats values (broadcasting), the backward sums over the copies"
        raise GradientError(f"{name} has shape {g.shape}; expected {shape}\n  hint: {hint}")
    if g.dtype != np.float64:
        raise GradientError(
            f"{name} is {g.dtype}; expected float64, the dtype of the input\n"
            "  hint: is there an np.zeros(..., np.float32) or an astype in backward?"
        )
    if not np.isfinite(g).all():
        raise GradientError(f"{name} holds NaN or infinity, first at {_at_first(~np.isfinite(g))}")
    return g.copy()


def _unit(shape: tuple[int, ...], element: int) -> Array:
    direction = np.zeros(shape)
    direction.reshape(-1)[element] = 1.0
    return direction


def _at(index: Sequence[Any]) -> str:
    return f"[{', '.join(str(int(i)) for i in index)}]"


def _at_first(mask: Array) -> str:
    return _at(np.unravel_index(int(np.argmax(mask)), mask.shape))


def _names(kind: str, f: Callable[..., Any], count: int) -> list[str]:
    """Name the inputs for messages: by position and, where it can be known, as f calls them."""
    try:
        parameters = list(inspect.signature(f).parameters.values())[:count]
    except (TypeError, ValueError):
        parameters = []
    names = [f"{kind} {i}" for i in range(count)]
    for i, parameter in enumerate(parameters):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names[i] += f" ({parameter.name})"
    return names
