"""Weights in: a PyTorch state_dict, saved as safetensors, onto one of our models.

Our models have PyTorch's names and layouts, so that a state fits as it is where the network was written with the same
attribute names. Where it wasn't, names can be rewritten; what doesn't fit is explained name by name. Pickles
(``.pt``, ``.pth``) are never opened: reading one runs whatever program is in it.

>>> import tempfile
>>> from safetensors.numpy import save_file
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder, "weights.safetensors")
...     save_file(models.build("unet", in_channels=1, classes=5, width=4).state_dict(), path)
...     read(path).arrays["head.weight"].shape
...     size_of_model("unet", read(path).arrays)
(5, 4, 1, 1)
{'in_channels': 1, 'classes': 5, 'width': 4}
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from minisegnet import models, nn
from minisegnet.arrays import Array
from minisegnet.sizes import Pair

SHOWN = 10  # so many names of each kind are listed when something is wrong
WRAPPERS = ("module.", "model.", "_orig_mod.", "state_dict.", "net.")  # what wrappers put before every name
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
INTEGERS = (
    "I64",
    "I32",
    "I16",
    "I8",
    "U64",
    "U32",
    "U16",
    "U8",
    "BOOL",
)  # counters, which no layer of ours has
COUNTER = "num_batches_tracked"

_deserialize: Any = safetensors.deserialize  # [(name, {"dtype", "shape", "data"}), ...]; checks the header

CONVERT = """\
    import torch
    from safetensors.torch import save_file
    save_file({k: v.contiguous() for k, v in torch.load("%s", weights_only=True).items()}, "weights.safetensors")"""


class Weights(NamedTuple):
    """What is in a safetensors file."""

    arrays: dict[str, Array]  # float32 or float64
    kinds: dict[str, str]  # how each is stored: "F32", "BF16" ...
    left_out: tuple[str, ...]  # counters of batches and other whole numbers, which no model of ours has


class Fit(NamedTuple):
    """Which of a file's arrays went where."""

    state: dict[str, Array]  # under the model's names
    sources: dict[str, str]  # the model's name: the file's
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]  # dense weights that became convolutions
    missing: tuple[str, ...]  # of the model, not in the file
    left_over: tuple[str, ...]  # in the file, not of the model


# ---------------------------------------------------------------------------------------------------------
# Reading


def read(path: str | Path) -> Weights:
    """Read a safetensors file; float16 and bfloat16 become float32, exactly.

    Parameters
    ----------
    path
        The file. The file's own order is lost in this format; names come sorted.
    """
    path = Path(path)
    data = _bytes_of(path)
    try:
        found: list[tuple[str, dict[str, Any]]] = sorted(_deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} can't be read as safetensors: {error}; it is another kind of file, or damaged. Copy it again"
        ) from None
    unknown = {name: told["dtype"] for name, told in found if told["dtype"] not in (*KINDS, *INTEGERS)}
    if unknown:
        raise ValueError(
            f"{path} holds {len(unknown)} arrays of a kind that can't be read (the first: {next(iter(unknown))}, "
            f"{next(iter(unknown.values()))}); expected floats of 16, 32 or 64 bits. Convert it in PyTorch by .float()"
        )
    floats = {name: told for name, told in found if told["dtype"] in KINDS}
    if not floats:
        raise ValueError(f"{path} holds no weights; expected a state_dict")
    try:
        arrays = {name: _array(told) for name, told in floats.items()}
    except (ValueError, OverflowError) as error:  # a shape that NumPy can't have, such as (0, 2**62)
        raise ValueError(f"{path} is damaged: {error}; copy it again") from None
    wrong = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
    if wrong is not None:
        raise ValueError(f"{path}: {wrong} holds NaN or infinity; no model can work with it")
    kinds = {name: told["dtype"] for name, told in floats.items()}
    return Weights(arrays, kinds, tuple(name for name, told in found if told["dtype"] in INTEGERS))


