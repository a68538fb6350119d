"""What can be seen where no suspect answers alike: which cases fail, where the wrong entries lie, a factor.

Only what holds in every failing case is said.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minisegnet.marking.cases import FAMILIES, ORDINARY, Case, is_empty
from minisegnet.marking.compare import Problem, equal, result_names, wrong_entries
from minisegnet.marking.errors import about_error

if TYPE_CHECKING:
    from minisegnet.marking.judge import Tried

Pair = tuple[Any, Any]


def seen(op: str, tried: Sequence["Tried"], small: "Tried", problem: Problem) -> tuple[list[str], str]:
    """Return lines of evidence, and a hint ("" where nothing is sure)."""
    failing = [
        t for t in tried if any(p.output == problem.output and p.kind == problem.kind for p in t.problems)
    ]
    passing = [t for t in tried if not t.problems]
    evidence = _which_cases(failing, passing)
    pairs = [(t, _right(t, problem.output), t.got(problem.output)) for t in [*failing, small]]
    pairs = [(t, right, got) for t, right, got in pairs if right is not None and got is not None]
    # NaN, ties and rounding blur what ordinary numbers show.
    pairs = [p for p in pairs if p[0].case.fill in ORDINARY and p[0].case.dtype == "float64"] or pairs
    match problem.kind:
        case "values":
            hint = _about_values(pairs, tried, problem.output)
            evidence += [] if hint else _where(pairs)
            if not hint and not evidence:
                evidence = [
                    "No mistake that the marker knows answers like this. Work it out by hand, and compare."
                ]
        case "shape":
            hint = _about_order(pairs, problem.output) or _about_shape(pairs)
        case "dtype":
            hint = _about_dtype(pairs)
        case _:
            hint = _about_conduct(tried, small, problem)
    return evidence, hint


def _right(tried: "Tried", output: str) -> Any:
    names = result_names(tried.case)
    return (tried.case.expected() or ())[names.index(output)] if output in names else None


# ---------------------------------------------------------------------------------------------------------
# Which cases fail


def _differs(*names: str) -> Callable[[Case], bool]:
    def has(case: Case) -> bool:
        least = FAMILIES[case.op].least
        return any(name in least and case.sizes[name] != least[name] for name in names)

    return has


def _not_square(case: Case) -> bool:
    return "H" in case.sizes and case.sizes["H"] != case.sizes["W"]


FEATURES: dict[str, Callable[[Case], bool]] = {
    "an empty batch": is_empty,
    "float32 arrays": lambda case: case.dtype == "float32",
    "read-only arrays": lambda case: case.layout == "read-only",
    "arrays that aren't contiguous in memory (slices, transposed ones)": lambda case: (
        case.layout not in ("plain", "read-only")
    ),
    "NaN in the input": lambda case: case.fill == "nan",
    "infinities in the input": lambda case: case.fill in ("inf", "-inf", "all -inf"),
    "large numbers": lambda case: case.fill == "large",
    "ties": lambda case: case.fill == "ties",
    "negative numbers only": lambda case: case.fill == "negative",
    "groups": _differs("groups"),
    "output_padding": _differs("oh", "ow"),
    "dilation": _differs("dh", "dw"),
    "padding": _differs("ph", "pw"),
    "a stride": _differs("sh", "sw"),
    "ceil_mode": _differs("ceil"),
    "count_include_pad=False": _differs("exclude"),
    "align_corners=True": _differs("align"),
    "aligned=True": _differs("aligned"),
    "training=False": _differs("evaluate"),
    "gamma and beta": _differs("affine"),
    "running statistics": _differs("running", "evaluate"),
    "mode='reflect'": _differs("reflect"),
    "repeated indices": _differs("repeat"),
    "a bias": _differs("bias"),
    "class weights": _differs("weight"),
    "pixel weights": _differs("pixel"),
    "ignored pixels": _differs("ignore"),
    "another reduction than the mean": _differs("reduction"),
    "another axis than 1": _differs("axis"),
    "more than one picture (N > 1)": lambda case: case.sizes.get("N", 1) > 1,
    "more than one input channel": lambda case: case.sizes.get("C", 1) > 1,
    "more than one output channel": lambda case: case.sizes.get("K", 1) > 1,
    "more than one region": lambda case: case.sizes.get("R", 1) > 1,
    "a filter of different height and width": lambda case: (
        "KH" in case.sizes and case.sizes["KH"] != case.sizes["KW"]
    ),
    "maps that aren't square": _not_square,
}


def _which_cases(failing: Sequence["Tried"], passing: Sequence["Tried"]) -> list[str]:
    """Name what all failing cases have and no passing one."""
    if len(failing) < 1 or not passing:
        return []
    for words, has in FEATURES.items():
        if all(has(t.case) for t in failing) and not any(has(t.case) for t in passing):
            return [f"Only cases with {words} fail; the {len(passing)} without pass."]
    for words, has in FEATURES.items():
        if all(has(t.case) for t in failing) and sum(has(t.case) for t in passing) < len(passing) / 2:
            without = sum(not has(t.case) for t in passing)
            return [f"All that fail have {words}; the {without} cases without pass."]
    return []


# ---------------------------------------------------------------------------------------------------------
# What the values look like


def _about_values(pairs: Sequence[tuple["Tried", Any, Any]], tried: Sequence["Tried"], output: str) -> str:
    if all(not got.any() for _, _, got in pairs):
        return (
            f"{output} is all zeros: is the result written anywhere, and is that the array that is returned?"
        )
    if all(np.isnan(right).any() and not np.isnan(got).any() for _, right, got in pairs):
        return (
            "a NaN in the input must show in the result; yours hides it. Comparisons with NaN are all False, and "
            "np.fmax, np.nanmax and np.where(x > 0, x, 0) drop it"
        )
    if all(np.isnan(got).any() and not np.isnan(right).any() for _, right, got in pairs):
        return (
            "NaN comes out where numbers should: look for 0 / 0, inf - inf, inf / inf or the logarithm of a "
            "negative number on the way"
        )
    if all(np.isinf(got).any() and not np.isinf(right).any() for _, right, got in pairs):
        return "infinity comes out where numbers should: look for a division by 0, log(0) or an exp that overflows"
    for name in _argument_names(pairs):
        if all(_is_argument(t, name, got) for t, _, got in pairs):
            return f"your {output} is {name} unchanged"
    return _about_order(pairs, output) or _factor(pairs, output) or _turned(pairs, output)


def _argument_names(pairs: Sequence[tuple["Tried", Any, Any]]) -> list[str]:
    arguments = pairs[0][0].case.arguments() or {}
    return [name for name, value in arguments.items() if isinstance(value, np.ndarray)]


def _is_argument(tried: "Tried", name: str, got: Any) -> bool:
    value = (tried.case.arguments() or {}).get(name)
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and equal(got, value)


def _about_order(pairs: Sequence[tuple["Tried", Any, Any]], output: str) -> str:
    """See whether what is returned in a place belongs in another."""
    other = _other_result(pairs, output) if pairs else ""
    if not other:
        return ""
    told = f"what you return as {output} is {other}: are the results in the right order?"
    names, count = result_names(pairs[0][0].case), len(pairs[0][0].outcome.values)
    if count < len(names):
        told = f"{told} {count} came where {len(names)} are expected: {', '.join(names)}"
    return told


def _other_result(pairs: Sequence[tuple["Tried", Any, Any]], output: str) -> str:
    for name in result_names(pairs[0][0].case):
        rights = [_right(t, name) for t, _, _ in pairs] if name != output else []
        if rights and all(
            r is not None and equal(got, r) for r, (_, _, got) in zip(rights, pairs, strict=True)
        ):
            return name
    return ""


def _factor(pairs: Sequence[tuple["Tried", Any, Any]], output: str) -> str:
    """Name the number that all of the result is multiplied or divided by, if there is one."""
    ratios = [(t, _ratio(got, right)) for t, right, got in pairs]
    if any(ratio is None for _, ratio in ratios):
        return ""
    first = ratios[0][1] or 0.0
    for words in _lengths(ratios[0][0].case):
        lengths = [_lengths(t.case).get(words, 0) for t, _ in ratios]
        if all(
            n > 1 and math.isclose(r or 0, n, rel_tol=1e-6) for n, (_, r) in zip(lengths, ratios, strict=True)
        ):
            return f"{output} is {words} times too large: is a division by it forgotten?"
        if all(
            n > 1 and math.isclose((r or 0) * n, 1, rel_tol=1e-6)
            for n, (_, r) in zip(lengths, ratios, strict=True)
        ):
            return f"{output} is divided by {words}, and shouldn't be: is there a mean where a sum belongs?"
    if any(not math.isclose(r or 0, first, rel_tol=1e-6) for _, r in ratios):
        return ""
    if math.isclose(first, -1):
        return f"{output} has the opposite sign everywhere"
    return f"{output} is {first:.6g} times what it should be, everywhere"


def _ratio(got: Any, right: Any) -> float | None:
    if not np.isfinite(got).all() or not np.isfinite(right).all() or not right.any():
        return None
    largest = np.unravel_index(int(np.argmax(np.abs(right))), right.shape)
    ratio = float(got[largest] / right[largest])
    return ratio if equal(got, right * ratio) and ratio else None


def _lengths(case: Case) -> dict[str, int]:
    """Count what one may divide by, by its name."""
    s = case.sizes
    found = {}
    if "N" in s:
        found["N (the number of pictures)"] = s["N"]
    if "H" in s and "W" in s:
        found["H * W (the number of pixels)"] = s["H"] * s["W"]
        found["N * H * W"] = s.get("N", 1) * s["H"] * s["W"]
    if "KH" in s:
        found["KH * KW (the size of the window)"] = s["KH"] * s["KW"]
    if "C" in s:
        found["C (the number of channels)"] = s["C"]
    return found


def _turned(pairs: Sequence[tuple["Tried", Any, Any]], output: str) -> str:
    """See whether the result is right but for its orientation."""
    ways: dict[str, Callable[[Any], Any]] = {
        "with rows and columns exchanged": lambda a: np.swapaxes(a, -1, -2),
        "upside down": lambda a: a[..., ::-1, :],
        "mirrored": lambda a: a[..., ::-1],
        "turned by half a turn": lambda a: a[..., ::-1, ::-1],
        "with its first two axes exchanged": lambda a: np.swapaxes(a, 0, 1),
    }
    for words, way in ways.items():
        if all(right.ndim >= 2 and equal(got, way(right)) for _, right, got in pairs):
            return f"{output} has the right numbers, but {words}"
    return ""


def _where(pairs: Sequence[tuple["Tried", Any, Any]]) -> list[str]:
    """Say where the wrong entries lie, if they lie together in every failing case."""
    masks = [wrong_entries(got, right) for _, right, got in pairs if got.shape == right.shape]
    if not masks or all(mask.all() for mask in masks):
        return []
    places: dict[str, Callable[[Any], Any]] = {
        "in pictures after the first (n > 0)": lambda m: m[0],
        "in channels after the first (c > 0)": lambda m: m[:, 0] if m.ndim > 1 else m,
        "in the first row": lambda m: m[..., 1:, :] if m.ndim == 4 else m,
        "in the last row": lambda m: m[..., :-1, :] if m.ndim == 4 else m,
        "in the first column": lambda m: m[..., 1:] if m.ndim == 4 else m,
        "in the last column": lambda m: m[..., :-1] if m.ndim == 4 else m,
        "in the last row or the last column": lambda m: m[..., :-1, :-1] if m.ndim == 4 else m,
        "on the border of the map": lambda m: m[..., 1:-1, 1:-1] if m.ndim == 4 else m,
        "below the first row or right of the first column": lambda m: m[..., :1, :1] if m.ndim == 4 else m,
    }
    for words, elsewhere in places.items():
        if all(not elsewhere(mask).any() for mask in masks) and 2 * sum(
            elsewhere(m).size > 0 for m in masks
        ) > len(masks):
            return [f"In every failing case all wrong entries lie {words}."]
    return []


# ---------------------------------------------------------------------------------------------------------
# Shapes, dtypes and conduct


def _about_shape(pairs: Sequence[tuple["Tried", Any, Any]]) -> str:
    if not pairs:
        return ""
    if all(got.shape == right.shape[:-2] + right.shape[:-3:-1] for _, right, got in pairs):
        return "height and width are exchanged in the result"
    if all(got.ndim == right.ndim - 1 for _, right, got in pairs):
        return "an axis is missing: the contract keeps the batch axis and the channel axis, also where they are 1"
    if all(got.ndim < right.ndim for _, right, got in pairs):
        return "it is summed over too many axes"
    if all(_with_more_axes(right, got) for _, right, got in pairs):
        return f"the numbers are right, but not the axes: is it a keepdims=True? {_as_expected(pairs)}"
    if all(_without_first_axis(t.case, got) for t, _, got in pairs):
        return (
            "it has the shape of x.mean(axis=0). Mean and variance are one number a channel, over all pictures and "
            "places: x.mean(axis=(0, 2, 3))"
        )
    if all(got.ndim > right.ndim for _, right, got in pairs):
        return "it is summed over too few axes"
    if all(_empty_without_padding(t.case, got, right) for t, right, got in pairs):
        return "it is empty where there is no padding: a[p:-p] is empty for p = 0, as -0 is 0. Write a[p : p + H]"
    if all(_larger_by_padding(t.case, got, right) for t, right, got in pairs):
        return "it has the size of the padded map: cut the padding off before it is returned"
    return ""


def _with_more_axes(right: Any, got: Any) -> bool:
    """Say whether the result is right but for axes of length 1."""
    return got.ndim > right.ndim and got.size == right.size and equal(got.reshape(right.shape), right)


def _as_expected(pairs: Sequence[tuple["Tried", Any, Any]]) -> str:
    """Say how to bring a result of the right numbers to the right number of axes."""
    axes = {right.ndim for _, right, _ in pairs}
    return "`.reshape(-1)` makes one axis of them" if axes == {1} else "Look at the shapes above"


def _without_first_axis(case: Case, got: Any) -> bool:
    x = (case.arguments() or {}).get("x")
    return case.op == "batch_norm" and x is not None and got.shape == x.shape[1:]


def _empty_without_padding(case: Case, got: Any, right: Any) -> bool:
    """Say whether the result is as a cut [p:-p] leaves it: nothing along an axis without padding, else right."""
    if right.ndim != 4 or "ph" not in case.sizes:
        return False
    cut = [size if case.sizes[p] else 0 for p, size in zip(("ph", "pw"), right.shape[2:], strict=True)]
    return bool(got.shape != right.shape and got.shape == (*right.shape[:2], *cut))


def _larger_by_padding(case: Case, got: Any, right: Any) -> bool:
    ph, pw = case.sizes.get("ph", 0), case.sizes.get("pw", 0)
    return bool(got.shape[:-2] == right.shape[:-2] and (ph or pw) and right.ndim == 4) and (
        got.shape[-2:] == (right.shape[-2] + 2 * ph, right.shape[-1] + 2 * pw)
    )


def _about_dtype(pairs: Sequence[tuple["Tried", Any, Any]]) -> str:
    if all(right.dtype == np.float32 and got.dtype == np.float64 for _, right, got in pairs):
        return (
            "float32 goes in and float64 comes out. np.zeros and np.empty make float64 unless told: "
            "np.zeros(shape, x.dtype); or end with .astype(x.dtype). NumPy's own numbers (np.float64) widen arrays, too"
        )
    if all(right.dtype == np.float64 and got.dtype == np.float32 for _, right, got in pairs):
        return "float64 goes in and float32 comes out: half of the digits are lost. Take the dtype from x: x.dtype"
    if all(got.dtype.kind in "iu" and right.dtype.kind == "f" for _, right, got in pairs):
        return "the result is made of whole numbers: what is written into it is cut off. Use np.zeros(shape, x.dtype)"
    return "take the dtype of the input: np.zeros(shape, x.dtype)"


CONDUCT = {
    "changed": "an argument belongs to the caller: work on a copy. `x += 1` and `x[...] = 0` change the caller's array",
    "nothing": "is a `return` missing at the end?",
    "unstable": (
        "does it keep something between calls (a global, a default argument that is changed, np.empty that is not "
        "filled), or draw random numbers?"
    ),
}


def _about_conduct(tried: Sequence["Tried"], small: "Tried", problem: Problem) -> str:
    outcome = small.outcome
    if problem.kind == "raised":
        if "read-only" in outcome.error:
            return CONDUCT["changed"]
        return about_error(tried, small)
    if problem.kind == "count" and outcome.many == "list":
        return "np.array(list) makes an array of it; better, begin with np.zeros(shape, x.dtype) and write into that"
    if problem.kind == "count":
        return "return the array alone; what the backward needs it gets as arguments"
    return CONDUCT.get(problem.kind, "")