def _bytes_of(path: Path) -> bytes:
    """Read the file, unless it is a pickle: that is told before anything else."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; expected weights that were saved as safetensors")
    with open(path, "rb") as file:
        start = file.read(16)
        begins_like_one = start.startswith((b"\x80", b"PK\x03\x04")) and start[8:9] != b"{"
        if begins_like_one or path.suffix.lower() in PICKLES:
            raise ValueError(
                f"{path} is a PyTorch file or another pickle, and those are never opened here: to read one is to run "
                f"the program in it. Convert it where you have PyTorch, then import weights.safetensors:\n"
                f"{CONVERT % path.name}\n"
                "(If the file holds more than weights, take the part: torch.load(...)['state_dict'].)"
            )
        return start + file.read()


def _array(told: Mapping[str, Any]) -> Array:
    raw = np.frombuffer(told["data"], KINDS[told["dtype"]]).reshape(told["shape"])
    if told["dtype"] == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return raw.astype(np.float64 if told["dtype"] == "F64" else np.float32)


# ---------------------------------------------------------------------------------------------------------
# Which model it is


def size_of_model(name: str, arrays: Mapping[str, Array], **options: Any) -> dict[str, int]:
    """Find channels, classes and width in the shapes of the weights, as far as they can be found.

    Each of the three is changed from 1 to 2 in a model: an axis that changes with it says what it is in the file.

    Parameters
    ----------
    name, **options
        Of the model, as for ``models.build``.
    arrays
        The weights, by the model's names.
    """
    asked = [key for key in ("in_channels", "classes", "width") if options.get(key) is None]
    given = {key: value for key, value in options.items() if value is not None or key not in asked}
    found: dict[str, int] = {}
    for key in ("width", "in_channels", "classes"):  # the other two may depend on the width
        if key not in asked:
            continue
        ones: dict[str, Any] = {**dict.fromkeys(asked, 1), **given, **found}
        one, two = (_shapes(name, {**ones, key: value}) for value in (1, 2))
        value = _value(one, two, arrays)
        if value is not None:
            found[key] = value
    return {key: found[key] for key in ("in_channels", "classes", "width") if key in found}


def _shapes(name: str, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    model = models.build(name, **options, initialise=False)
    return {key: a.shape for key, a in model.state_dict().items()}


def _value(
    one: Mapping[str, tuple[int, ...]], two: Mapping[str, tuple[int, ...]], arrays: Mapping[str, Array]
) -> int | None:
    for key, shape in one.items():
        if key not in arrays or arrays[key].ndim != len(shape):
            continue
        for axis, (a, b) in enumerate(zip(shape, two[key], strict=True)):
            more, rest = divmod(int(arrays[key].shape[axis]) - a, (b - a) or 1)
            if a != b and rest == 0 and more >= 0:
                return more + 1
    return None


# ---------------------------------------------------------------------------------------------------------
# Fitting


def renamed(names: Iterable[str], rules: Sequence[Pair | tuple[str, str]] = ()) -> dict[str, str]:
    """Rewrite the beginnings of names, and take off what a wrapper put before all of them.

    Parameters
    ----------
    names
        The file's.
    rules
        Pairs (old, new) of whole parts of names; the first that fits a name is applied to it.

    Returns
    -------
    dict
        The new name of each old one.

    Examples
    --------
    >>> renamed(["module.inc.0.weight", "module.out.weight"], [("inc", "encoder.0"), ("out", "head")])
    {'module.inc.0.weight': 'encoder.0.0.weight', 'module.out.weight': 'head.weight'}
    """
    names = list(names)
    wrapper = next((w for w in WRAPPERS if names and all(name.startswith(w) for name in names)), "")
    return {name: _rewritten(name.removeprefix(wrapper), rules) for name in names}


def _rewritten(name: str, rules: Sequence[Any]) -> str:
    for old, new in rules:
        if name == old or name.startswith(f"{old}."):
            return str(new + name[len(old) :])
    return name


def fit(
    model: nn.Module,
    arrays: Mapping[str, Array],
    *,
    rename: Sequence[tuple[str, str]] = (),
    partial: bool = False,
) -> Fit:
    """Find the place of each array in a model; nothing is changed.

    Parameters
    ----------
    model
        Where the weights shall go.
    arrays
        By PyTorch's names.
    rename
        See :func:`renamed`.
    partial
        Whether names may be missing in the file (the model keeps what it has) or left over. Wrong shapes never pass.

    Returns
    -------
    Fit
        Its ``state`` is for ``model.load_state_dict(state, strict=not partial)``. The weight of a dense layer whose
        place in the model is a convolution is given the convolution's shape: the numbers are the same.

    Raises
    ------
    ValueError
        Something is missing, left over or of another shape; each is named, with what is nearest to it.
    """
    own = {name: a.shape for name, a in model.state_dict().items()}
    names = renamed([name for name in arrays if name.rpartition(".")[2] != COUNTER], rename)
    twice = sorted({new for new in names.values() if list(names.values()).count(new) > 1})
    sources = {new: old for old, new in names.items() if new in own}
    state: dict[str, Array] = {}
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    misshapen = []
    for new, old in sources.items():
        array, shape = arrays[old], own[new]
        if array.shape == shape:
            state[new] = array
        elif array.ndim == 2 and len(shape) == 4 and array.shape == (shape[0], math.prod(shape[1:])):
            state[new], reshaped[new] = array.reshape(shape), (array.shape, shape)
        else:
            misshapen.append(f"{old} is {array.shape}; {new} of the model is {shape}")
    missing = tuple(name for name in own if name not in sources)
    left_over = tuple(old for old, new in names.items() if new not in own)
    problems = [f"two names become {name}" for name in twice] + _listed(misshapen)
    if not partial:
        problems += _listed([_told_missing(name, own, left_over, arrays) for name in missing])
        problems += _listed([_told_left_over(old, names[old], own, missing) for old in left_over])
    if problems or not state:
        hint = _hint(own, arrays, partial, bool(sources))
        raise ValueError(
            "\n  ".join([f"the weights don't fit this {type(model).__name__}:", *problems, hint])
        )
    ordered = {name: state[name] for name in own if name in state}
    return Fit(ordered, {name: sources[name] for name in ordered}, reshaped, missing, left_over)


def _listed(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more of this kind"] if more > 0 else [])


def _told_missing(
    name: str, own: Mapping[str, tuple[int, ...]], left_over: Sequence[str], arrays: Mapping[str, Array]
) -> str:
    """Name what the file lacks, and the nearest that is left over, one of the same shape first."""
    alike = [old for old in left_over if arrays[old].shape == own[name]]
    near = get_close_matches(name, alike, n=1, cutoff=0.3) or get_close_matches(name, left_over, n=1)
    hint = f" (nearest in the file: {near[0]} {arrays[near[0]].shape})" if near else ""
    return f"missing in the file: {name} {own[name]}{hint}"


def _told_left_over(old: str, new: str, own: Mapping[str, tuple[int, ...]], missing: Sequence[str]) -> str:
    near = get_close_matches(new, missing or list(own), n=1)
    as_what = "" if old == new else f" (as {new})"
    return f"left over: {old}{as_what}" + (
        f" (nearest in the model: {near[0]} {own[near[0]]})" if near else ""
    )


def _hint(
    own: Mapping[str, tuple[int, ...]], arrays: Mapping[str, Array], partial: bool, any_fits: bool
) -> str:
    if not any_fits:
        return "no name fits: rewrite their beginnings by --rename OLD=NEW, or choose another --model"
    statistics = [any(name.endswith("running_mean") for name in names) for names in (own, arrays)]
    if statistics == [True, False]:
        return "the file has no batch normalisation: --option norm=none?"
    if statistics == [False, True]:
        return "the file has batch normalisation: --option norm=batch?"
    more = "" if partial else ", or take what fits by --partial"
    return f"choose --width, --depth and --option as the network was built, rewrite names by --rename OLD=NEW{more}"
